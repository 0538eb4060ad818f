-- The lists benchmark: people and products beside those of hub.sql, and bench.add_orders(), which
-- adds orders with all that belongs to them. Orders are skewed as in a real business: one partner
-- has a twentieth of them; one remote region has few, all of them old. Balances (credit, stock,
-- points) are left alone, because no list depends on them.

create function bench.agent_id(p_number int) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8003-' || lpad(p_number::text, 12, '0'))::uuid $$;

create function bench.reward_id(p_number int) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8004-' || lpad(p_number::text, 12, '0'))::uuid $$;

create function bench.id_at(p_at timestamptz) returns uuid language sql volatile
as $$
  select (
    left(app.uuid_v7_floor(p_at)::text, 14) || '7' || substr(gen_random_uuid()::text, 16)
  )::uuid
$$;

-- The first order is two years old; the millionth is as new as the database.
create table bench.history as select now() - interval '730 days' as started_at;

insert into app.regions (name, code, parent_region_id)
select 'Remote town', 'B-remote', r.id from app.regions as r where r.code = 'B';
insert into app.sub_distributors (id, region_id, business_name, whatsapp_number)
select bench.subdist_id(5000), r.id, 'Remote sub-distributor', '+628120000000'
from app.regions as r where r.code = 'B-remote';
insert into app.sub_distributors (id, region_id, business_name, whatsapp_number)
select
  bench.subdist_id(6000 + n), r.id, 'Small sub-distributor ' || n,
  '+62812' || lpad(n::text, 7, '0')
from generate_series(1, 500) as n
join app.regions as r on r.code = 'B-' || n % 50 % 10 || '-' || n % 50;

-- 1: town, 2: national, 3: remote, 4: admin, 5: superadmin, 100 and more: others.
insert into app.agents (id, email, password_hash, full_name, role, region_id)
select
  bench.agent_id(a.n), 'agent' || a.n || '@bench.test', 'x', 'Agent ' || a.n,
  a.role::app.agent_role_enum, r.id
from (values
  (1, 'SALESMAN', 'B-7-7'), (2, 'SALESMAN', 'B'), (3, 'SALESMAN', 'B-remote'), (4, 'ADMIN', null),
  (5, 'SUPERADMIN', null)
) as a (n, role, code)
left join app.regions as r on r.code = a.code;
insert into app.agents (id, email, password_hash, full_name, role, region_id)
select
  bench.agent_id(n), 'agent' || n || '@bench.test', 'x', 'Agent ' || n, 'SALESMAN', r.id
from generate_series(100, 199) as n
join app.regions as r on r.code = 'B-' || n % 50 % 10 || '-' || n % 50;

insert into app.partners (
  id, email, phone, password_hash, business_name, tier, region_id, credit_limit, address
)
select
  bench.partner_id(i), 'salon' || i || '@bench.test', '+62813' || lpad(i::text, 7, '0'), 'x',
  'Salon ' || md5(i::text), (array['SILVER', 'GOLD', 'PLATINUM'])[1 + i % 3]::app.tier_enum, r.id,
  1e12, 'Jalan Bench ' || i
from generate_series(1001, 5000) as i
join app.regions as r
  on r.code = case when i > 4980 then 'B-remote' else 'B-' || i % 50 % 10 || '-' || i % 50 end;

insert into app.products (id, sku, name, brand_id, category_id, base_price, is_active, description)
select
  bench.product_id(i), bench.sku(i),
  (array['Shampoo', 'Color', 'Mask', 'Serum'])[1 + i % 4] || ' ' || md5(i::text), b.id, c.id,
  30000 + i % 200 * 1000, i % 10 <> 3, repeat('A description of the product. ', 7)
from generate_series(1001, 5000) as i, app.brands as b, app.categories as c;
update app.inventory as s set erp_stock = 1000000, last_sync_at = now()
from generate_series(1001, 5000) as i where s.product_id = bench.product_id(i);
insert into app.tier_prices (
  product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until
)
select
  p.id, t.tier, round(p.base_price * t.part * y.part), 10,
  round(p.base_price * t.part * y.part * 0.95), y.effective_from, y.effective_until
from generate_series(1001, 5000) as i
join app.products as p on p.id = bench.product_id(i),
  (values ('SILVER'::app.tier_enum, 0.95), ('GOLD', 0.90), ('PLATINUM', 0.85)) as t (tier, part),
  (values
    (0.9, now() - interval '2 years', now() - interval '1 year'),
    (1.0, now() - interval '1 year', null::timestamptz)
  ) as y (part, effective_from, effective_until);
insert into app.redemption_catalog (id, name, points_required, stock_available, is_active)
select bench.reward_id(n), 'Reward ' || n, 10 * n, 100, n % 7 <> 0
from generate_series(1, 100) as n;

-- Building an index at the end is several times faster than adding each row to it. Partial indexes
-- stay: few rows are in them.
create table bench.dropped_indexes (definition text not null);

