-- Writes through the views of master data (D-5). Grants say which columns a role writes, policies
-- which rows, constraints what is valid. What these cannot say is here and in the files of the
-- domains. Triggers that name the roles admin and superadmin judge callers of the views only, not
-- the functions of the hub, which run as hub_owner, and not psql.

-- The lock comes before any row lock: two bodies with the same rows in opposite order would
-- deadlock, and two edits of a tree could close a cycle together.
create function app.tg_master_data__serialise() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  begin
    perform pg_advisory_xact_lock(hashtext('app.master_data'));
    -- The imports of the ERP write these tables, too.
    if tg_table_name in ('brands', 'categories', 'products', 'inventory') then
      perform app.lock_products();
    end if;
  exception when lock_not_available then
    perform app.fail('CONCURRENT_CHANGE', tg_table_name);
  end;
  perform set_config('hub.statement', clock_timestamp()::text, true);
  return null;
end $$;

-- Without it, an admin's change of many partners, which locks them in another order, would deadlock
-- with these transactions. Shared: they do not wait for each other.
create function app.lock_many_partners() returns void language plpgsql volatile
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('app.master_data'));
end $$;
comment on function app.lock_many_partners() is
  'Called first by transactions that lock several partners: waits while headquarters changes '
  'master data';

-- PostgreSQL refuses a body that inserts and then updates the same row with SQLSTATE 21000, of
-- which PostgREST makes a 500. Keys of the statement are kept in settings of the transaction, in
-- 256 of them, so that ten thousand rows do not search one long text.
create function app.tg_master_data__refuse_repeated_key() returns trigger
language plpgsql
as $$
declare
  v_row jsonb := to_jsonb(new);
  v_column text;
  v_key text;
  v_setting text;
  v_seen text;
begin
  foreach v_column in array tg_argv loop
    continue when v_row ->> v_column is null;
    v_key := format(E'\x1e%s %s %s %s\x1f',
      current_setting('hub.statement', true), tg_table_name, v_column, v_row ->> v_column);
    v_setting := 'hub.keys_' || (hashtext(v_key) & 255);
    v_seen := coalesce(current_setting(v_setting, true), '');
    if strpos(v_seen, v_key) > 0 then
      raise unique_violation using
        message = format('The body contains two rows of %s with the same %s',
          tg_table_name, v_column),
        detail = format('Key (%s)=(%s) occurs twice.', v_column, v_row ->> v_column),
        hint = 'Send each row once';
    end if;
    perform set_config(v_setting, v_seen || v_key, true);
  end loop;
  return new;
end $$;

create function app.tg_master_data__keep_id() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.fail('NOT_ALLOWED', format('The id of a row of %s cannot be changed', tg_table_name),
    'Filter by the id instead of sending it');
  return null;
end $$;

-- Keys by which an upsert may find a row, in the order in which they are compared.
do $$
declare
  v_table text;
  v_keys text;
begin
  for v_table, v_keys in
    select * from (values
      ('partners', 'id, email, phone'), ('agents', 'id, email'), ('sub_distributors', 'id'),
      ('regions', 'id, code'), ('brands', 'id, name'), ('categories', 'id, slug'),
      ('products', 'id, sku'), ('inventory', 'id, product_id'), ('tier_prices', 'id'),
      ('redemption_catalog', 'id')
    ) as keys (table_name, key_columns)
  loop
    execute format('create trigger _010_serialise before insert or delete on app.%I
      for each statement when (current_user in (''admin'', ''superadmin''))
      execute function app.tg_master_data__serialise()', v_table);
    execute format('create trigger _150_refuse_repeated_key before insert on app.%I
      for each row when (current_user in (''admin'', ''superadmin''))
      execute function app.tg_master_data__refuse_repeated_key(%s)', v_table, v_keys);
    execute format('create trigger _150_keep_id before update of id on app.%I
      for each row when (new.id <> old.id)
      execute function app.tg_master_data__keep_id()', v_table);
  end loop;
end $$;

-- By their columns where orders update the table: a list of columns costs such an update nothing.
create trigger _010_serialise_update before update of
  email, phone, business_name, tier, salon_type, chair_count, specialization, region_id,
  credit_limit, address, is_active
on app.partners
for each statement when (current_user in ('admin', 'superadmin'))
execute function app.tg_master_data__serialise();
create trigger _010_serialise_update before update of safety_buffer, erp_stock on app.inventory
for each statement when (current_user in ('admin', 'superadmin'))
execute function app.tg_master_data__serialise();
do $$
declare
  v_table text;
begin
  foreach v_table in array array[
    'agents', 'sub_distributors', 'regions', 'brands', 'categories', 'products', 'tier_prices',
    'redemption_catalog'
  ] loop
    execute format('create trigger _010_serialise_update before update on app.%I
      for each statement when (current_user in (''admin'', ''superadmin''))
      execute function app.tg_master_data__serialise()', v_table);
  end loop;
end $$;
