-- Phase 1, step 1 (M-7.1-1): regions, the tree that decides the routing of orders.

create table app.regions (
  id uuid primary key default app.uuid_v7(),
  name app.label not null,
  code varchar(20) not null constraint regions_code_key unique
  constraint regions_code_check check (code = btrim(code) and code <> ''),
  parent_region_id uuid
  constraint regions_parent_region_id_fkey references app.regions (id),
  created_at timestamptz not null default now(),
  time_zone varchar(50) constraint regions_time_zone_check
  check (time_zone in ('Asia/Jakarta', 'Asia/Makassar', 'Asia/Jayapura')),
  updated_at timestamptz not null default now(),
  constraint regions_parent_check check (parent_region_id <> id)
);
create index regions_parent_idx on app.regions (parent_region_id);

comment on table app.regions is
  'Sales regions of Indonesia as a tree. An order of a region without a sub-distributor goes to '
  'that of the nearest ancestor [pii: none]';
comment on column app.regions.code is 'Short, stable code, such as ID-JB-BDG';
comment on column app.regions.time_zone is
  'WIB, WITA or WIT; null: the zone of the parent region, Asia/Jakarta at the root';
comment on column app.regions.parent_region_id is
  'Parent region, null for the root; cycles are refused';
