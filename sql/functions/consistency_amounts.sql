-- Invariants of amounts: money, stock and points add up. consistency.sql explains how they are run.

create view app.consistency_point_balance as
select
  p.id as subject_id,
  format('point_balance is %s, the ledger sums to %s', p.point_balance, coalesce(t.points, 0))
    as details
from app.partners as p
left join (
  select l.partner_id, sum(l.points) as points
  from app.point_transactions as l group by l.partner_id
) as t on t.partner_id = p.id
where p.point_balance <> coalesce(t.points, 0);
comment on view app.consistency_point_balance is
$$point_balance of each partner is the sum of their point_transactions
Scan: both tables whole, one hash aggregate.$$;

create view app.consistency_credit_used as
with owed as (
  select o.partner_id, o.grand_total as amount
  from app.orders as o where o.status in ('SUBMITTED', 'PROCESSING')
  union all
  select i.partner_id, i.amount - i.amount_paid as amount
  from app.invoices as i where i.status in ('UNPAID', 'PARTIAL')
)

select
  p.id as subject_id,
  format('credit_used is %s, owed and on order is %s', p.credit_used, coalesce(w.amount, 0))
    as details
from app.partners as p
left join (
  select o.partner_id, sum(o.amount) as amount from owed as o group by o.partner_id
) as w on w.partner_id = p.id
where p.credit_used <> coalesce(w.amount, 0);
comment on view app.consistency_credit_used is
$$credit_used of each partner is what they owe and have on order (ADR 5)
Scan: only open orders and unpaid invoices, by idx_orders_status and idx_invoices_unpaid.$$;

create view app.consistency_amount_paid as
select
  i.id as subject_id,
  format('%s of %s: amount_paid %s, payments %s, %s',
    i.invoice_number, i.amount, i.amount_paid, coalesce(y.amount, 0), i.status) as details
from app.invoices as i
left join (
  select q.invoice_id, sum(q.amount) as amount from app.invoice_payments as q group by q.invoice_id
) as y on y.invoice_id = i.id
where i.amount_paid <> coalesce(y.amount, 0)
  or i.amount_paid > i.amount
  or (i.status = 'PAID' and i.paid_at is null)
  or (i.status <> 'CANCELLED' and i.status::text <> case
    when coalesce(y.amount, 0) = i.amount then 'PAID' when y.amount > 0 then 'PARTIAL' else 'UNPAID'
  end);
comment on view app.consistency_amount_paid is
$$amount_paid of each invoice is the sum of its payments, at most its amount; its status follows
Scan: both tables whole, in the order of invoices_pkey and invoice_payments_reference_key: one merge
join, no sort.$$;

create view app.consistency_order_totals as
select
  o.id as subject_id,
  format('%s: subtotal %s, discount %s, points %s, total %s; lines %s, charged %s',
    o.order_number, o.subtotal, o.discount_amount, o.point_discount, o.grand_total,
    l.subtotal, l.line_total) as details
from app.orders as o
left join (
  select i.order_id, sum(i.quantity * i.list_price) as subtotal, sum(i.line_total) as line_total,
    bool_and(i.line_total = i.quantity * i.unit_price) as adds_up
  from app.order_items as i group by i.order_id
) as l on l.order_id = o.id
where (
  l.adds_up and o.subtotal = l.subtotal and o.discount_amount = l.subtotal - l.line_total
  and o.grand_total = o.subtotal - o.discount_amount - o.point_discount
) is not true;
comment on view app.consistency_order_totals is
$$The totals of each order are those of its lines, and grand_total is the sum of its parts
Scan: both tables whole, in the order of orders_pkey and order_items_product_key: one
merge join, no sort.$$;

create view app.consistency_order_rules as
select
  o.id as subject_id,
  format('%s of %s: %s points promised, %s by its rules; %s points used for %s, worth %s',
    o.order_number, o.grand_total, o.points_earned, r.promised, o.points_used, o.point_discount,
    r.discount) as details
