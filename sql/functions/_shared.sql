-- What every domain uses: phone numbers, updated_at, append-only tables.

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

create function app.tg_touch_updated_at() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end $$;

-- Ledgers and trails: not even the owner changes them by accident.
create function app.tg_append_only() returns trigger
language plpgsql set search_path = ''
as $$
begin
  perform app.fail('APPEND_ONLY', format('%s of %s', lower(tg_op), tg_table_name));
  return null;
end $$;
