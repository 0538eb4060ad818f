-- Quarantined rows of the ERP: headquarters only.

alter table app.erp_streams enable row level security;
alter table app.erp_cancellations enable row level security;
alter table app.erp_quarantine enable row level security;

grant select on app.erp_quarantine to admin;

create policy erp_quarantine__admin_select on app.erp_quarantine for select to admin using (true);
