-- Regions.

create view api.regions with (security_invoker = true) as
select r.id, r.name, r.code, r.parent_region_id, r.created_at from app.regions as r;
comment on view api.regions is 'Sales regions, a tree by parent_region_id';

grant select on api.regions to agent, admin;
