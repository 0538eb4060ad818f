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
  -- Only an order of which an invoice was cancelled is unbilled: app.consistency_billing
  select o.partner_id, greatest(0, app.unbilled_amount(o.id)) as amount
  from (
    select distinct i.order_id from app.invoices as i where i.status = 'CANCELLED'
  ) as c
  inner join app.orders as o on o.id = c.order_id
  where o.status in ('APPROVED', 'SHIPPED', 'COMPLETED')
  union all
  select i.partner_id, i.amount_due as amount
  from app.invoices as i where i.status in ('UNPAID', 'PARTIAL')
)

select
  p.id as subject_id,
  format('credit_used is %s, owed, unbilled and on order is %s',
    p.credit_used, coalesce(w.amount, 0)) as details
from app.partners as p
left join (
  select o.partner_id, sum(o.amount) as amount from owed as o group by o.partner_id
) as w on w.partner_id = p.id
where p.credit_used <> coalesce(w.amount, 0);
comment on view app.consistency_credit_used is
$$credit_used of each partner is what they owe, have on order and were not billed yet (ADR 5)
Scan: only open orders, unpaid and cancelled invoices, by idx_orders_status, idx_invoices_unpaid
and idx_invoices_status.$$;

create view app.consistency_amount_paid as
select
  i.id as subject_id,
  format('%s of %s: amount_paid %s, payments %s, amount_credited %s, credits %s, %s',
    i.invoice_number, i.amount, i.amount_paid, coalesce(y.amount, 0), i.amount_credited,
    coalesce(c.amount, 0), i.status) as details
from app.invoices as i
left join (
  select q.invoice_id, sum(q.amount) as amount from app.invoice_payments as q group by q.invoice_id
) as y on y.invoice_id = i.id
left join (
  select u.invoice_id, sum(u.amount) as amount from app.invoice_credits as u group by u.invoice_id
) as c on c.invoice_id = i.id
cross join lateral (
  select i.amount - coalesce(c.amount, 0) - i.amount_written_off - coalesce(y.amount, 0) as due
) as d
where i.amount_paid <> coalesce(y.amount, 0)
  or i.amount_credited <> coalesce(c.amount, 0)
  or i.amount_paid not between 0 and i.amount
  or (i.status = 'PAID' and i.paid_at is null)
  or (i.status <> 'CANCELLED' and i.status::text <> case
    when d.due <= 0 then 'PAID' when y.amount > 0 then 'PARTIAL' else 'UNPAID'
  end);
comment on view app.consistency_amount_paid is
$$Amounts of each invoice are the sums of its payments and credits; its status follows
Scan: the three tables whole, in the order of invoices_pkey, invoice_payments_reference_key and
invoice_credits_invoice_idx: merge joins, no sort.$$;

create view app.consistency_reversals as
select
  r.id as subject_id,
  format('reversal of %s on %s takes back %s on %s', y.amount, y.invoice_id, -r.amount,
    r.invoice_id) as details
from app.invoice_payments as r
inner join app.invoice_payments as y on y.id = r.reverses_payment_id
where (r.invoice_id, -r.amount, y.kind) is distinct from (y.invoice_id, y.amount, 'PAYMENT');
comment on view app.consistency_reversals is
$$Each reversal takes back one payment of its invoice, to the last rupiah
Scan: only reversals, by invoice_payments_reversed_key.$$;

create view app.consistency_credit_notes as
with returned as (
  select l.order_item_id, sum(l.quantity) as quantity
  from app.credit_note_items as l group by l.order_item_id
),

lines as (
  select
    i.order_id, bool_or(r.quantity > i.quantity) as is_exceeded,
    bool_and(coalesce(r.quantity, 0) = i.quantity) as is_complete
  from app.order_items as i
  left join returned as r on r.order_item_id = i.id
  where i.order_id in (select c.order_id from app.credit_notes as c)
  group by i.order_id
),

credited as (
  select c.order_id, sum(c.amount) as amount, sum(c.points_returned) as points
  from app.credit_notes as c group by c.order_id
)

select
  o.id as subject_id,
  format('%s is %s: %s of %s credited, %s of %s points returned',
    o.order_number, o.status, c.amount, o.grand_total, c.points, o.points_used) as details
from credited as c
inner join app.orders as o on o.id = c.order_id
left join lines as l on l.order_id = c.order_id
where (
  o.status in ('SHIPPED', 'COMPLETED') and not l.is_exceeded
  and case
    when l.is_complete then c.amount = o.grand_total and c.points = o.points_used
    else c.amount <= o.grand_total and c.points <= o.points_used
  end
) is not true
union all
select
  c.id as subject_id,
  format('%s: %s credited, its lines %s, live invoices %s',
    c.credit_note_number, c.amount, coalesce(l.amount, 0), coalesce(u.amount, 0)) as details
from app.credit_notes as c
left join (
  select i.credit_note_id, sum(i.amount) as amount
  from app.credit_note_items as i group by i.credit_note_id
) as l on l.credit_note_id = c.id
left join (
  select x.credit_note_id, sum(x.amount) as amount
  from app.invoice_credits as x inner join app.invoices as i on i.id = x.invoice_id
  where i.status <> 'CANCELLED' group by x.credit_note_id
) as u on u.credit_note_id = c.id
where c.amount <> coalesce(l.amount, 0) or c.amount < coalesce(u.amount, 0);
comment on view app.consistency_credit_notes is
$$Returns never exceed what was shipped and charged; each credit note is the sum of its lines and
lowers invoices by at most its amount
Scan: the tables of credit notes whole, their orders and lines by index.$$;

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
  format('%s is %s with a total of %s; %s invoices for %s, %s not cancelled',
    o.order_number, o.status, o.grand_total, coalesce(v.invoices, 0), coalesce(v.billed, 0),
    coalesce(v.amount, 0)) as details
