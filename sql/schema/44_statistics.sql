-- Monthly spend and order count of each partner, materialised (M-6.1-3). Months before the previous
-- one are closed: a table keeps them, so that a refresh costs what changed and not all history.

create table app.statistics_period (
  is_single boolean primary key default true
  constraint statistics_period_is_single_check check (is_single),
  open_from date not null default '-infinity',
  refreshed_at timestamptz not null default '-infinity'
);
insert into app.statistics_period default values;
comment on table app.statistics_period is 'Which months of the statistics are closed; one row';
comment on column app.statistics_period.open_from is
  'First month (Jakarta) of app.partner_open_months; earlier ones are in app.partner_closed_months';
comment on column app.statistics_period.refreshed_at is 'Start of the last refresh';

create table app.partner_closed_months (
  partner_id uuid not null
  constraint partner_closed_months_partner_id_fkey references app.partners (id) on delete restrict,
  month date not null,
  order_count int not null
  constraint partner_closed_months_order_count_check check (order_count > 0),
  total_spend numeric(15, 2) not null
  constraint partner_closed_months_total_spend_check check (total_spend >= 0),
  primary key (partner_id, month)
);
create index partner_closed_months_month_idx on app.partner_closed_months (month desc, partner_id);
comment on table app.partner_closed_months is
  'Live orders and spend (IDR) per partner and closed month (Jakarta). jobs.refresh_statistics() '
  'adds months, and corrects one when an order of it is cancelled or rejected later';

create view app.live_orders as
select
  o.partner_id, date_trunc('month', o.submitted_at at time zone 'Asia/Jakarta')::date as month,
  o.submitted_at, o.grand_total
from app.orders as o
where o.status in ('SUBMITTED', 'PROCESSING', 'APPROVED', 'SHIPPED', 'COMPLETED');
comment on view app.live_orders is
  'Orders that the statistics count, with the month (Jakarta) of their submission';

create function app.month_start(p_month date) returns timestamptz language sql immutable
as $$ select p_month::timestamp at time zone 'Asia/Jakarta' $$;
comment on function app.month_start(date) is 'The moment at which a month starts in Jakarta';

-- A function, not a sub-select: the planner evaluates it to estimate how many orders it leaves.
create function app.open_months_start() returns timestamptz language sql stable
as $$ select app.month_start(p.open_from) from app.statistics_period as p $$;
comment on function app.open_months_start() is
  'Start of the first month that is not closed for the statistics';

create materialized view app.partner_open_months as
select
  o.partner_id, o.month, count(*)::int as order_count,
  sum(o.grand_total)::numeric(15, 2) as total_spend
from app.live_orders as o
where o.submitted_at >= app.open_months_start()
group by o.partner_id, o.month;
create unique index partner_open_months_key on app.partner_open_months (partner_id, month);
create index partner_open_months_month_idx on app.partner_open_months (month desc, partner_id);
comment on materialized view app.partner_open_months is
  'Live orders and spend (IDR) per partner in the current and previous month (Jakarta), refreshed '
  'by jobs.refresh_statistics()';

-- Finds the orders that were cancelled or rejected since the last refresh.
create index orders_closed_idx on app.orders (closed_at, submitted_at)
where closed_at is not null;
