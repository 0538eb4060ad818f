-- The tree of regions.

create function app.ancestor_regions(p_region_id uuid)
returns table (region_id uuid, distance int) language sql stable
as $$
  with recursive ancestors as (
    select r.id, r.parent_region_id, 0 as distance from app.regions as r where r.id = p_region_id
    union all
    select r.id, r.parent_region_id, a.distance + 1
    from ancestors as a join app.regions as r on r.id = a.parent_region_id
  )
  select a.id, a.distance from ancestors as a
$$;
comment on function app.ancestor_regions(uuid) is
  'The region (distance 0) and its ancestors, the distance growing by 1 with each';

create function app.region_time_zone(p_region_id uuid) returns text language sql stable
as $$
  select coalesce((
    select r.time_zone
    from app.ancestor_regions(p_region_id) as a join app.regions as r on r.id = a.region_id
    where r.time_zone is not null order by a.distance limit 1
  ), 'Asia/Jakarta')
$$;
comment on function app.region_time_zone(uuid) is
  'Time zone of a region: its own, else that of the nearest ancestor, else Asia/Jakarta';

-- Every statement takes the lock first, also by psql: two concurrent edits could close a cycle
-- that neither of them sees. The tree is small and rarely edited.
create trigger _020_lock before insert or update of parent_region_id on app.regions
for each statement execute function app.tg_lock_table();

-- After the statement, so that it sees every row that the statement wrote. UNION ends the search in
-- a cycle.
create function app.tg_regions__acyclic() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    with recursive ancestors as (
      select r.id, r.parent_region_id from app.regions as r where r.id = new.parent_region_id
      union
      select r.id, r.parent_region_id
      from ancestors as a join app.regions as r on r.id = a.parent_region_id
    )
    select from ancestors as a where a.id = new.id
  ) then
    perform app.fail('INVALID_REGION', format('%s would be its own ancestor', new.code));
  end if;
  return null;
end $$;
create trigger _100_acyclic after insert or update of parent_region_id on app.regions
for each row when (new.parent_region_id is not null) execute function app.tg_regions__acyclic();

create trigger _900_touch before update on app.regions
for each row execute function app.tg_touch_updated_at();
