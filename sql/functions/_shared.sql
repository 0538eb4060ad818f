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

-- Copying from other programs leaves marks of direction, joiners and soft hyphens behind, and
-- spaces and dashes of every kind.
create function app.plain_phone(p_phone text) returns text language sql immutable
as $$
  select btrim(
    regexp_replace(
      regexp_replace(
        regexp_replace(
          p_phone,
          '[\u00AD\u061C\u180E\u200B-\u200F\u202A-\u202E\u2060-\u2064\u2066-\u2069\uFEFF]',
          '', 'g'),
        '[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]', ' ', 'g'),
      '[\u2010-\u2015\u2212\uFE58\uFE63\uFF0D]', '-', 'g'),
    E' \t\r\n')
$$;
comment on function app.plain_phone(text) is
  'The text without invisible marks, with plain spaces and hyphens, and trimmed';

-- Nothing is dropped in silence but marks and separators: a number that is nearly right belongs to
-- someone else. Refused are letters, two numbers, extensions and number ranges ("555 1234-5"), and
-- what a spreadsheet makes of a number (6,28E+12, 8123456789.0).
create function app.normalise_phone(p_phone text) returns text language plpgsql immutable
as $$
declare
  v_max_length constant int := 60;
  v_text text := app.plain_phone(left(p_phone, v_max_length + 1));
  v_number text;
begin
  if length(p_phone) > v_max_length then
    return null;
  end if;
  -- The trunk prefix that is dialled only within the country: +62 (0)812.
  v_text := regexp_replace(v_text, '^(\(?\+[0-9]{1,3}\)?[ .-]*)\(0\)', '\1');
  v_text := regexp_replace(v_text, '^\(([^()]*)\)$', '\1');
  if v_text !~ '^(\(\+?[0-9]+\)|\+?[0-9]+)([ .-]*(\([0-9]+\)|[0-9]+))*$'
    or v_text ~ '([ .-][0-9]|\))$'
    or v_text ~ '^[0-9]+\.00$'
  then
    return null;
  end if;
  v_number := regexp_replace(v_text, '[^0-9+]', '', 'g');
  v_number := case
    when v_number like '+%' then v_number
    -- 001, 007 and 008 name a carrier for calls abroad; 00 is the prefix of other countries.
    when v_number ~ '^00[178]' then null
    when v_number like '00%' then '+' || substr(v_number, 3)
    when v_number like '0%' then '+62' || substr(v_number, 2)
    when v_number like '62%' then '+' || v_number
    when v_number like '8%' then '+62' || v_number
  end;
  v_number := regexp_replace(v_number, '^\+620', '+62');
  return case
    when v_number like '+62%' then substring(v_number from
      -- mobile; Jakarta, Bandung, Semarang, Surabaya, Medan; areas with a code of three digits
      '^\+62(?:8[0-9]{8,11}|(?:2[124]|31|61)[0-9]{7,8}|(?!2[124]|31|61)[2-79][0-9]{7,10})$')
    when v_number like '+1%' then substring(v_number from '^\+1[2-9][0-9]{9}$')
    else substring(v_number from '^\+[2-9][0-9]{7,14}$')
  end;
end $$;
comment on function app.normalise_phone(text) is
  'Phone number as E.164 with +, of Indonesia unless it names another country: 0812-3456-7890 '
  'becomes +6281234567890; null for what is not exactly one number of a possible length';

create function app.phone_number(p_name text, p_phone text) returns text language plpgsql stable
as $$
declare
  v_number text := app.normalise_phone(p_phone);
begin
  if v_number is null and btrim(app.plain_phone(p_phone), ' -') <> '' then
    perform app.fail('INVALID_PHONE', p_name);
  end if;
  return v_number;
end $$;
comment on function app.phone_number(text, text) is
  'Phone number as E.164, null when it is blank; raises INVALID_PHONE for what is not one number';

-- SECURITY DEFINER, because callers of the views of master data may not call the function.
create function app.tg_normalise_phone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  new.phone := app.phone_number('phone', new.phone);
  return new;
end $$;
create function app.tg_normalise_whatsapp_number() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  new.whatsapp_number := app.phone_number('whatsapp_number', new.whatsapp_number);
  return new;
end $$;

create function app.tg_touch_updated_at() returns trigger
language plpgsql
as $$
begin
  new.updated_at := now();
  return new;
end $$;

-- PostgreSQL computes them after the triggers that run before a change.
create function app.generated_columns(p_table oid) returns text[] language sql stable
as $$
  select array(
    select a.attname::text from pg_catalog.pg_attribute as a
    where a.attrelid = p_table and a.attgenerated <> ''
  )