from app.orders as o
cross join lateral (
  select
    case
      when o.grand_total >= (o.rules_applied #>> '{order.minimum_threshold,value}')::numeric
        then least(1000000000, floor(
          o.grand_total * coalesce(
            o.rules_applied #>> '{loyalty.multiplier.silver,value}',
            o.rules_applied #>> '{loyalty.multiplier.gold,value}',
            o.rules_applied #>> '{loyalty.multiplier.platinum,value}')::numeric
          / (o.rules_applied #>> '{loyalty.rupiah_per_point,value}')::numeric))
      else 0
    end as promised,
    round(
      o.points_used * (o.rules_applied #>> '{loyalty.point_value_rupiah,value}')::numeric, 2
    ) as discount
) as r
where o.submitted_at is not null
  and (o.points_earned = r.promised and o.point_discount = r.discount) is not true;
comment on view app.consistency_order_rules is
$$Points promised and rupiah paid with points follow from the configs pinned at submission
Scan: orders whole.$$;

create view app.consistency_billing as
select
  o.id as subject_id,
  format('%s is %s with a total of %s; %s invoices, %s not cancelled',
    o.order_number, o.status, o.grand_total, coalesce(v.invoices, 0), coalesce(v.amount, 0))
    as details
from app.orders as o
left join (
  select i.order_id, count(*) as invoices, count(*) filter (where i.status <> 'CANCELLED') as live,
    coalesce(sum(i.amount) filter (where i.status <> 'CANCELLED'), 0) as amount
  from app.invoices as i group by i.order_id
) as v on v.order_id = o.id
where case
  when o.status in ('APPROVED', 'SHIPPED', 'COMPLETED')
    then v.order_id is null or v.amount > o.grand_total
  else v.live > 0
end;
comment on view app.consistency_billing is
$$Every approved order is billed, none above its total; no other order has a live invoice
Scan: both tables whole, in the order of orders_pkey and idx_invoices_order: one merge join, no
sort.$$;

create view app.consistency_reserved_stock as
with reserving as (
  select o.id from app.orders as o
  where o.status in ('SUBMITTED', 'PROCESSING') and o.erp_reference is null
  union all
  select o.id from app.orders as o
  where o.status in ('APPROVED', 'SHIPPED', 'COMPLETED') and o.erp_reference is null
),

units as (
  select i.product_id, sum(i.quantity) as quantity
  from reserving as r inner join app.order_items as i on i.order_id = r.id
  group by i.product_id
)

select
  coalesce(s.product_id, u.product_id) as subject_id,
  format('reserved is %s, live orders reserve %s',
    coalesce(s.reserved::text, 'missing'), coalesce(u.quantity, 0)) as details
from app.inventory as s
full outer join units as u on u.product_id = s.product_id
where s.reserved is distinct from coalesce(u.quantity, 0)
union all
select p.id as subject_id, format('%s has no row of stock', p.sku) as details
from app.products as p
where not exists (select from app.inventory as s where s.product_id = p.id);
comment on view app.consistency_reserved_stock is
$$reserved of each product is the units of live orders that the ERP has not acknowledged
Scan: only such orders, by idx_orders_status and orders_erp_pending_idx; their lines by order, or
whole where many are open.$$;

create view app.consistency_vested_points as
with vested as (
  select
    t.invoice_id, sum(t.points) as points, count(*) filter (where t.type = 'EARNED') as times
  from app.point_transactions as t where t.invoice_id is not null group by t.invoice_id
),

billed as (
  select
    i.id, i.invoice_number, i.order_id, i.status, i.amount, o.order_number, o.grand_total,
    o.points_earned as promise, coalesce(v.points, 0) as points, coalesce(v.times, 0) as times,
    q.invoice_id is not null as is_queued
  from app.invoices as i
  inner join app.orders as o on o.id = i.order_id
  left join vested as v on v.invoice_id = i.id
  left join app.point_queue as q on q.invoice_id = i.id
)

select
  b.id as subject_id,
  format('%s is %s: points vested %s times, %s kept of %s promised for %s',
    b.invoice_number, b.status, b.times, b.points, b.promise, b.order_number) as details
from billed as b
where b.times > 1
  or (b.status <> 'PAID' and b.points <> 0)
  -- a share that rounds to 0 has no row in the ledger
  or (b.status = 'PAID' and not b.is_queued
    and b.points < floor(b.promise * b.amount / nullif(b.grand_total, 0)))
  or (b.status = 'PAID' and b.is_queued and b.times > 0)
union all
select
  b.order_id as subject_id,
  format('%s: %s points promised, %s vested', min(b.order_number), min(b.promise), sum(b.points))
    as details
from billed as b
group by b.order_id
having sum(b.points) not between 0 and min(b.promise)
  or (
    sum(b.amount) filter (where b.status = 'PAID' and not b.is_queued) = min(b.grand_total)
    and sum(b.points) <> min(b.promise)
  );
comment on view app.consistency_vested_points is
$$Each PAID invoice has its points once or is queued, no other has any; shares sum to the promise
Scan: invoices, orders and the ledger whole: a merge join in the order of orders_pkey and
idx_invoices_order, then hash joins.$$;

create view app.consistency_used_points as
with used as (
  select
    t.order_id, -coalesce(sum(t.points) filter (where t.type = 'REDEEMED'), 0) as redeemed,
    coalesce(sum(t.points) filter (where t.type = 'ADJUSTED'), 0) as returned, count(*) as rows
  from app.point_transactions as t
  where t.order_id is not null and t.invoice_id is null
  group by t.order_id
),

orders as (
  select o.id, o.order_number, o.status, o.points_used from app.orders as o where o.points_used > 0
)

select
  coalesce(o.id, u.order_id) as subject_id,
  format('%s is %s: %s points used, %s taken, %s given back',
    o.order_number, o.status, o.points_used, u.redeemed, u.returned) as details
from orders as o
full outer join used as u on u.order_id = o.id
where (
  u.redeemed = o.points_used
  and u.returned = case when o.status in ('REJECTED', 'CANCELLED') then o.points_used else 0 end
  and u.rows = case when o.status in ('REJECTED', 'CANCELLED') then 2 else 1 end
) is not true;
comment on view app.consistency_used_points is
$$Points used by an order were taken once, and given back once if it was cancelled or rejected
Scan: orders and the ledger whole.$$;

create view app.consistency_redemptions as
with moved as (
  select
    t.redemption_id, -coalesce(sum(t.points) filter (where t.type = 'REDEEMED'), 0) as taken,
    coalesce(sum(t.points) filter (where t.type = 'ADJUSTED'), 0) as returned, count(*) as rows
  from app.point_transactions as t where t.redemption_id is not null group by t.redemption_id
)

select
  r.id as subject_id,
  format('%s for %s points: %s taken, %s given back',
    r.status, r.points_spent, m.taken, m.returned) as details
from app.redemptions as r
left join moved as m on m.redemption_id = r.id
where (
  m.taken = r.points_spent
  and m.returned = case r.status when 'CANCELLED' then r.points_spent else 0 end
  and m.rows = case r.status when 'CANCELLED' then 2 else 1 end
) is not true
union all
select c.id as subject_id, format('%s: %s left', c.name, c.stock_available) as details
from app.redemption_catalog as c where c.stock_available < 0;
comment on view app.consistency_redemptions is
$$Each redemption took its points once, and gave them back once if cancelled; no stock is below 0
Scan: redemptions whole, the ledger by point_transactions_redemption_idx.$$;

create view app.consistency_statistics as
with period as (
  select app.open_months_start() as ends_at, p.refreshed_at - interval '1 day' as counted_until
  from app.statistics_period as p
),

-- An order that was closed since the last refresh may be counted or not.
expected as (
  select
    o.partner_id, date_trunc('month', o.submitted_at at time zone 'Asia/Jakarta')::date as month,
    count(*) filter (where o.closed_at is null) as fewest, count(*) as most,
    coalesce(sum(o.grand_total) filter (where o.closed_at is null), 0) as least,
    sum(o.grand_total) as greatest
  from app.orders as o
  where o.submitted_at < (select p.ends_at from period as p)
    and (o.closed_at is null or o.closed_at >= (select p.counted_until from period as p))
  group by o.partner_id, month
)

select
  coalesce(m.partner_id, e.partner_id) as subject_id,
  format('%s: %s orders for %s; the statistics have %s for %s',
    to_char(coalesce(m.month, e.month), 'YYYY-MM'), coalesce(e.most, 0), coalesce(e.greatest, 0),
    coalesce(m.order_count, 0), coalesce(m.total_spend, 0)) as details
from app.partner_closed_months as m
full join expected as e on e.partner_id = m.partner_id and e.month = m.month
where coalesce(m.order_count, 0) not between coalesce(e.fewest, 0) and coalesce(e.most, 0)
  or coalesce(m.total_spend, 0) not between coalesce(e.least, 0) and coalesce(e.greatest, 0);
comment on view app.consistency_statistics is
$$The statistics of each closed month are the live orders of that month
Scan: orders whole, hashed by partner and month.$$;
