-- Agents. No role is granted password_hash.

alter table app.agents enable row level security;

grant select (
  id, email, full_name, phone, role, region_id, is_active, created_at, updated_at
) on app.agents to admin;
-- Agents see the names of all staff, without addresses and numbers.
grant select (id, full_name, role, region_id, is_active) on app.agents to agent;

create policy agents__agent_select on app.agents for select to agent using (true);
create policy agents__admin_select on app.agents for select to admin using (true);

-- Master data (D-5): agents are deactivated, not deleted, because the trail names them.
grant insert (email, full_name, phone, role, region_id, is_active),
update (email, full_name, phone, role, region_id, is_active) on app.agents to superadmin;

create policy agents__superadmin_insert on app.agents for insert to superadmin with check (true);
create policy agents__superadmin_update on app.agents for update to superadmin
using (true) with check (true);
