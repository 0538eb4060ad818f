-- Orders and their parts. The policies of M-5.2-1 to M-5.2-4 are here and in invoices.sql.
-- A part is visible with its parent: an agent's with the partner, a sub-distributor's with the
-- order, whose own policy says which. The scalar sub-select is an index probe for each row that a
-- list shows; EXISTS may be hashed, which reads all of the caller's partners or orders
-- (D-4.roles-6).

alter table app.orders enable row level security;
alter table app.order_items enable row level security;
alter table app.order_events enable row level security;

grant select on app.orders, app.order_items, app.order_events to partner, agent, admin, subdist;

create policy partner_orders on app.orders for select to partner
using (partner_id = (select auth.current_user_id()));
create policy agent_orders on app.orders for select to agent
using ((select true from app.partners as p where p.id = orders.partner_id));
create policy subdist_orders on app.orders for select to subdist
using (routed_to_subdist_id = (select auth.current_subdist_id()));
create policy orders__admin_select on app.orders for select to admin using (true);

create policy order_items__partner_select on app.order_items for select to partner
using (partner_id = (select auth.current_user_id()));
create policy order_items__agent_select on app.order_items for select to agent
using ((select true from app.partners as p where p.id = order_items.partner_id));
create policy order_items__subdist_select on app.order_items for select to subdist
using ((select true from app.orders as o where o.id = order_items.order_id));
create policy order_items__admin_select on app.order_items for select to admin using (true);

create policy order_events__partner_select on app.order_events for select to partner
using (partner_id = (select auth.current_user_id()));
create policy order_events__agent_select on app.order_events for select to agent
using ((select true from app.partners as p where p.id = order_events.partner_id));
create policy order_events__subdist_select on app.order_events for select to subdist
using ((select true from app.orders as o where o.id = order_events.order_id));
create policy order_events__admin_select on app.order_events for select to admin using (true);
