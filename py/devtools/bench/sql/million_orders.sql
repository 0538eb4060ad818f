-- A million orders of two years, as a consistent database has them, to measure "hub check":
--   psql -d SCRATCH -v orders=1000000 -f py/devtools/bench/sql/million_orders.sql
--   ./hub check --database SCRATCH
-- The script bypasses triggers and foreign keys: run it on a scratch database only.
-- Rows are inserted in the order in which production would have inserted them.
-- Of the orders 1 in 100 is open, 1 in 40 unpaid, and 1 in 50 cancelled; each has three lines.

\set ON_ERROR_STOP on
\timing off
set session_replication_role = replica;
set synchronous_commit = off;
set work_mem = '256MB';

create function pg_temp.id_at(p_at timestamptz) returns uuid language sql volatile
as $$
  select (
    left(app.uuid_v7_floor(p_at)::text, 14) || '7' || substr(gen_random_uuid()::text, 16)
  )::uuid
$$;

insert into app.regions (name, code) values ('Jawa', 'JAWA');
insert into app.agents (email, password_hash, full_name, role)
values ('hq@hub.test', 'x', 'HQ', 'ADMIN');
insert into app.sub_distributors (region_id, business_name, whatsapp_number)
select r.id, 'CV ' || n, '+62812' || lpad(n::text, 7, '0') from app.regions as r, generate_series(1, 50) as n;
insert into app.partners (email, password_hash, business_name, tier, credit_limit, region_id)
select 'salon' || n || '@hub.test', 'x', 'Salon ' || n, 'SILVER', 1e9, r.id
from app.regions as r, generate_series(1, 5000) as n;
insert into app.products (sku, name, base_price)
select 'SKU-' || n, 'Shampoo ' || n, 100000 from generate_series(0, 1999) as n;
insert into app.inventory as s (product_id, erp_stock) select p.id, 1000000 from app.products as p
on conflict (product_id) do update set erp_stock = excluded.erp_stock;

create temporary table plan as
select
  n, at, pg_temp.id_at(at) as id, pg_temp.id_at(at + interval '2 hours') as invoice_id,
  case when n % 100 = 0 then 'SUBMITTED' when n % 50 = 1 then 'CANCELLED' else 'COMPLETED' end
    as status,
  n % 40 = 3 as unpaid
from (
  select
    n, now() - interval '10 minutes' - interval '730 days' * (1 - n::float8 / :orders) as at
  from generate_series(1, :orders) as n
) as g;
create temporary table numbered_partners as
select row_number() over () - 1 as n, p.id from app.partners as p;
create temporary table numbered_products as
select row_number() over () - 1 as n, p.id from app.products as p;
create temporary table numbered_subdists as
select row_number() over () - 1 as n, s.id from app.sub_distributors as s;

insert into app.orders (
  id, order_number, partner_id, routed_to_subdist_id, routed_at, status, subtotal, grand_total,
  points_earned, submitted_at, approved_at, completed_at, created_at, updated_at, closed_at,
  erp_reference, erp_acknowledged_at, rules_applied, sla_reminder_sent, sla_manager_notified,
  sla_escalated, awaiting, awaiting_since
)
select
  m.id, 'B' || m.n, p.id, s.id,
  case m.status when 'SUBMITTED' then now() - interval '1 hour' else m.at end,
  m.status::app.order_status_enum, 600000, 600000, 60, m.at,
  case m.status when 'COMPLETED' then m.at end, case m.status when 'COMPLETED' then m.at end,
  m.at, m.at, case m.status when 'CANCELLED' then m.at end,
  case m.status when 'COMPLETED' then 'S' || m.n end,
  case m.status when 'COMPLETED' then m.at end, r.snapshot, false, false, false, w.awaiting,
  case when w.awaiting = 'SUBDIST' then now() - interval '1 hour' end
from plan as m
join numbered_partners as p on p.n = m.n % 5000
join numbered_subdists as s on s.n = m.n % 50
join app.order_rules as r on r.tier = 'SILVER'
cross join lateral
  app.order_awaiting(m.status::app.order_status_enum, s.id, null) as w (awaiting)
order by m.n;
insert into app.order_items (
  id, order_id, partner_id, product_id, quantity, unit_price, list_price, line_total, created_at
)
select pg_temp.id_at(m.at), m.id, p.id, g.id, 2, 100000, 100000, 200000, m.at
from plan as m
join numbered_partners as p on p.n = m.n % 5000
cross join generate_series(0, 2) as l
join numbered_products as g on g.n = (m.n * 7 + l) % 2000
order by m.n;
insert into app.order_events (
  order_id, partner_id, event, from_status, to_status, actor_role, created_at
)
select
  m.id, p.id, 'STATUS', e.from_status::app.order_status_enum, e.to_status::app.order_status_enum,
  'system', m.at
