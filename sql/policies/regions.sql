-- Regions.

alter table app.regions enable row level security;

grant select on app.regions to agent, admin;

create policy regions__staff_select on app.regions for select to agent, admin using (true);

-- Master data (D-5).
grant insert (id, name, code, parent_region_id, time_zone),
update (id, name, code, parent_region_id, time_zone),
delete on app.regions to admin;

create policy regions__admin_insert on app.regions for insert to admin with check (true);
create policy regions__admin_update on app.regions for update to admin
using (true) with check (true);
create policy regions__admin_delete on app.regions for delete to admin using (true);
