-- The audit trail: a statement trigger appends one row to a narrow buffer, a job moves it on.

create function app.uuid_or_null(p_text text) returns uuid language sql immutable
as $$ select case when p_text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then p_text::uuid end $$;
comment on function app.uuid_or_null(text) is 'The text as a UUID, null where it is none';

-- The buffer keeps the claims as they came: who they name is found out when the row is moved on.
create function app.actor_of(p_claims json, p_role text)
returns table (actor_id uuid, actor_type app.actor_type_enum, on_behalf_of uuid)
language sql immutable
as $$
  select
    coalesce(c.act, c.sub),
    case
      when c.act is not null or p_role in ('agent', 'admin', 'superadmin') then 'AGENT'
      when p_role = 'partner' then 'PARTNER'
      else 'SYSTEM'
    end::app.actor_type_enum,
    case when c.act is not null then c.sub end
  from (select app.uuid_or_null(p_claims ->> 'sub') as sub, app.uuid_or_null(p_claims #>> '{act,sub}') as act) as c
$$;
comment on function app.actor_of(json, text) is 'Who acted, by these claims and this role: in shadow mode the agent, on behalf of the partner';

create function app.tg_audit_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (target_type, action, new_rows, claims, actor_role, ip_address)
  select tg_table_name, tg_op, json_agg(n), auth.claims_text()::json, auth.caller_role(), auth.client_ip()
  from new_rows as n
  having count(*) > 0;
  return null;
end $$;

create function app.tg_audit_update() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (target_type, action, old_rows, new_rows, claims, actor_role, ip_address)
  select
    tg_table_name, tg_op, (select json_agg(o) from old_rows as o), json_agg(n),
    auth.claims_text()::json, auth.caller_role(), auth.client_ip()
  from new_rows as n
  having count(*) > 0;
  return null;
end $$;

create function app.tg_audit_delete() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (target_type, action, old_rows, claims, actor_role, ip_address)
  select tg_table_name, tg_op, json_agg(o), auth.claims_text()::json, auth.caller_role(), auth.client_ip()
  from old_rows as o
  having count(*) > 0;
  return null;
end $$;

-- PII and financial tables of the mission (5.1), and what changes money or access.
do $$
declare
  v_table text;
begin
  foreach v_table in array array[
    'partners', 'agents', 'sub_distributors', 'orders', 'order_items', 'invoices', 'invoice_payments', 'point_transactions',
    'redemptions', 'tier_prices', 'system_configs', 'agent_sessions'
  ] loop
    execute format('create trigger _800_audit_insert after insert on app.%I referencing new table as new_rows
      for each statement execute function app.tg_audit_insert()', v_table);
    execute format('create trigger _800_audit_update after update on app.%I referencing old table as old_rows new table as new_rows
      for each statement execute function app.tg_audit_update()', v_table);
    execute format('create trigger _800_audit_delete after delete on app.%I referencing old table as old_rows
      for each statement execute function app.tg_audit_delete()', v_table);
  end loop;
end $$;

create function app.mask(p_text text) returns text language sql immutable
as $$
  select case
    when p_text ~ '^[^@[:space:]]+@[^@[:space:]]+$' then left(p_text, 1) || '***@' || split_part(p_text, '@', 2)
    when length(p_text) > 4 then left(p_text, 2) || repeat('*', length(p_text) - 4) || right(p_text, 2)
    else '***'
  end
$$;
comment on function app.mask(text) is 'Personal data made unreadable but recognisable: s***@example.com, +6********89';

create function app.mask_row(p_row jsonb) returns jsonb language sql immutable
as $$
  select jsonb_object_agg(k.key, case
    when k.value = 'null' then k.value
    when k.key in ('password_hash', 'request_hash') then '"***"'::jsonb
    when k.key in ('email', 'phone', 'whatsapp_number', 'address', 'contact_person', 'full_name', 'ip_address')
      then to_jsonb(app.mask(k.value #>> '{}'))
    else k.value
  end)
  from jsonb_each(p_row) as k
$$;
comment on function app.mask_row(jsonb) is 'A row with its personal data masked and its hashes left out';

create function app.changed_part(p_row jsonb, p_other jsonb) returns jsonb language sql immutable
as $$
  select case when p_other is null then p_row else (
    select coalesce(jsonb_object_agg(k.key, k.value), '{}')
    from jsonb_each(p_row) as k where k.value is distinct from p_other -> k.key and k.key <> 'updated_at'
  ) end
$$;
comment on function app.changed_part(jsonb, jsonb) is 'The columns in which a row differs from the other; the whole row where there is no other';

create function app.flush_audit_buffer(p_limit int default 10000)
returns int language plpgsql volatile set search_path = ''
as $$
declare
  v_count int;
begin
  with taken as (
    delete from app.audit_buffer as b
    -- array: the rows are chosen once; a plan that looped over them would choose others each time round
    where b.id = any (array(
      select u.id from app.audit_buffer as u order by u.id limit p_limit for update skip locked
    ))
    returning *
  ),
  rows as (
    -- Both arrays hold the rows in the order in which the statement touched them; the shorter one is filled with nulls.
    select t.*, c.old_row, c.new_row
    from taken as t
    cross join lateral rows from (
      jsonb_array_elements(t.old_rows::jsonb), jsonb_array_elements(t.new_rows::jsonb)
    ) as c (old_row, new_row)
  )
  insert into app.audit_logs (
    actor_id, actor_type, target_id, target_type, action, old_value, new_value, ip_address, created_at, actor_role, on_behalf_of
  )
  select
    a.actor_id, a.actor_type, (coalesce(r.new_row, r.old_row) ->> 'id')::uuid, r.target_type, r.action,
    app.mask_row(app.changed_part(r.old_row, r.new_row)), app.mask_row(app.changed_part(r.new_row, r.old_row)),
    r.ip_address, r.created_at, r.actor_role, a.on_behalf_of
  from rows as r
  cross join lateral app.actor_of(r.claims, r.actor_role) as a
  order by r.created_at, r.id;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function app.flush_audit_buffer(int) is
  'Moves up to so many buffered statements to audit_logs, masked; returns the rows written. Two at once share the work';

create function app.make_audit_partitions(p_months_ahead int default 3)
returns int language plpgsql volatile set search_path = ''
as $$
declare
  v_month date;
  v_name text;
  v_count int := 0;
begin
  perform pg_advisory_xact_lock(hashtext('app.audit_logs partitions'));
  for v_month in
    select (date_trunc('month', now() at time zone 'UTC') + make_interval(months => m))::date from generate_series(0, p_months_ahead) as m
  loop
    v_name := 'audit_logs_' || to_char(v_month, 'YYYY_MM');
    if to_regclass('app.' || v_name) is null then
      -- Attached only after rows of that month have left the default partition, or attaching would fail.
      execute format('create table app.%I (like app.audit_logs including defaults including constraints)', v_name);
      -- Where the job came late, rows of the month lie in the default partition: the one move that is allowed.
      alter table app.audit_logs_default disable trigger _100_append_only;
      execute format(
        'with moved as (delete from app.audit_logs_default where created_at >= %L and created_at < %L returning *)
         insert into app.%I select * from moved',
        v_month::timestamp at time zone 'UTC', (v_month + interval '1 month')::timestamp at time zone 'UTC', v_name);
      alter table app.audit_logs_default enable trigger _100_append_only;
      execute format('alter table app.audit_logs attach partition app.%I for values from (%L) to (%L)', v_name,
        v_month::timestamp at time zone 'UTC', (v_month + interval '1 month')::timestamp at time zone 'UTC');
      execute format('alter table app.%I enable row level security', v_name);
      v_count := v_count + 1;
    end if;
  end loop;
  return v_count;
end $$;
comment on function app.make_audit_partitions(int) is 'Makes the monthly partitions of audit_logs from this month to so many ahead; returns how many';

create function jobs.flush_audit()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('audit-flush', v_started_at, app.flush_audit_buffer());
end $$;
comment on function jobs.flush_audit() is 'Moves buffered changes to audit_logs; returns the rows written';

create function jobs.make_partitions()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('partition-maker', v_started_at, app.make_audit_partitions());
end $$;
comment on function jobs.make_partitions() is 'Keeps monthly partitions of audit_logs three months ahead; returns how many it made';

create trigger _100_append_only before update or delete on app.audit_logs
for each row execute function app.tg_append_only();
create trigger _100_append_only before update on app.audit_buffer
for each row execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.audit_logs
for each statement execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.audit_buffer
for each statement execute function app.tg_append_only();

do $$ begin perform app.make_audit_partitions(); end $$;
