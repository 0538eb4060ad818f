-- Shadow sessions and their notifications: headquarters only.

alter table app.agent_sessions enable row level security;
alter table app.impersonation_notifications enable row level security;

grant select on app.agent_sessions, app.impersonation_notifications to admin;

create policy agent_sessions__admin_select on app.agent_sessions for select to admin using (true);
create policy impersonation_notifications__admin_select
on app.impersonation_notifications for select to admin
using (true);
