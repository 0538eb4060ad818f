-- The tree of regions.

create function app.ancestor_regions(p_region_id uuid)
returns table (region_id uuid, distance int) language sql stable
as $$
  with recursive up as (
    select r.id, r.parent_region_id, 0 as distance from app.regions as r where r.id = p_region_id
    union all
    select r.id, r.parent_region_id, u.distance + 1
    from up as u join app.regions as r on r.id = u.parent_region_id
  )
  select u.id, u.distance from up as u
$$;
comment on function app.ancestor_regions(uuid) is 'The region (distance 0) and its ancestors, each one step further away';

-- The tree is small and rarely edited: one edit at a time, so that two cannot close a cycle together.
create function app.tg_regions__acyclic() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(hashtext('app.regions'));
  if exists (
    with recursive up as (
      select r.id, r.parent_region_id from app.regions as r where r.id = new.parent_region_id
      union
      select r.id, r.parent_region_id from up as u join app.regions as r on r.id = u.parent_region_id
    )
    select from up as u where u.id = new.id
  ) then
    perform app.fail('INVALID_REGION', format('%s would be its own ancestor', new.code));
  end if;
  return new;
end $$;
create trigger _100_acyclic before insert or update of parent_region_id on app.regions
for each row when (new.parent_region_id is not null) execute function app.tg_regions__acyclic();
