-- Agents: the distributor's own staff.

create function app.agents_serving(p_region_id uuid)
returns uuid[] language plpgsql stable
as $$
begin
  return array(
    select a.id from app.agents as a
    where a.is_active and a.role = 'SALESMAN' and a.region_id = (
      select r.region_id from app.ancestor_regions(p_region_id) as r
      where exists (
        select from app.agents as x
        where x.region_id = r.region_id and x.is_active and x.role = 'SALESMAN'
      )
      order by r.distance limit 1
    )
  );
end $$;
comment on function app.agents_serving(uuid) is
  'Active sales agents of the region, else of the nearest one above it that has any';

create trigger _100_normalise_phone before insert or update of phone on app.agents
for each row execute function app.tg_normalise_phone();

-- The lock comes first: two superadmins who remove each other must not both succeed.
create trigger _020_lock_superadmins before update of role, is_active or delete on app.agents
for each statement execute function app.tg_lock_table();

-- After the statement, which may remove one superadmin and appoint another.
create function app.tg_agents__keep_superadmin() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from app.agents as a where a.role = 'SUPERADMIN' and a.is_active) then
    perform app.fail('LAST_SUPERADMIN');
  end if;
  return null;
end $$;
create trigger _100_keep_superadmin_update after update of role, is_active on app.agents
for each row when (
  old.role = 'SUPERADMIN' and old.is_active and not (new.role = 'SUPERADMIN' and new.is_active)
)
execute function app.tg_agents__keep_superadmin();
create trigger _100_keep_superadmin_delete after delete on app.agents
for each row when (old.role = 'SUPERADMIN' and old.is_active)
execute function app.tg_agents__keep_superadmin();

create trigger _300_close_sessions after update of role, is_active on app.agents
for each row when (old.role <> new.role or (old.is_active and not new.is_active))
execute function auth.tg_close_sessions();
create trigger _900_touch before update of
  email, full_name, phone, role, region_id, is_active, updated_at
on app.agents
for each row execute function app.tg_touch_updated_at();

create function app.export_agent(p_agent_id uuid)
returns jsonb language plpgsql volatile
as $$
begin
  return app.export_staff('app.agents', p_agent_id, 'agent', 'phone', true);
end $$;
comment on function app.export_agent(uuid) is
  'Everything that the hub stores about an agent; only superadmins. Raises NOT_ALLOWED, NOT_FOUND';
