-- Partners: the salons that order, and their credit.

create function app.use_credit(p_partner_id uuid, p_amount numeric)
returns void language plpgsql volatile
as $$
begin
  update app.partners as p set credit_used = p.credit_used + p_amount where p.id = p_partner_id and p_amount <> 0;
end $$;
comment on function app.use_credit(uuid, numeric) is 'Adds to (or with a negative amount takes from) what the partner owes and has on order, IDR';

create trigger _100_normalise_phone before insert or update of phone on app.partners
for each row execute function app.tg_normalise_phone();
create trigger _900_touch before update on app.partners for each row execute function app.tg_touch_updated_at();
