-- Configuration: headquarters only; its history: superadmins only.

alter table app.system_configs enable row level security;
alter table app.system_config_history enable row level security;
alter table app.order_rules enable row level security;

grant select on app.system_configs to admin;
grant select on app.system_config_history to superadmin;

create policy system_configs__admin_select on app.system_configs for select to admin using (true);
create policy system_config_history__superadmin_select
on app.system_config_history for select to superadmin
using (true);
