-- Agents. No role is granted password_hash.

alter table app.agents enable row level security;

grant select (
  id, email, full_name, phone, role, region_id, is_active, created_at, updated_at
) on app.agents to agent, admin;

create policy agents__agent_select on app.agents for select to agent
using (id = (select auth.current_user_id()));
create policy agents__admin_select on app.agents for select to admin using (true);
