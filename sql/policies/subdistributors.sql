-- Sub-distributors.

alter table app.sub_distributors enable row level security;

grant select on app.sub_distributors to agent, admin;

create policy sub_distributors__agent_select on app.sub_distributors for select to agent
using (region_id = any (array(select auth.agent_regions())));
create policy sub_distributors__admin_select on app.sub_distributors for select to admin
using (true);
