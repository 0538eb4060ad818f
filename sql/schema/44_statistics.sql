-- Monthly spend and order count of each partner, materialised (M-6.1-3), and how late orders were
-- by month. A refresh adds what changed since the last one; it never reads all orders.

create table app.statistics_period (
  is_single boolean primary key default true
  constraint statistics_period_is_single_check check (is_single),
  counted_until timestamptz not null default '-infinity',
  refreshed_at timestamptz not null default '-infinity'
);
insert into app.statistics_period default values;
comment on table app.statistics_period is 'How far the statistics have been counted; one row';
comment on column app.statistics_period.counted_until is
  'Changes before this moment are in app.partner_counted_months and app.region_late_months, later '
  'ones in app.partner_recent_months';
comment on column app.statistics_period.refreshed_at is 'Start of the last refresh';

-- A function, not a sub-select: the planner evaluates it to estimate how many changes follow.
create function app.statistics_counted_until() returns timestamptz language sql stable
as $$ select p.counted_until from app.statistics_period as p $$;
comment on function app.statistics_counted_until() is
  'Changes of the statistics from this moment on are not counted yet';

create function app.month_of(p_at timestamptz) returns date language sql immutable
as $$ select date_trunc('month', p_at at time zone 'Asia/Jakarta')::date $$;
comment on function app.month_of(timestamptz) is 'First day of the month of a moment in Jakarta';

-- An order is counted by one row, and taken back by another if it is closed. So each change is
-- added once, and no order has to be read again.
create view app.statistics_changes as
select
  o.submitted_at as changed_at, o.partner_id, app.month_of(o.submitted_at) as month,
  1 as order_count, o.grand_total::numeric(15, 2) as total_spend,
  0::numeric(15, 2) as total_returned
from app.orders as o
where o.submitted_at is not null
union all
select
  o.closed_at as changed_at, o.partner_id, app.month_of(o.submitted_at) as month,
  -1 as order_count, (-o.grand_total)::numeric(15, 2) as total_spend,
  0::numeric(15, 2) as total_returned
from app.orders as o
where o.closed_at is not null and o.submitted_at is not null
union all
select
  c.created_at as changed_at, c.partner_id, app.month_of(c.created_at) as month,
  0 as order_count, 0::numeric(15, 2) as total_spend, c.amount::numeric(15, 2) as total_returned
from app.credit_notes as c;
comment on view app.statistics_changes is
  'What changes the statistics: orders as they are submitted, closed orders with a minus in the '
  'month of their submission, and returns in the month of their credit note';

-- No checks of single rows: a change may take back what an earlier refresh added.
create table app.partner_counted_months (
  partner_id uuid not null
  constraint partner_counted_months_partner_id_fkey references app.partners (id) on delete restrict,
  month date not null,
  order_count int not null,
  total_spend numeric(15, 2) not null,
  total_returned numeric(15, 2) not null,
  primary key (partner_id, month)
);
create index partner_counted_months_month_idx
on app.partner_counted_months (month, partner_id)
include (order_count, total_spend, total_returned);
comment on table app.partner_counted_months is
  'Sums of app.statistics_changes before app.statistics_period.counted_until, per partner and '
  'month (Jakarta); zeros where all is recent';

create materialized view app.partner_recent_months as
select
  s.partner_id, s.month, sum(s.order_count)::int as order_count,
  sum(s.total_spend)::numeric(15, 2) as total_spend,
  sum(s.total_returned)::numeric(15, 2) as total_returned
from app.statistics_changes as s
where s.changed_at >= app.statistics_counted_until()
group by s.partner_id, s.month;
create unique index partner_recent_months_key on app.partner_recent_months (partner_id, month);
comment on materialized view app.partner_recent_months is
  'Sums of app.statistics_changes since app.statistics_period.counted_until, per partner and '
  'month (Jakarta), as of the last refresh';

-- Finds the orders that were cancelled or rejected since the last refresh.
create index orders_closed_idx on app.orders (closed_at, submitted_at)
where closed_at is not null;

create table app.region_late_months (
  region_id uuid
  constraint region_late_months_region_id_fkey references app.regions (id) on delete restrict,
  month date not null,
  reminders int not null,
  manager_notices int not null,
  escalations int not null,
  constraint region_late_months_key unique nulls not distinct (month, region_id)
);
create index region_late_months_region_idx on app.region_late_months (region_id);
comment on table app.region_late_months is
  'Clocks that were late before app.statistics_period.counted_until, per region and month '
  '(Jakarta) in which the level was reached';
comment on column app.region_late_months.region_id is
  'Region of the partner when it was counted; null: they had none';

create view app.late_clocks as
select
  l.region_id, app.month_of(l.triggered_at) as month, l.triggered_at, l.escalation_level,
  l.order_id, l.clock_started_at
from app.sla_escalation_logs as l;
comment on view app.late_clocks is
  'Escalations with the month (Jakarta) in which they were triggered; a clock has one row for each '
  'recipient of a level';
