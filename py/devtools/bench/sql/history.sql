-- The history of a business: people and products beside those of hub.sql, and functions that add
-- orders with all that belongs to them, so that "hub check" finds nothing. Python calls them in the
-- order of devtools/bench/history.py.
--
-- One order comes in every 63 seconds at each size: a larger history is a longer one. All that is in
-- progress (open orders, unpaid invoices) is among the newest 10,000 orders, so queues are equally
-- long. Orders are skewed: one partner has a twentieth of them, 500 small sub-distributors share a
-- twentieth; one remote region has 100 orders, the oldest. The callers of lists.py have at least a
-- page of orders at each size.

create function bench.agent_id(p_number int) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8003-' || lpad(p_number::text, 12, '0'))::uuid $$;

create function bench.reward_id(p_number int) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8004-' || lpad(p_number::text, 12, '0'))::uuid $$;

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

-- Building an index at the end is several times faster than adding each row to it. The indexes of
-- constraints stay: their rows come in their own order. Those of messages stay, too: few rows are
-- in them, and pg_get_indexdef changes conditions on a domain.
create table bench.dropped_indexes (definition text primary key, size_rank int not null);

create function bench.drop_indexes() returns void
language plpgsql volatile
as $$
declare
  v_index record;
begin
  for v_index in
    select
      i.indexrelid::regclass as name, pg_get_indexdef(i.indexrelid) as definition,
      case i.indrelid::regclass::text
        when 'app.order_events' then 1 when 'app.order_items' then 2 else 3
      end as size_rank
    from pg_catalog.pg_index as i
    join pg_catalog.pg_class as c on c.oid = i.indexrelid
    where c.relnamespace = 'app'::regnamespace and c.relkind = 'i' and not c.relispartition
      and not exists (select from pg_catalog.pg_constraint as k where k.conindid = c.oid)
      and i.indrelid::regclass::text = any ('{
        app.orders,app.order_items,app.order_events,app.invoices,app.invoice_payments,
        app.point_transactions,app.redemptions,app.sla_escalation_logs,
        app.agent_sessions,app.impersonation_notifications}'::text[])
  loop
    insert into bench.dropped_indexes values (v_index.definition, v_index.size_rank);
    execute format('drop index %s', v_index.name);
  end loop;
  alter table app.orders drop constraint orders_row_check;
end $$;

-- Builds one index; false if none is left.
create function bench.restore_index() returns boolean
language plpgsql volatile
as $$
declare
  v_definition text;
begin
  delete from bench.dropped_indexes as d
  where d.definition = (
    select i.definition from bench.dropped_indexes as i
    order by i.size_rank, i.definition limit 1 for update skip locked
  )
  returning d.definition into v_definition;
  if v_definition is null then
    return false;
  end if;
  execute v_definition;
  return true;
end $$;

