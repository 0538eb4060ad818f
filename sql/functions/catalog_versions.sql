-- Versions of what is cached outside of the database. A transaction that changes a family raises
-- its version before it commits, so who reads the change also reads the new version.

-- Statements that change no row are no change.
create function app.tg_note_changed_rows() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from changed_rows) then
    perform app.note_cache_change(tg_argv[0]);
  end if;
  return null;
end $$;

create function app.tg_note_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.note_cache_change(tg_argv[0]);
  return null;
end $$;

create function app.tg_system_configs__note_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from changed_rows as c where c.config_key = any (app.frontend_config_keys())
  ) then
    perform app.note_cache_change('configs');
  end if;
  return null;
end $$;

create function app.note_cache_change(p_family text) returns void language plpgsql volatile
as $$
begin
  insert into app.cache_changes (transaction_id, family)
  values (pg_current_xact_id(), p_family)
  on conflict do nothing;
end $$;
comment on function app.note_cache_change(text) is
  'Notes that this transaction changes a family: it raises the version when it commits';

-- At the end of the transaction: it holds the lock on the version for the time of its commit only,
-- and waits for no other lock while it does, so writers neither queue up nor deadlock. All families
-- of the transaction at once, in their order, for the same reason.
create function app.tg_cache_changes__raise_versions() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_family text;
begin
  for v_family in
    with changed as (
      delete from app.cache_changes as c where c.transaction_id = new.transaction_id
      returning c.family
    )
    select c.family from changed as c order by c.family
  loop
    update app.cache_versions as v set
      version = greatest(v.version + 1, app.clock_microseconds())
    where v.family = v_family;
  end loop;
  return null;
end $$;
create constraint trigger _100_raise_versions after insert on app.cache_changes
deferrable initially deferred
for each row execute function app.tg_cache_changes__raise_versions();

create function app.clock_microseconds() returns bigint language sql volatile
as $$ select floor(extract(epoch from clock_timestamp()) * 1000000)::bigint $$;
comment on function app.clock_microseconds() is 'Microseconds since 1970 by the clock';

do $$
declare
  v_table text;
begin
  foreach v_table in array array['brands', 'categories', 'products', 'tier_prices'] loop
    execute format('create trigger _950_cache_version_insert after insert on app.%I
      referencing new table as changed_rows
      for each statement execute function app.tg_note_changed_rows(''catalogue'')', v_table);
    execute format('create trigger _950_cache_version_update after update on app.%I
      referencing new table as changed_rows
      for each statement execute function app.tg_note_changed_rows(''catalogue'')', v_table);
    execute format('create trigger _950_cache_version_delete after delete on app.%I
      referencing old table as changed_rows
      for each statement execute function app.tg_note_changed_rows(''catalogue'')', v_table);
    execute format('create trigger _950_cache_version_truncate after truncate on app.%I
      for each statement execute function app.tg_note_truncate(''catalogue'')', v_table);
  end loop;
end $$;

create trigger _950_cache_version_insert after insert on app.system_configs
referencing new table as changed_rows
for each statement execute function app.tg_system_configs__note_change();
create trigger _950_cache_version_update after update on app.system_configs
referencing new table as changed_rows
for each statement execute function app.tg_system_configs__note_change();
create trigger _950_cache_version_delete after delete on app.system_configs
referencing old table as changed_rows
for each statement execute function app.tg_system_configs__note_change();
create trigger _950_cache_version_truncate after truncate on app.system_configs
for each statement execute function app.tg_note_truncate('configs');

create function app.cache_version(p_family text) returns bigint language plpgsql stable
as $$
begin
  return (select v.version from app.cache_versions as v where v.family = p_family);
end $$;
comment on function app.cache_version(text) is 'The version of a family of cached answers';

-- A new release may make other documents of the same rows.
update app.cache_versions as v set version = greatest(v.version + 1, app.clock_microseconds());
delete from app.catalogue_bodies;
