-- Invoices, payments and credit notes. Each row carries its partner, so that a policy selects by an
-- index instead of joining orders; the rows are those of M-5.2-2.

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

alter table app.credit_notes enable row level security;
alter table app.credit_note_items enable row level security;
alter table app.invoice_credits enable row level security;

grant select on app.credit_notes, app.credit_note_items, app.invoice_credits
to partner, agent, admin;
-- api.order_items shows what came back, without amounts.
grant select (id, order_item_id, quantity) on app.credit_note_items to subdist;

create policy credit_notes__partner_select on app.credit_notes for select to partner
using (partner_id = (select auth.current_user_id()));
create policy credit_notes__agent_select on app.credit_notes for select to agent
using ((select true from app.partners as p where p.id = credit_notes.partner_id));
create policy credit_notes__admin_select on app.credit_notes for select to admin using (true);

create policy credit_note_items__partner_select on app.credit_note_items for select to partner
using (partner_id = (select auth.current_user_id()));
create policy credit_note_items__agent_select on app.credit_note_items for select to agent
using ((select true from app.partners as p where p.id = credit_note_items.partner_id));
create policy credit_note_items__subdist_select on app.credit_note_items for select to subdist
using ((select true from app.order_items as i where i.id = credit_note_items.order_item_id));
create policy credit_note_items__admin_select on app.credit_note_items for select to admin
using (true);

create policy invoice_credits__partner_select on app.invoice_credits for select to partner
using (partner_id = (select auth.current_user_id()));
create policy invoice_credits__agent_select on app.invoice_credits for select to agent
using ((select true from app.partners as p where p.id = invoice_credits.partner_id));
create policy invoice_credits__admin_select on app.invoice_credits for select to admin
using (true);