-- The configs that orders pin, by the partner's number modulo 3, and the points of the larger order.
-- Old orders have only those that "hub check" calculates with, which saves a third of their table.
create table bench.tier_rules as
select
  k.number, r.snapshot,
  (
    select jsonb_object_agg(c.key, c.value - 'version') from jsonb_each(r.snapshot) as c
    where c.key in (
      'loyalty.rupiah_per_point', 'loyalty.point_value_rupiah', 'order.minimum_threshold',
      'loyalty.multiplier.' || lower(k.tier))
  ) as old_snapshot,
  floor(600000 * (r.snapshot #>> array[format('loyalty.multiplier.%s', lower(r.tier::text)), 'value'])
    ::numeric / (r.snapshot #>> '{loyalty.rupiah_per_point,value}')::numeric)::int as points
from app.order_rules as r
join (values (0, 'SILVER'), (1, 'GOLD'), (2, 'PLATINUM')) as k (number, tier)
  on k.tier = r.tier::text;

create table bench.history (total int not null, newest_at timestamptz not null);

-- What the orders p_from to p_to are, oldest first. The functions below derive all rows from it, so
-- that several connections can write different tables at once.
create view bench.plan as
select
  n.n, h.total, n.n > h.total - 10000 as is_new, n.n > h.total - 200000 as is_messaged, a.at,
  i.prefix, i.suffix, (i.prefix || '7000-8000-' || i.suffix)::uuid as id,
  (i.prefix || '7010-8000-' || i.suffix)::uuid as invoice_id, s.status,
  s.status = 'COMPLETED' as is_billed,
  n.n > h.total - 10000 and n.n % 40 = 3 and not r.is_remote as is_unpaid,
  case when n.n % 3 = 0 then 3 else 2 end as lines, p.partner, bench.partner_id(p.partner) as partner_id,
  bench.subdist_id(case
    when r.is_remote then 5000
    when n.n <= 10000 and n.n % 400 = 13 then 6001
    when n.n % 20 = 9 then 6001 + (n.n::bigint * 7919 % 500)::int
    else p.partner % 50
  end) as subdist_id
from bench.history as h
cross join lateral generate_series(
  current_setting('bench.first')::int, current_setting('bench.last')::int) as n (n)
cross join lateral (
  select h.newest_at - (h.total - n.n) * interval '63 seconds' as at
) as a
cross join lateral (
  select lpad(to_hex((extract(epoch from a.at) * 1000)::bigint), 12, '0') as hex
) as x
cross join lateral (
  select left(x.hex, 8) || '-' || right(x.hex, 4) || '-' as prefix,
    lpad(to_hex(n.n), 12, '0') as suffix
) as i
cross join lateral (select n.n <= 10000 and n.n % 100 = 2 as is_remote) as r
cross join lateral (
  select case
    when r.is_remote then 4981 + n.n / 100 % 20
    when n.n % 20 = 7 then 1
    when n.n <= 10000 and n.n % 400 = 11 then 5
    else 1 + (n.n::bigint * 7919 % 4980)::int
  end as partner
) as p
cross join lateral (
  select case
    when r.is_remote or n.n <= h.total - 10000 then
      case when n.n % 50 = 1 and not r.is_remote then 'CANCELLED' else 'COMPLETED' end
    when n.n % 25 = 0 then 'SUBMITTED' when n.n % 50 = 7 then 'PROCESSING'
    when n.n % 50 = 1 then 'CANCELLED' else 'COMPLETED'
  end as status
) as s;

-- Triggers and foreign keys do not see these rows: the caller sets session_replication_role to
-- replica, and bench.first and bench.last to the numbers of the first and the last order.
create function bench.add_orders() returns void
language plpgsql volatile
as $$
begin
  insert into app.orders (
    id, order_number, partner_id, routed_to_subdist_id, routed_at, status, subtotal, grand_total,
    points_earned, is_eligible_for_points, submitted_at, approved_at, shipped_at, completed_at,
    created_at, updated_at, closed_at, erp_reference, erp_acknowledged_at, rules_applied,
    idempotency_key, request_hash, due_days, last_response_at, awaiting, awaiting_since
  )
  select
    p.id, 'B' || lpad(p.n::text, 9, '0'), p.partner_id, p.subdist_id, coalesce(t.turn, p.at),
    p.status::app.order_status_enum, p.lines * 200000, p.lines * 200000,
    case p.lines when 3 then r.points else 0 end, p.lines = 3, p.at, d.at, d.at, d.at, p.at, p.at,
    case p.status when 'CANCELLED' then p.at end,
    case when p.is_billed then 'S' || p.n end, d.at,
    case when p.is_new then r.snapshot else r.old_snapshot end, p.suffix, '\x00', 30,
    case p.status when 'PROCESSING' then t.turn end, w.awaiting, t.turn
  from bench.plan as p
  join bench.tier_rules as r on r.number = p.partner % 3
  cross join lateral (select case when p.is_billed then p.at end) as d (at)
  cross join lateral (
    select case when p.status in ('SUBMITTED', 'PROCESSING') then now() - interval '1 hour' end
  ) as t (turn)
  cross join lateral (
    select case p.status
      when 'SUBMITTED' then 'SUBDIST' when 'PROCESSING' then 'HEADQUARTERS' else 'NONE'
    end::app.awaiting_enum
  ) as w (awaiting);
  insert into app.order_items (
    id, order_id, partner_id, product_id, quantity, unit_price, list_price, line_total, created_at
  )
  select
    (p.prefix || '700' || l.line || '-8001-' || p.suffix)::uuid, p.id, p.partner_id,
    bench.product_id((1 + (p.n::bigint * 7 + l.line * 13) % 5000)::int), 2, 100000, 100000, 200000,
    p.at
  from bench.plan as p cross join lateral generate_series(1, p.lines) as l (line);
end $$;

create function bench.add_events() returns void
language sql volatile
as $$
  insert into app.order_events (
    order_id, partner_id, event, from_status, to_status, actor_role, created_at
  )
  select
    p.id, p.partner_id, 'STATUS', e.from_status::app.order_status_enum,
    e.to_status::app.order_status_enum, 'system', p.at + e.step * interval '1 second'
  from bench.plan as p
  cross join lateral (
    select * from (values
      (1, null, 'SUBMITTED', true), (2, 'SUBMITTED', 'CANCELLED', p.status = 'CANCELLED'),
      (2, 'SUBMITTED', 'PROCESSING', p.status in ('PROCESSING', 'COMPLETED')),
      (3, 'PROCESSING', 'APPROVED', p.is_billed), (4, 'APPROVED', 'SHIPPED', p.is_billed),
      (5, 'SHIPPED', 'COMPLETED', p.is_billed)
    ) as v (step, from_status, to_status, is_part) where v.is_part
  ) as e;
$$;

create function bench.add_invoices() returns void
language plpgsql volatile
as $$
begin
  insert into app.invoices (
    id, order_id, partner_id, invoice_number, amount, amount_paid, status, due_date, paid_at,
    created_at, updated_at
  )
  select
    p.invoice_id, p.id, p.partner_id, 'B' || lpad(p.n::text, 9, '0'), p.lines * 200000,
    case when p.is_unpaid then 0 else p.lines * 200000 end,
    case when p.is_unpaid then 'UNPAID' else 'PAID' end::app.invoice_status_enum,
    p.at + case when p.n % 80 = 3 then interval '12 hours' else interval '30 days' end,
    case when not p.is_unpaid then p.at end, p.at, p.at
  from bench.plan as p where p.is_billed;
  insert into app.invoice_payments (id, invoice_id, partner_id, amount, paid_at, created_at)
  select
    (p.prefix || '7020-8000-' || p.suffix)::uuid, p.invoice_id, p.partner_id, p.lines * 200000,
    p.at, p.at
  from bench.plan as p where p.is_billed and not p.is_unpaid;
  insert into app.redemptions (
    id, partner_id, catalog_item_id, points_spent, created_at, status
  )
  select
    (p.prefix || '7040-8000-' || p.suffix)::uuid, p.partner_id, bench.reward_id(1 + p.n % 100), 10,
    p.at, 'DELIVERED'
  from bench.plan as p
  where p.is_billed and not p.is_unpaid and p.lines = 3 and (p.n % 60 = 27 or p.n % 63 = 0);
  insert into app.point_transactions (
    id, partner_id, order_id, invoice_id, redemption_id, type, points, created_at
  )
  select
    (p.prefix || '703' || e.kind || '-8000-' || p.suffix)::uuid, p.partner_id,
    case e.kind when 0 then p.id end, case e.kind when 0 then p.invoice_id end,
    case e.kind when 1 then (p.prefix || '7040-8000-' || p.suffix)::uuid end,
    case e.kind when 0 then 'EARNED' else 'REDEEMED' end::app.point_tx_type_enum,
    case e.kind when 0 then r.points else -10 end, p.at
  from bench.plan as p
  join bench.tier_rules as r on r.number = p.partner % 3
  cross join generate_series(0, 1) as e (kind)
  where p.is_billed and not p.is_unpaid and p.lines = 3
    and (e.kind = 0 or p.n % 60 = 27 or p.n % 63 = 0);
end $$;

create function bench.add_notices() returns void
language plpgsql volatile
as $$
begin
  insert into app.messages (
    id, template, recipient_type, recipient_id, order_id, status, created_at, sent_at, priority
  )
  select
    (p.prefix || '705' || m.kind || '-8000-' || p.suffix)::uuid, m.template, m.recipient_type,
    case m.recipient_type
      when 'SUBDIST' then p.subdist_id when 'AGENT' then bench.agent_id(m.agent) else p.partner_id
    end,
    p.id, 'SENT', case when p.is_billed then p.at else now() end, p.at,
    app.message_priority(m.template)
  from bench.plan as p
  cross join lateral (
    select * from (values
      (0, 'order_routed', 'SUBDIST', 0, true), (1, 'invoice_issued', 'PARTNER', 0, p.is_billed),
      (2, 'order_approval_due', 'AGENT', 4, p.status = 'PROCESSING'),
      (3, 'sla_reminder', 'SUBDIST', 0, p.n % 200 = 4 and p.is_billed),
      (4, 'sla_manager', 'AGENT', 2, p.n % 200 = 4 and p.is_billed),
      (5, 'sla_escalation', 'AGENT', 4, p.n % 200 = 4 and p.is_billed)
    ) as v (kind, template, recipient_type, agent, is_part) where v.is_part
  ) as m
  where p.is_messaged;
  insert into app.sla_escalation_logs (
    id, order_id, escalation_level, notified_to, notified_type, triggered_at, clock_started_at,
    due_at, region_id
  )
  select
    (p.prefix || '706' || l.kind || '-8000-' || p.suffix)::uuid, p.id,
    l.level::app.escalation_level_enum,
    case l.type when 'SUBDIST' then p.subdist_id when 'AGENT' then bench.agent_id(2)
      else bench.agent_id(4) end,
    l.type::app.notified_type_enum, p.at, p.at, p.at, r.region_id
  from bench.plan as p
  join app.partners as r on r.id = p.partner_id
  cross join (values
    (0, 'REMINDER', 'SUBDIST'), (1, 'MANAGER', 'AGENT'), (2, 'HQ_INTERVENTION', 'ADMIN')
  ) as l (kind, level, type)
  where p.n % 200 = 4 and p.is_billed;
  insert into app.agent_sessions (
    id, agent_id, impersonated_partner_id, started_at, expires_at, ended_at
  )
  select
    (p.prefix || '7070-8000-' || p.suffix)::uuid, bench.agent_id(100 + p.n % 100), p.partner_id,
    p.at, p.at + interval '1 hour', p.at + interval '20 minutes'
  from bench.plan as p where p.n % 100 = 9;
  insert into app.impersonation_notifications (
    id, agent_session_id, act, order_id, created_at, status
  )
  select
    (p.prefix || '7080-8000-' || p.suffix)::uuid, (p.prefix || '7070-8000-' || p.suffix)::uuid,
    'ORDER', p.id, p.at, 'SENT'
  from bench.plan as p where p.n % 100 = 9;
end $$;

-- Balances, which triggers would have kept, the audit trail of the new orders, and statistics. Runs
-- when the indexes exist.
create function bench.finish() returns void
language plpgsql volatile
as $$
declare
  v_new_since constant uuid := (
    select o.id from app.orders as o
    order by o.id desc offset least(9999, (select h.total - 1 from bench.history as h)) limit 1
  );
begin
  alter table app.orders
  add constraint orders_row_check check (app.check_order(orders)) not valid;
  update app.messages_period set purged_until = coalesce((
    select m.created_at from app.messages as m order by m.created_at limit 1), '-infinity');
  update app.partners as p set
    point_balance = coalesce(t.points, 0), credit_used = coalesce(o.total, 0) + coalesce(i.due, 0)
  from app.partners as q
  left join (
    select y.partner_id, sum(y.points) as points from app.point_transactions as y
    group by y.partner_id
  ) as t on t.partner_id = q.id
  left join (
    select y.partner_id, sum(y.grand_total) as total from app.orders as y
    where y.status in ('SUBMITTED', 'PROCESSING') group by y.partner_id
  ) as o on o.partner_id = q.id
  left join (
    select y.partner_id, sum(y.amount_due) as due from app.invoices as y
    where y.status = 'UNPAID' group by y.partner_id
  ) as i on i.partner_id = q.id
  where q.id = p.id;
  update app.inventory as s set reserved = u.quantity
  from (
    select i.product_id, sum(i.quantity) as quantity
    from app.orders as o join app.order_items as i on i.order_id = o.id
    where o.status in ('SUBMITTED', 'PROCESSING') group by i.product_id
  ) as u where u.product_id = s.product_id;
  insert into app.audit_logs (
    target_type, target_id, action, old_value, new_value, created_at, actor_type, actor_role
  )
  select t.target_type, t.id, 'INSERT', null, t.new_value, t.created_at, 'PARTNER', 'partner'
  from (
    select
      'orders' as target_type, o.id,
      jsonb_build_object('grand_total', o.grand_total, 'status', o.status, 'subtotal', o.subtotal,
        'points_earned', o.points_earned) as new_value, o.created_at
    from app.orders as o where o.id >= v_new_since
    union all
    select 'order_items', i.id, jsonb_build_object('quantity', i.quantity), i.created_at
    from app.order_items as i where i.id >= v_new_since
    union all
    select
      'invoices', i.id,
      jsonb_build_object('amount', i.amount, 'amount_paid', i.amount_paid, 'status', i.status),
      i.created_at
    from app.invoices as i where i.id >= v_new_since
    union all
    select 'invoice_payments', y.id, jsonb_build_object('amount', y.amount), y.created_at
    from app.invoice_payments as y where y.id >= v_new_since
    union all
    select 'point_transactions', y.id, jsonb_build_object('points', y.points), y.created_at
    from app.point_transactions as y where y.id >= v_new_since
    union all
    select 'redemptions', y.id, jsonb_build_object('points_spent', y.points_spent), y.created_at
    from app.redemptions as y where y.id >= v_new_since
    union all
    select 'agent_sessions', y.id, jsonb_build_object('started_at', y.started_at), y.started_at
    from app.agent_sessions as y where y.id >= v_new_since
  ) as t
  order by t.created_at;
  insert into app.audit_logs (
    target_type, target_id, action, old_value, new_value, created_at, actor_type, actor_role
  )
  select
    'orders', o.id, 'UPDATE', '{"status": "PROCESSING"}', jsonb_build_object('status', o.status),
    o.created_at + interval '1 minute', 'AGENT', 'admin'
  from app.orders as o where o.id >= v_new_since and o.status = 'COMPLETED'
  order by o.created_at;
end $$;
