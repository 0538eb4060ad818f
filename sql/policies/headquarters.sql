-- What headquarters alone sees: configuration, trail, escalations, messages, shadow sessions.

alter table app.system_configs enable row level security;
alter table app.system_config_history enable row level security;
alter table app.audit_logs enable row level security;
alter table app.audit_logs_default enable row level security;
alter table app.sla_escalation_logs enable row level security;
alter table app.agent_sessions enable row level security;
alter table app.impersonation_notifications enable row level security;
alter table app.messages enable row level security;
alter table app.erp_set_aside enable row level security;

grant select on app.system_configs, app.audit_logs, app.sla_escalation_logs, app.agent_sessions,
  app.impersonation_notifications, app.erp_set_aside to admin;
grant select on app.system_config_history to superadmin;
-- variables may hold a sign-in token: they are shown to nobody
grant select (
  id, template, channel, recipient_type, recipient_id, order_id, status, attempts, next_attempt_at, lease_until, provider_id,
  error_code, sent_at, delivered_at, created_at, priority, expires_at, unknown_since, repeats
) on app.messages to admin;

create policy system_configs__admin_select on app.system_configs for select to admin using (true);
create policy system_config_history__superadmin_select on app.system_config_history for select to superadmin using (true);
create policy audit_logs__admin_select on app.audit_logs for select to admin using (true);
create policy sla_escalation_logs__admin_select on app.sla_escalation_logs for select to admin using (true);
create policy agent_sessions__admin_select on app.agent_sessions for select to admin using (true);
create policy impersonation_notifications__admin_select on app.impersonation_notifications for select to admin using (true);
create policy messages__admin_select on app.messages for select to admin using (true);
create policy erp_set_aside__admin_select on app.erp_set_aside for select to admin using (true);