create function bench.drop_indexes() returns void
language plpgsql volatile
as $$
declare
  v_index record;
begin
  for v_index in
    select i.indexrelid::regclass as name, pg_get_indexdef(i.indexrelid) as definition
    from pg_catalog.pg_index as i
    join pg_catalog.pg_class as c on c.oid = i.indexrelid
    where c.relnamespace = 'app'::regnamespace and c.relkind = 'i' and not c.relispartition
      and i.indpred is null
      and not exists (select from pg_catalog.pg_constraint as k where k.conindid = c.oid)
  loop
    insert into bench.dropped_indexes (definition) values (v_index.definition);
    execute format('drop index %s', v_index.name);
  end loop;
end $$;

create function bench.restore_indexes() returns void
language plpgsql volatile
as $$
declare
  v_definition text;
begin
  for v_definition in select d.definition from bench.dropped_indexes as d loop
    execute v_definition;
  end loop;
  truncate bench.dropped_indexes;
end $$;

-- Adds the orders p_from to p_to, oldest first, each a minute after the last. Triggers and foreign
-- keys do not see these rows: the caller sets session_replication_role = replica.
create function bench.add_orders(p_from int, p_to int) returns void
language plpgsql volatile
as $$
declare
  v_rules constant jsonb := '{
    "loyalty.multiplier.silver": {"value": 1, "version": 1},
    "order.minimum_threshold": {"value": 500000, "version": 1},
    "credit.over_limit_policy": {"value": "FLAG", "version": 1},
    "loyalty.rupiah_per_point": {"value": 10000, "version": 1},
    "loyalty.point_value_rupiah": {"value": 100, "version": 1}}';
