-- The audit trail: headquarters only, and changes of the configuration superadmins only. The buffer
-- is private.

alter table app.audit_buffer enable row level security;
alter table app.audit_logs enable row level security;
alter table app.audit_logs_default enable row level security;

grant select on app.audit_logs to admin;

create policy audit_logs__admin_select on app.audit_logs for select to admin
using (target_type <> 'system_configs');
create policy audit_logs__superadmin_select on app.audit_logs for select to superadmin using (true);
