-- Escalations: headquarters, and agents those of their regions. The escalation carries its region,
-- so that no order is read, however many there are.

alter table app.sla_escalation_logs enable row level security;
-- Only functions use it.
alter table app.task_escalations enable row level security;

grant select on app.sla_escalation_logs to agent, admin;

create policy sla_escalation_logs__agent_select on app.sla_escalation_logs for select to agent
using (region_id = any (array(select auth.agent_regions())));
create policy sla_escalation_logs__admin_select on app.sla_escalation_logs for select to admin
using (true);

alter table app.unbilled_orders enable row level security;

grant select on app.unbilled_orders to admin;

create policy unbilled_orders__admin_select on app.unbilled_orders for select to admin
using (true);