from app.orders as o
left join (
  select i.order_id, count(*) as invoices, count(*) filter (where i.status <> 'CANCELLED') as live,
    sum(i.amount) as billed,
    coalesce(sum(i.amount) filter (where i.status <> 'CANCELLED'), 0) as amount
  from app.invoices as i group by i.order_id
) as v on v.order_id = o.id
where case
  when o.status in ('APPROVED', 'SHIPPED', 'COMPLETED')
    -- unbilled only by what headquarters has cancelled, and is to bill again
    then coalesce(v.billed, 0) < o.grand_total or v.amount > o.grand_total
  else v.live > 0
end;
comment on view app.consistency_billing is
$$Every approved order was billed in full, never above its total; no other has a live invoice
What a cancelled invoice has billed may wait for the next one.
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
with booked as (
  select t.order_id, sum(t.points) as points
  from app.point_transactions as t where t.invoice_id is not null group by t.order_id
),

settled as (
  select i.order_id, sum(i.amount - i.amount_credited) as amount
  from app.invoices as i
  where i.status = 'PAID'
    and not exists (select from app.point_queue as q where q.invoice_id = i.id)
  group by i.order_id
),

credited as (
  select c.order_id, sum(c.amount) as amount from app.credit_notes as c group by c.order_id
),

targets as (
  select
    o.id, o.order_number, o.points_earned, coalesce(b.points, 0) as points,
    case
      when r.remaining > 0 and s.amount > 0
        then least(p.promise, div(p.promise * s.amount, r.remaining))
      else 0
    end as target
  from app.orders as o
  left join booked as b on b.order_id = o.id
  left join settled as s on s.order_id = o.id
  left join credited as c on c.order_id = o.id
  cross join lateral (select o.grand_total - coalesce(c.amount, 0) as remaining) as r
  cross join lateral (
    select div(o.points_earned * r.remaining, nullif(o.grand_total, 0)) as promise
  ) as p
)

select
  t.id as subject_id,
  format('%s: %s points promised, %s earned by paid invoices, %s booked',
    t.order_number, t.points_earned, t.target, t.points) as details
from targets as t
where t.points <> t.target;
comment on view app.consistency_vested_points is
$$The ledger has for each order the points that its paid invoices earn, less what was returned
Invoices that wait in the queue do not count yet.
Scan: orders, invoices and the ledger whole: hash joins.$$;

create view app.consistency_used_points as
with used as (
  select
    t.order_id, -coalesce(sum(t.points) filter (where t.type = 'REDEEMED'), 0) as redeemed,
    coalesce(sum(t.points) filter (where t.type = 'ADJUSTED'), 0) as returned
  from app.point_transactions as t
  where t.order_id is not null and t.invoice_id is null
  group by t.order_id
),

orders as (
  select
    o.id, o.order_number, o.points_used, case
      when o.status in ('REJECTED', 'CANCELLED') then o.points_used
      else coalesce((
        select sum(c.points_returned) from app.credit_notes as c where c.order_id = o.id
      ), 0)
    end as to_return
  from app.orders as o where o.points_used > 0
)

select
  coalesce(o.id, u.order_id) as subject_id,
  format('%s: %s points used, %s taken; %s to give back, %s given back',
    o.order_number, o.points_used, u.redeemed, o.to_return, u.returned) as details
from orders as o
full outer join used as u on u.order_id = o.id
where (u.redeemed = o.points_used and u.returned = o.to_return) is not true;
comment on view app.consistency_used_points is
$$Points used by an order were taken once, and given back if it died or its goods were returned
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
with expected as (
  select
    s.partner_id, s.month, sum(s.order_count) as order_count, sum(s.total_spend) as total_spend,
    sum(s.total_returned) as total_returned
  from app.statistics_changes as s
  where s.changed_at < app.statistics_counted_until()
  group by s.partner_id, s.month
)

select
  coalesce(m.partner_id, e.partner_id) as subject_id,
  format('%s: %s orders for %s, %s returned; the statistics have %s for %s, %s returned',
    to_char(coalesce(m.month, e.month), 'YYYY-MM'), coalesce(e.order_count, 0),
    coalesce(e.total_spend, 0), coalesce(e.total_returned, 0), coalesce(m.order_count, 0),
    coalesce(m.total_spend, 0), coalesce(m.total_returned, 0)) as details
from app.partner_counted_months as m
full join expected as e on e.partner_id = m.partner_id and e.month = m.month
where coalesce(m.order_count, 0) <> coalesce(e.order_count, 0)
  or coalesce(m.total_spend, 0) <> coalesce(e.total_spend, 0)
  or coalesce(m.total_returned, 0) <> coalesce(e.total_returned, 0);
comment on view app.consistency_statistics is
$$The statistics of each month are the changes that a refresh has counted
app.recount_statistics() counts all again.
Scan: orders whole, hashed by partner and month.$$;
