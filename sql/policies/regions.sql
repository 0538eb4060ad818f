-- Regions.

alter table app.regions enable row level security;

grant select on app.regions to agent, admin;

create policy regions__staff_select on app.regions for select to agent, admin using (true);
