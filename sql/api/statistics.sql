-- Statistics of partners, and totals for charts.

-- A materialized view ignores the row security of its tables, so this view filters by caller: one
-- branch a role, of which PostgreSQL runs the caller's only. A security barrier keeps the caller's
-- ORDER BY and LIMIT outside, so the view is ordered itself: a list in this order reads one page.
create view api.partner_statistics with (security_invoker = false, security_barrier = true) as
select
  s.partner_id || ':' || s.month as id, s.partner_id, s.month, s.order_count, s.total_spend,
  s.total_returned, (select p.refreshed_at from app.statistics_period as p) as refreshed_at
from (
  (select m.partner_id, m.month, m.order_count, m.total_spend, m.total_returned
  from app.partner_monthly_statistics as m
  where (select auth.caller_role()) = 'partner'
    and m.partner_id = (select auth.current_user_id())
  order by m.month desc)
  union all
  (select m.partner_id, m.month, m.order_count, m.total_spend, m.total_returned
  from app.partner_monthly_statistics as m
  where (select auth.caller_role()) = 'agent' and (select app.has_many_partners())
    and (
      select true from app.partners as p
      where p.id = m.partner_id and p.region_id = any (array(select auth.agent_regions()))
        and p.deleted_at is null
    )
  order by m.month desc)
  union all
  -- Their months are few: all are read and sorted. The branch above would pass those of others.
  -- OFFSET 0 keeps them from being joined to the months of all partners.
  (select p.id as partner_id, m.month, m.order_count, m.total_spend, m.total_returned
  from app.partners as p
  cross join lateral (
    select s.month, s.order_count, s.total_spend, s.total_returned
    from app.partner_monthly_statistics as s where s.partner_id = p.id
    order by s.month desc offset 0
  ) as m
  where (select auth.caller_role()) = 'agent' and not (select app.has_many_partners())
    and p.region_id = any (array(select auth.agent_regions())) and p.deleted_at is null
  order by m.month desc)
  union all
  (select m.partner_id, m.month, m.order_count, m.total_spend, m.total_returned
  from app.partner_monthly_statistics as m
  where (select auth.caller_role()) in ('admin', 'superadmin')
  order by m.month desc)
) as s
order by s.month desc;
comment on view api.partner_statistics is
$$Orders, spend and returns (IDR) of each partner by month
Refreshed every 15 minutes, as refreshed_at says; a month starts and ends by Jakarta time.$$;
comment on column api.partner_statistics.order_count is
  'Orders submitted in the month and neither rejected nor cancelled, in whatever month that was';
comment on column api.partner_statistics.total_spend is
  'IDR: grand_total of these orders. Returns, payments and write-offs do not change it';
comment on column api.partner_statistics.total_returned is
  'IDR credited in the month for returned goods, in whatever month they were ordered';
comment on column api.partner_statistics.refreshed_at is
  'As of when the figures are: later orders and returns are not counted yet';

-- A relation that PostgREST finds by no foreign key: partner_statistics?select=*,partners(*).
create function api.partners(api.partner_statistics) returns setof api.partners
language sql stable rows 1
as $$ select p.* from api.partners as p where p.id = $1.partner_id $$;
comment on function api.partners(api.partner_statistics) is 'The partner of a month, to embed';

create type api.monthly_total as (
  month date, order_count int, total_spend numeric, total_returned numeric, partner_count int,
  refreshed_at timestamptz
);
comment on type api.monthly_total is
  'A row of monthly_totals; amounts are IDR, partner_count the partners who ordered or returned';

create function api.monthly_totals(months int default 12) returns setof api.monthly_total
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select
    t.month, t.order_count, t.total_spend, t.total_returned, t.partner_count, p.refreshed_at
  from app.monthly_totals(monthly_totals.months) as t, app.statistics_period as p
  order by t.month desc
$$;
comment on function api.monthly_totals(int) is
$$Add up orders and revenue of each of the last months, newest first
Partners see their own, agents those of their regions' partners, headquarters all. months is 1 to
36, the current one included; a month without orders has zeros. As of refreshed_at, like
partner_statistics, whose rows it adds up.
Errors: INVALID_ARGUMENT 400.$$;

create type api.late_month as (
  month date, region_id uuid, region_name text, reminders int, manager_notices int,
  escalations int
);
comment on type api.late_month is
  'A row of sla_lateness; region_id is null for partners without a region';

create function api.sla_lateness(months int default 12) returns setof api.late_month
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select
    l.month, l.region_id, (select r.name from app.regions as r where r.id = l.region_id),
    l.reminders, l.manager_notices, l.escalations
  from app.sla_lateness(sla_lateness.months) as l
  order by l.month desc, l.region_id
$$;
comment on function api.sla_lateness(int) is
$$Count late orders by month, region and level, newest month first
reminders, manager_notices and escalations are the clocks that reached the level in this month;
an order has a new clock each time its turn passes to another. region_id is the partner's region at
that time. Agents see their regions and those below. months is 1 to 36; up to date to the second.
Errors: INVALID_ARGUMENT 400.$$;

grant select on api.partner_statistics to partner, agent, admin;
grant execute on function app.has_many_partners() to partner, agent, admin;
grant execute on function api.partners(api.partner_statistics) to agent, admin;
grant execute on function api.monthly_totals(int) to partner, agent, admin;
grant execute on function api.sla_lateness(int) to agent, admin;
