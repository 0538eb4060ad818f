-- The audit trail: a trigger appends one row per statement to a narrow buffer (M-6.3-2), in the
-- transaction of the change. audit_flush.sql moves it on; audit_partitions.sql keeps the
-- partitions.

create function app.tg_audit_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (target_type, action, new_rows, claims, actor_role, ip_address)
  select
    tg_table_name, tg_op, json_agg(n),
    auth.claims_text()::json, auth.caller_role(), auth.client_ip()
  from new_rows as n
  having count(*) > 0;
  return null;
end $$;

create function app.tg_audit_update() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (
    target_type, action, old_rows, new_rows, claims, actor_role, ip_address
  )
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
  select
    tg_table_name, tg_op, json_agg(o),
    auth.claims_text()::json, auth.caller_role(), auth.client_ip()
  from old_rows as o
  having count(*) > 0;
  return null;
end $$;

-- Personal and financial tables (M-5.1-2, M-5.1-3), and what changes money or access.
do $$
declare
  v_table text;
begin
  foreach v_table in array array[
    'partners', 'agents', 'sub_distributors', 'orders', 'order_items', 'invoices',
    'invoice_payments', 'point_transactions', 'redemptions', 'tier_prices', 'system_configs',
    'agent_sessions'
  ] loop
    execute format('create trigger _800_audit_insert after insert on app.%I
      referencing new table as new_rows
      for each statement execute function app.tg_audit_insert()', v_table);
    execute format('create trigger _800_audit_update after update on app.%I
      referencing old table as old_rows new table as new_rows
      for each statement execute function app.tg_audit_update()', v_table);
    execute format('create trigger _800_audit_delete after delete on app.%I
      referencing old table as old_rows
      for each statement execute function app.tg_audit_delete()', v_table);
  end loop;
end $$;

create trigger _100_append_only before update or delete on app.audit_logs
for each row execute function app.tg_append_only();
create trigger _100_append_only before update on app.audit_buffer
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.audit_logs
for each statement execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.audit_buffer
for each statement execute function app.tg_append_only();
