-- Escalations: headquarters only.

alter table app.sla_escalation_logs enable row level security;

grant select on app.sla_escalation_logs to admin;

create policy sla_escalation_logs__admin_select on app.sla_escalation_logs for select to admin
using (true);
