-- Regions.

create view api.regions with (security_invoker = true) as
select
  r.id, r.name, r.code, r.parent_region_id, r.time_zone, r.created_at, r.updated_at
from app.regions as r;
comment on view api.regions is
$$Sales regions, a tree by parent_region_id
Headquarters writes all columns but the times; a region that is referred to cannot be deleted.
Errors: INVALID_REGION 422.$$;

grant select on api.regions to agent, admin;

grant insert (id, name, code, parent_region_id, time_zone),
update (id, name, code, parent_region_id, time_zone),
delete on api.regions to admin;
