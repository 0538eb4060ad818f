-- Phone numbers and housekeeping columns, alike on every table that has them.

create function app.normalise_phone(p_phone text) returns text language sql immutable
as $$
  select regexp_replace(case
    when d.digits is null then null
    when d.digits like '+%' then d.digits
    when d.digits like '00%' then '+' || substr(d.digits, 3)
    when d.digits like '0%' then '+62' || substr(d.digits, 2)
    when d.digits like '62%' then '+' || d.digits
    when d.digits like '8%' then '+62' || d.digits
    else d.digits
  end, '^\+620', '+62')
  from (select nullif(nullif(regexp_replace(btrim(p_phone), '(?!^\+)[^0-9]', '', 'g'), ''), '+') as digits) as d
$$;
comment on function app.normalise_phone(text) is 'Indonesian phone number as E.164 with +: 0812..., 62812..., +62 812-... all become +62812...';

create function app.tg_normalise_phone() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.phone := app.normalise_phone(new.phone);
  return new;
end $$;
create function app.tg_normalise_whatsapp_number() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.whatsapp_number := app.normalise_phone(new.whatsapp_number);
  return new;
end $$;
create trigger _100_normalise_phone before insert or update of phone on app.partners
for each row execute function app.tg_normalise_phone();
create trigger _100_normalise_phone before insert or update of phone on app.agents
for each row execute function app.tg_normalise_phone();
create trigger _100_normalise_whatsapp_number before insert or update of whatsapp_number on app.sub_distributors
for each row execute function app.tg_normalise_whatsapp_number();

create function app.tg_touch_updated_at() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end $$;
create trigger _900_touch before update on app.partners for each row execute function app.tg_touch_updated_at();
create trigger _900_touch before update on app.agents for each row execute function app.tg_touch_updated_at();
create trigger _900_touch before update on app.sub_distributors for each row execute function app.tg_touch_updated_at();
create trigger _900_touch before update on app.products for each row execute function app.tg_touch_updated_at();

-- Ledgers and trails: not even the owner changes them by accident.
create function app.tg_append_only() returns trigger
language plpgsql set search_path = ''
as $$
begin
  perform app.fail('APPEND_ONLY', format('%s of %s', lower(tg_op), tg_table_name));
  return null;
end $$;
create trigger _100_append_only before update or delete on app.point_transactions
for each row execute function app.tg_append_only();
create trigger _100_append_only before update or delete on app.invoice_payments
for each row execute function app.tg_append_only();
create trigger _100_append_only before update or delete on app.order_events
for each row execute function app.tg_append_only();
create trigger _100_append_only before update or delete on app.system_config_history
for each row execute function app.tg_append_only();
create trigger _100_append_only before update or delete on app.audit_logs
for each row execute function app.tg_append_only();
create trigger _100_append_only before update on app.audit_buffer
for each row execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.point_transactions
for each statement execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.invoice_payments
for each statement execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.order_events
for each statement execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.system_config_history
for each statement execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.audit_logs
for each statement execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.audit_buffer
for each statement execute function app.tg_append_only();