from plan as m
join numbered_partners as p on p.n = m.n % 5000
join (values
  (1, null, 'SUBMITTED', 'SUBMITTED'), (1, null, 'SUBMITTED', 'CANCELLED'),
  (2, 'SUBMITTED', 'CANCELLED', 'CANCELLED'), (1, null, 'SUBMITTED', 'COMPLETED'),
  (2, 'SUBMITTED', 'PROCESSING', 'COMPLETED'), (3, 'PROCESSING', 'APPROVED', 'COMPLETED'),
  (4, 'APPROVED', 'SHIPPED', 'COMPLETED'), (5, 'SHIPPED', 'COMPLETED', 'COMPLETED')
) as e (step, from_status, to_status, final_status) on e.final_status = m.status
order by m.n, e.step;
insert into app.invoices (
  id, order_id, partner_id, invoice_number, amount, amount_paid, status, due_date, paid_at,
  created_at, updated_at
)
select
  m.invoice_id, m.id, p.id, 'B' || m.n, 600000, case when m.unpaid then 0 else 600000 end,
  case when m.unpaid then 'UNPAID' else 'PAID' end::app.invoice_status_enum, m.at,
  case when not m.unpaid then m.at end, m.at, m.at
from plan as m join numbered_partners as p on p.n = m.n % 5000
where m.status = 'COMPLETED'
order by m.n;
insert into app.invoice_payments (
  id, invoice_id, partner_id, amount, reference_number, paid_at, created_at
)
select pg_temp.id_at(m.at), m.invoice_id, p.id, 600000, 'R' || m.n, m.at, m.at
from plan as m join numbered_partners as p on p.n = m.n % 5000
where m.status = 'COMPLETED' and not m.unpaid
order by m.n;
insert into app.point_transactions (
  id, partner_id, order_id, invoice_id, type, points, created_at
)
select pg_temp.id_at(m.at), p.id, m.id, m.invoice_id, 'EARNED', 60, m.at
from plan as m join numbered_partners as p on p.n = m.n % 5000
where m.status = 'COMPLETED' and not m.unpaid
order by m.n;
insert into app.messages (
  id, template, recipient_type, recipient_id, order_id, status, created_at, priority
)
select
  pg_temp.id_at(m.at), 'order_routed', 'SUBDIST', s.id, m.id, 'SENT', now(),
  app.message_priority('order_routed')
from plan as m join numbered_subdists as s on s.n = m.n % 50
order by m.n;
update app.partners as p set
  point_balance = coalesce((
    select sum(t.points) from app.point_transactions as t where t.partner_id = p.id
  ), 0),
  credit_used = coalesce((
    select sum(o.grand_total) from app.orders as o
    where o.partner_id = p.id and o.status = 'SUBMITTED'
  ), 0) + coalesce((
    select sum(i.amount) from app.invoices as i where i.partner_id = p.id and i.status = 'UNPAID'
  ), 0);
update app.inventory as s set reserved = u.quantity
from (
  select i.product_id, sum(i.quantity) as quantity
  from app.order_items as i join app.orders as o on o.id = i.order_id
  where o.status = 'SUBMITTED' group by i.product_id
) as u where u.product_id = s.product_id;

-- The audit trail: the INSERT of each row, and two later changes of each order.
insert into app.audit_logs (
  target_type, target_id, action, new_value, created_at, actor_type, actor_role
)
select t.target_type, t.id, 'INSERT', t.new_value, t.created_at, 'SYSTEM', 'bench'
from (
  select
    'orders' as target_type, o.id,
    jsonb_build_object('grand_total', o.grand_total, 'status', o.status, 'subtotal', o.subtotal,
      'discount_amount', o.discount_amount, 'points_earned', o.points_earned) as new_value,
    o.created_at
  from app.orders as o
  union all
  select 'order_items', i.id, jsonb_build_object('quantity', i.quantity), i.created_at
  from app.order_items as i
  union all
  select 'invoices', i.id, jsonb_build_object('amount', i.amount),
    i.created_at + interval '2 hours'
  from app.invoices as i
  union all
  select 'invoice_payments', y.id, jsonb_build_object('amount', y.amount), y.created_at
  from app.invoice_payments as y
  union all
  select 'point_transactions', y.id, jsonb_build_object('points', y.points), y.created_at
  from app.point_transactions as y
  union all
  select r.target_type, r.id, jsonb_build_object('id', r.id), now()
  from app.audited_rows as r
  where r.target_type in ('partners', 'agents', 'sub_distributors')
) as t
order by t.created_at;
insert into app.audit_logs (
  target_type, target_id, action, new_value, created_at, actor_type, actor_role
)
select
  'orders', o.id, 'UPDATE', jsonb_build_object('status', o.status),
  o.created_at + interval '1 hour', 'SYSTEM', 'bench'
from app.orders as o cross join generate_series(1, 2)
order by o.created_at;

vacuum analyze;
