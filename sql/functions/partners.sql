-- Partners: the salons that order, and their credit.

create function app.calling_partner_id()
returns uuid language plpgsql stable
as $$
declare
  v_id uuid := auth.current_user_id();
begin
  if auth.caller_role() <> 'partner' then
    perform app.fail('NOT_ALLOWED', 'Only partners order',
      'Sign in as a partner, or start a shadow session');
  elsif v_id is null then
    perform app.fail('UNAUTHENTICATED');
  end if;
  return v_id;
end $$;
comment on function app.calling_partner_id() is
  'Id of the calling partner; raises NOT_ALLOWED or UNAUTHENTICATED for other callers';

create function app.lock_calling_partner()
returns app.partners language plpgsql volatile
as $$
declare
  v_id uuid := app.calling_partner_id();
  v_partner app.partners;
begin
  select * into v_partner from app.partners as p
  where p.id = v_id and p.is_active and p.deleted_at is null
  for no key update;
  if not found then
    perform app.fail('ACCOUNT_INACTIVE');
  end if;
  return v_partner;
end $$;
comment on function app.lock_calling_partner() is
  'The calling partner, locked until the end of the transaction, so that their orders and '
  'redemptions run one after another; raises ACCOUNT_INACTIVE';

create function app.use_credit(p_partner_id uuid, p_amount numeric)
returns void language plpgsql volatile
as $$
begin
  update app.partners as p set credit_used = p.credit_used + p_amount
  where p.id = p_partner_id and p_amount <> 0;
end $$;
comment on function app.use_credit(uuid, numeric) is
  'Adds an amount (IDR, negative to subtract) to the partner''s used credit';

create trigger _100_normalise_phone before insert or update of phone on app.partners
for each row execute function app.tg_normalise_phone();
create trigger _900_touch before update on app.partners
for each row execute function app.tg_touch_updated_at();
