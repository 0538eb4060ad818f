-- Invoices and payments. Each row carries its partner, so that a policy selects by an index instead
-- of joining orders; the rows are those of M-5.2-2.

alter table app.invoices enable row level security;
alter table app.invoice_payments enable row level security;

grant select on app.invoices, app.invoice_payments to partner, agent, admin;

create policy partner_invoices on app.invoices for select to partner
using (partner_id = (select auth.current_user_id()));
create policy invoices__agent_select on app.invoices for select to agent
using ((select true from app.partners as p where p.id = invoices.partner_id));
create policy invoices__admin_select on app.invoices for select to admin using (true);

create policy invoice_payments__partner_select on app.invoice_payments for select to partner
using (partner_id = (select auth.current_user_id()));
create policy invoice_payments__agent_select on app.invoice_payments for select to agent
using ((select true from app.partners as p where p.id = invoice_payments.partner_id));
create policy invoice_payments__admin_select on app.invoice_payments for select to admin
using (true);