begin
  drop table if exists pg_temp.plan;
  create temporary table plan as
  select
    o.n, o.at, bench.id_at(o.at) as id, bench.id_at(o.at + interval '2 hours') as invoice_id,
    case
      when o.remote then 'COMPLETED' when o.n % 100 = 0 then 'SUBMITTED'
      when o.n % 200 = 7 then 'PROCESSING' when o.n % 50 = 1 then 'CANCELLED' else 'COMPLETED'
    end as status,
    o.n % 40 = 3 as unpaid,
    bench.partner_id(case
      when o.remote then 4981 + o.n / 100 % 20
      when o.n % 20 = 7 then 1
      else 1 + (o.n::bigint * 7919 % 4980)::int
    end) as partner_id,
    bench.subdist_id(case
      when o.remote then 5000
      when o.n % 20 = 9 then 6001 + (o.n::bigint * 7919 % 500)::int
      else o.n % 50
    end) as subdist_id
  from (
    select n, h.started_at + n * interval '63 seconds' as at, n <= 10000 and n % 100 = 2 as remote
    from bench.history as h, generate_series(p_from, p_to) as n
  ) as o;

  insert into app.orders (
    id, order_number, partner_id, routed_to_subdist_id, routed_at, status, subtotal, grand_total,
    points_earned, submitted_at, approved_at, shipped_at, completed_at, created_at, updated_at,
    closed_at, erp_reference, erp_acknowledged_at, rules_applied, idempotency_key, request_hash,
    awaiting, awaiting_since
  )
  select
    p.id, 'B' || p.n, p.partner_id, p.subdist_id, p.at, p.status::app.order_status_enum, 600000,
    600000, 60, p.at, d.at, d.at, d.at, p.at, p.at, case p.status when 'CANCELLED' then p.at end,
    case when d.at is not null then 'S' || p.n end, d.at, v_rules, gen_random_uuid()::text,
    sha256(p.n::text::bytea), w.awaiting,
    case when w.awaiting in ('SUBDIST', 'HEADQUARTERS') then p.at end
  from pg_temp.plan as p
  cross join lateral (select case p.status when 'COMPLETED' then p.at end) as d (at)
  cross join lateral
    app.order_awaiting(p.status::app.order_status_enum, p.subdist_id, null) as w (awaiting)
  order by p.n;

  insert into app.order_items (
    id, order_id, partner_id, product_id, quantity, unit_price, list_price, line_total, created_at
  )
  select
    bench.id_at(p.at), p.id, p.partner_id, bench.product_id((1 + (p.n * 7 + line * 13) % 5000)), 2,
    100000, 100000, 200000, p.at
  from pg_temp.plan as p cross join generate_series(1, 3) as line
  order by p.n;

  insert into app.order_events (
    order_id, partner_id, event, from_status, to_status, actor_role, created_at
  )
  select
    p.id, p.partner_id, 'STATUS', e.from_status::app.order_status_enum,
    e.to_status::app.order_status_enum, 'system', p.at + e.step * interval '1 second'
  from pg_temp.plan as p
  join (values
    (1, null, 'SUBMITTED', '{SUBMITTED,PROCESSING,CANCELLED,COMPLETED}'::text[]),
    (2, 'SUBMITTED', 'CANCELLED', '{CANCELLED}'),
    (2, 'SUBMITTED', 'PROCESSING', '{PROCESSING,COMPLETED}'),
    (3, 'PROCESSING', 'APPROVED', '{COMPLETED}'),
    (4, 'APPROVED', 'SHIPPED', '{COMPLETED}'),
    (5, 'SHIPPED', 'COMPLETED', '{COMPLETED}')
  ) as e (step, from_status, to_status, statuses) on p.status = any (e.statuses)
  order by p.n, e.step;

  insert into app.invoices (
    id, order_id, partner_id, invoice_number, amount, amount_paid, status, due_date, paid_at,
    created_at, updated_at
  )
  select
    p.invoice_id, p.id, p.partner_id, 'B' || p.n, 600000, case when p.unpaid then 0 else 600000 end,
    case when p.unpaid then 'UNPAID' else 'PAID' end::app.invoice_status_enum,
    p.at + interval '45 days', case when not p.unpaid then p.at end, p.at, p.at
  from pg_temp.plan as p where p.status = 'COMPLETED'
  order by p.n;

  insert into app.invoice_payments (
    id, invoice_id, partner_id, amount, reference_number, paid_at, created_at
  )
  select bench.id_at(p.at), p.invoice_id, p.partner_id, 600000, 'R' || p.n, p.at, p.at
  from pg_temp.plan as p where p.status = 'COMPLETED' and not p.unpaid
  order by p.n;

  insert into app.point_transactions (
    id, partner_id, order_id, invoice_id, type, points, created_at
  )
  select bench.id_at(p.at), p.partner_id, p.id, p.invoice_id, 'EARNED', 60, p.at
  from pg_temp.plan as p where p.status = 'COMPLETED' and not p.unpaid
  order by p.n;

  insert into app.redemptions (
    id, partner_id, catalog_item_id, points_spent, created_at, status
  )
  select bench.id_at(p.at), p.partner_id, bench.reward_id(1 + p.n % 100), 10, p.at, 'DELIVERED'
  from pg_temp.plan as p where p.n % 20 = 2
  order by p.n;

  insert into app.messages (
    id, template, recipient_type, recipient_id, order_id, status, created_at, priority
  )
  select
    bench.id_at(p.at), m.template, m.recipient_type,
    case m.recipient_type when 'SUBDIST' then p.subdist_id else p.partner_id end, p.id, 'SENT',
    p.at, app.message_priority(m.template)
  from pg_temp.plan as p,
    (values
      ('order_routed', 'SUBDIST'), ('invoice_issued', 'PARTNER')
    ) as m (template, recipient_type)
  order by p.n;

  insert into app.sla_escalation_logs (
    id, order_id, escalation_level, notified_to, notified_type, triggered_at, clock_started_at,
    due_at
  )
  select
    bench.id_at(p.at), p.id, l.level::app.escalation_level_enum,
    case l.type when 'SUBDIST' then p.subdist_id else bench.agent_id(4) end,
    l.type::app.notified_type_enum, p.at + l.after, p.at, p.at + l.after
  from pg_temp.plan as p,
    (values
      ('REMINDER', 'SUBDIST', interval '18 hours'), ('MANAGER', 'AGENT', '21 hours'),
      ('HQ_INTERVENTION', 'ADMIN', '24 hours')
    ) as l (level, type, after)
  where p.n % 20 = 4
  order by p.n;

  insert into app.agent_sessions (
    id, agent_id, impersonated_partner_id, started_at, expires_at, ended_at
  )
  select
    bench.id_at(p.at), bench.agent_id(100 + p.n % 100), p.partner_id, p.at,
    p.at + interval '1 hour', p.at + interval '20 minutes'
  from pg_temp.plan as p where p.n % 20 = 9
  order by p.n;
  insert into app.impersonation_notifications (
    agent_session_id, act, order_id, created_at, status
  )
  select s.id, 'ORDER', p.id, p.at, 'SENT'
  from pg_temp.plan as p
  join app.agent_sessions as s on s.impersonated_partner_id = p.partner_id and s.started_at = p.at
  where p.n % 20 = 9;

  insert into app.audit_logs (
    target_type, target_id, action, old_value, new_value, created_at, actor_type, actor_role
  )
  select
    'orders', p.id, a.action, a.old_value::jsonb, a.new_value::jsonb,
    p.at + a.step * interval '1 minute', a.actor_type::app.actor_type_enum, a.actor_role
  from pg_temp.plan as p,
    (values
      (1, 'INSERT', null, '{"status": "SUBMITTED"}', 'PARTNER', 'partner'),
      (2, 'UPDATE', '{"status": "SUBMITTED"}', '{"status": "PROCESSING"}', 'SYSTEM', 'subdist'),
      (3, 'UPDATE', '{"status": "PROCESSING"}', '{"status": "APPROVED"}', 'AGENT', 'admin')
    ) as a (step, action, old_value, new_value, actor_type, actor_role)
  where a.step = 1 or p.status = 'COMPLETED'
  order by p.n;
end $$;