$$;
comment on function app.generated_columns(oid) is 'Names of the generated columns of a table';

-- For rules that a statement's own rows cannot show, such as a cycle of a tree: edits of the table
-- run one after another.
create function app.tg_lock_table() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(hashtext('app.' || tg_table_name));
  return null;
end $$;

-- Protects ledgers, histories and the audit trail from everyone, the owner included. The one
-- exception: erase_partner() empties the personal columns of the partner's rows, and nothing else.
create function app.tg_append_only() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'UPDATE' and current_user = 'hub_owner'
    and app.is_erasing((to_jsonb(old) ->> 'partner_id')::uuid)
    and to_jsonb(new) - app.generated_columns(tg_relid)
    = app.erase_row(tg_table_name, to_jsonb(old)) - app.generated_columns(tg_relid)
  then
    return new;
  end if;
  perform app.fail('APPEND_ONLY', format('%s of %s', lower(tg_op), tg_table_name));
  return null;
end $$;

-- The lock makes a second call with the same key wait for the first one. It comes before all other
-- locks.
create function app.find_result(p_call text, p_key text, p_hash bytea)
returns uuid language plpgsql volatile
as $$
declare
  v_result_id uuid;
  v_hash bytea;
begin
  if p_key is null then
    return null;
  end if;
  perform pg_advisory_xact_lock(hashtextextended(format('app.%s %s', p_call, p_key), 0));
  select k.result_id, k.request_hash into v_result_id, v_hash
  from app.idempotency_keys as k where k.call = p_call and k.idempotency_key = p_key;
  if v_hash <> p_hash then
    perform app.fail('IDEMPOTENCY_CONFLICT', left(p_key, 200));
  end if;
  return v_result_id;
end $$;
comment on function app.find_result(text, text, bytea) is
  'What this call with this key has created, null for a new key or none; raises '
  'IDEMPOTENCY_CONFLICT if the body differed';

create function app.store_result(p_call text, p_key text, p_hash bytea, p_result_id uuid)
returns void language plpgsql volatile
as $$
begin
  insert into app.idempotency_keys (call, idempotency_key, request_hash, result_id)
  select p_call, p_key, p_hash, p_result_id where p_key is not null;
end $$;
comment on function app.store_result(text, text, bytea, uuid) is
  'Remembers what a call with this key has created; without a key nothing';

create trigger _100_append_only before update or delete on app.idempotency_keys
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.idempotency_keys
for each statement execute function app.tg_append_only();

-- A proxy that compresses makes W/"..." of "...". Only GET revalidates: another method with
-- If-None-Match asks for something else.
create function app.is_not_modified(p_etag text) returns boolean language plpgsql stable
as $$
declare
  v_known constant text := auth.headers() ->> 'if-none-match';
begin
  perform set_config('response.headers', json_build_array(
    json_build_object('Content-Type', 'application/json; charset=utf-8'),
    json_build_object('ETag', p_etag),
    json_build_object('Cache-Control', 'private, no-cache')
  )::text, true);
  if v_known is null or current_setting('request.method', true) not in ('GET', 'HEAD')
    or p_etag <> all (regexp_split_to_array(replace(btrim(v_known), 'W/', ''), '\s*,\s*'))
  then
    return false;
  end if;
  perform set_config('response.status', '304', true);
  return true;
end $$;
comment on function app.is_not_modified(text) is
  'Sets the ETag of the answer; true, and status 304, if the request names it in If-None-Match';

-- What people read: messages, the demo and the pages write dates alike. A due date is a day of
-- headquarters, by which it is also dunned; a time is given in the zone of its reader.
create function app.format_day(p_at timestamptz) returns text language sql immutable
as $$ select to_char(p_at at time zone 'Asia/Jakarta', 'DD-MM-YYYY') $$;
comment on function app.format_day(timestamptz) is
  'The day of headquarters (Jakarta) as people read it: 31-01-2026';

create function app.format_moment(p_at timestamptz, p_zone text)
returns text language sql immutable
as $$
  select to_char(p_at at time zone p_zone, 'DD-MM-YYYY HH24:MI') || ' ' || case p_zone
    when 'Asia/Makassar' then 'WITA'
    when 'Asia/Jayapura' then 'WIT'
    else 'WIB'
  end
$$;
comment on function app.format_moment(timestamptz, text) is
  'A time in one of Indonesia''s zones as people read it: 31-01-2026 15:04 WITA';
