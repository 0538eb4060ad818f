-- What every domain uses: limits, phone numbers, updated_at, append-only tables.
--
-- search_path: every name in a function is qualified by its schema. A SECURITY DEFINER function
-- pins search_path = pg_catalog, pg_temp; no other function sets one, because its caller has, and
-- because a SET clause costs time in each call and prevents inlining. Enforced: `hub migrate`
-- checks each body under an empty path, and tests/conventions/test_conventions.py looks at the
-- catalogue.

create function app.amount_limit() returns numeric language sql immutable
as $$ select 1e13 $$;
comment on function app.amount_limit() is
  'IDR below which every amount stays (D-3.ids-2): numeric(15, 2) holds no more';

create function app.max_points() returns int language sql immutable
as $$ select 1000000000 $$;
comment on function app.max_points() is
  'Most points that one order promises or one correction moves';

create function app.max_point_balance() returns bigint language sql immutable
as $$ select 2000000000::bigint $$;
comment on function app.max_point_balance() is
  'Most points that a partner can have: partners.point_balance is an int';

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
  from (
    select nullif(nullif(
      regexp_replace(btrim(p_phone), '(?!^\+)[^0-9]', '', 'g'), ''), '+') as digits
  ) as d
$$;
comment on function app.normalise_phone(text) is
  'Indonesian phone number as E.164 with +: 0812..., 62812... and +62 812-... become +62812...; '
  'null without digits';

-- SECURITY DEFINER, because callers of the views of master data may not call the function.
create function app.tg_normalise_phone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  new.phone := app.normalise_phone(new.phone);
  return new;
end $$;
create function app.tg_normalise_whatsapp_number() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  new.whatsapp_number := app.normalise_phone(new.whatsapp_number);
  return new;
end $$;

create function app.tg_touch_updated_at() returns trigger
language plpgsql
as $$
begin
  new.updated_at := now();
  return new;
end $$;

-- Protects ledgers, histories and the audit trail from everyone, the owner included. The one
-- exception: erase_partner() empties the personal columns of the partner's rows, and nothing else.
create function app.tg_append_only() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'UPDATE' and current_user = 'hub_owner'
    and app.is_erasing((to_jsonb(old) ->> 'partner_id')::uuid)
    and to_jsonb(new) = app.erase_row(tg_table_name, to_jsonb(old))
  then
    return new;
  end if;
  perform app.fail('APPEND_ONLY', format('%s of %s', lower(tg_op), tg_table_name));
  return null;
end $$;
