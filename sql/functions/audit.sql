-- The audit trail: a trigger appends one record per statement to a narrow buffer (M-6.3-2), in the
-- transaction of the change. audit_flush.sql moves it on; audit_partitions.sql keeps the
-- partitions.

create function app.tg_audit_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (target_type, action, new_rows, claims, actor_role, forwarded_for)
  select
    tg_table_name, tg_op, json_agg(n),
    auth.claims_text()::json, auth.caller_role(), auth.forwarded_for()
  from new_rows as n
  having count(*) > 0;
  return null;
end $$;

create function app.tg_audit_update() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (
    target_type, action, old_rows, new_rows, claims, actor_role, forwarded_for
  )
  select
    tg_table_name, tg_op, (select json_agg(o) from old_rows as o), json_agg(n),
    auth.claims_text()::json, auth.caller_role(), auth.forwarded_for()
  from new_rows as n
  having count(*) > 0;
  return null;
end $$;

create function app.tg_audit_delete() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (target_type, action, old_rows, claims, actor_role, forwarded_for)
  select
    tg_table_name, tg_op, json_agg(o),
    auth.claims_text()::json, auth.caller_role(), auth.forwarded_for()
  from old_rows as o
  having count(*) > 0;
  return null;
end $$;

-- An order that is inserted as SUBMITTED gets all its lines in one statement, so the order and its
-- lines are one record. Sub-selects instead of groups by order: an order has one of each, and a
-- statement of the owner that writes lines of several is one record, too. SECURITY INVOKER: only
-- the owner writes lines.
create function app.tg_audit_insert_lines() returns trigger
language plpgsql
as $$
begin
  insert into app.audit_buffer (
    target_type, action, order_rows, line_rows, claims, actor_role, forwarded_for
  )
  values (
    tg_table_name, tg_op,
    array(
      select o from app.orders as o
      where o.id = any (array(select n.order_id from new_rows as n)) and o.status <> 'DRAFT'
    ),
    array(select n::app.order_items from new_rows as n),
    auth.claims_text()::json, auth.caller_role(), auth.forwarded_for()
  );
  return null;
end $$;

create function app.tg_audit_insert_row() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (target_type, action, new_rows, claims, actor_role, forwarded_for)
  values (
    tg_table_name, tg_op, json_build_array(new),
    auth.claims_text()::json, auth.caller_role(), auth.forwarded_for()
  );
  return null;
end $$;

create function app.tg_audit_update_row() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.audit_buffer (
    target_type, action, old_rows, new_rows, claims, actor_role, forwarded_for
  )
  values (
    tg_table_name, tg_op, json_build_array(old), json_build_array(new),
    auth.claims_text()::json, auth.caller_role(), auth.forwarded_for()
  );
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
    'agent_sessions', 'regions', 'brands', 'categories', 'products', 'redemption_catalog',
    'credit_notes', 'credit_note_items', 'invoice_credits'
  ] loop
    if v_table not in ('orders', 'order_items') then
      execute format('create trigger _800_audit_insert after insert on app.%I
        referencing new table as new_rows
        for each statement execute function app.tg_audit_insert()', v_table);
    end if;
    if v_table not in ('partners', 'redemption_catalog') then
      execute format('create trigger _800_audit_update after update on app.%I
        referencing old table as old_rows new table as new_rows
        for each statement execute function app.tg_audit_update()', v_table);
    end if;
    execute format('create trigger _800_audit_delete after delete on app.%I
      referencing old table as old_rows
      for each statement execute function app.tg_audit_delete()', v_table);
  end loop;
end $$;

-- An order that is inserted as SUBMITTED is recorded with its lines.
create trigger _800_audit_insert after insert on app.orders
for each row when (new.status = 'DRAFT') execute function app.tg_audit_insert_row();
create trigger _800_audit_insert after insert on app.order_items
referencing new table as new_rows
for each statement execute function app.tg_audit_insert_lines();

-- Every column but the derived ones: the ledgers of credit_used and point_balance are audited. A
-- list of columns costs an order's update of credit_used nothing; a WHEN clause would.
create trigger _800_audit_update after update of
  id, email, phone, password_hash, business_name, tier, salon_type, chair_count, specialization,
  region_id, credit_limit, is_active, address, created_at, deleted_at
on app.partners
for each row execute function app.tg_audit_update_row();

-- Redemptions, which lower its stock, are audited themselves.
create trigger _800_audit_update after update on app.redemption_catalog
for each row when (current_user <> 'hub_owner') execute function app.tg_audit_update_row();

-- What headquarters enters; the ERP's readings and the orders' reservations have records of their
-- own.
create trigger _800_audit_update after update of safety_buffer, erp_stock on app.inventory
for each row when (
  current_user <> 'hub_owner'
  and (new.safety_buffer, new.erp_stock) is distinct from (old.safety_buffer, old.erp_stock)
)
execute function app.tg_audit_update_row();

-- Like the guard of ledgers, app.tg_append_only(): an erasure empties what the trail masked, and
-- the caller's address.
create function app.tg_audit_logs__append_only() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'UPDATE' and current_user = 'hub_owner' and app.is_erasing()
    and to_jsonb(new) - '{old_value,new_value,ip_address}'::text[]
    = to_jsonb(old) - '{old_value,new_value,ip_address}'::text[]
    and (
      new.old_value is not distinct from old.old_value
      or new.old_value = app.erase_row(old.target_type, old.old_value)
    )
    and (
      new.new_value is not distinct from old.new_value
      or new.new_value = app.erase_row(old.target_type, old.new_value)
    )
    and (new.ip_address is null or new.ip_address = old.ip_address)
  then
    return new;
  end if;
  perform app.fail('APPEND_ONLY', format('%s of %s', lower(tg_op), tg_table_name));
  return null;
end $$;

create trigger _100_append_only before update or delete on app.audit_logs
for each row execute function app.tg_audit_logs__append_only();
create trigger _100_append_only before update on app.audit_buffer
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.audit_logs
for each statement execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.audit_buffer
for each statement execute function app.tg_append_only();
