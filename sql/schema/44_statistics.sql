-- Monthly spend and order count of each partner, materialised (M-6.1-3).

create materialized view app.partner_monthly_statistics as
select
  o.partner_id,
  date_trunc('month', o.submitted_at at time zone 'Asia/Jakarta')::date as month,
  count(*)::int as order_count,
  sum(o.grand_total)::numeric(15, 2) as total_spend
from app.orders as o
where o.status in ('SUBMITTED', 'PROCESSING', 'APPROVED', 'SHIPPED', 'COMPLETED')
group by 1, 2;
create unique index partner_monthly_statistics_key
on app.partner_monthly_statistics (partner_id, month);
create index partner_monthly_statistics_month_idx
on app.partner_monthly_statistics (month desc, partner_id);
comment on materialized view app.partner_monthly_statistics is
  'Live orders and spend (IDR) per partner and month (Jakarta), refreshed by '
  'jobs.refresh_statistics()';
