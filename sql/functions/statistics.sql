-- Statistics: what a refresh counts, monthly totals, and how late orders were.

-- Every recent month has a row in partner_counted_months, so a list by month reads one page of its
-- index and looks up what is recent.
create view app.partner_monthly_statistics as
select
  c.partner_id, c.month, c.order_count + coalesce(r.order_count, 0) as order_count,
  (c.total_spend + coalesce(r.total_spend, 0))::numeric(15, 2) as total_spend,
  (c.total_returned + coalesce(r.total_returned, 0))::numeric(15, 2) as total_returned
from app.partner_counted_months as c
left join app.partner_recent_months as r on r.partner_id = c.partner_id and r.month = c.month
where c.order_count + coalesce(r.order_count, 0) <> 0
  or c.total_returned + coalesce(r.total_returned, 0) <> 0;
comment on view app.partner_monthly_statistics is
  'Live orders, spend and returns (IDR) per partner and month (Jakarta), as of the last refresh';

-- PL/pgSQL, because the planner would evaluate an SQL function for every list of others.
create function app.has_many_partners() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_many constant int := 100;
begin
  return (
    select count(*) = v_many
    from (
      select from app.partners as p
      where p.region_id = any (array(select auth.agent_regions())) and p.deleted_at is null
      limit v_many
    ) as f
  );
end $$;
comment on function app.has_many_partners() is
  'Whether the calling agent has 100 partners or more';

create function app.count_partner_months(p_until timestamptz)
returns void language plpgsql volatile
as $$
begin
  insert into app.partner_counted_months as m (
    partner_id, month, order_count, total_spend, total_returned
  )
  select s.partner_id, s.month, sum(s.order_count), sum(s.total_spend), sum(s.total_returned)
  from app.statistics_changes as s
  where s.changed_at >= app.statistics_counted_until() and s.changed_at < p_until
  group by s.partner_id, s.month
  on conflict (partner_id, month) do update set
    order_count = m.order_count + excluded.order_count,
    total_spend = m.total_spend + excluded.total_spend,
    total_returned = m.total_returned + excluded.total_returned;
end $$;
comment on function app.count_partner_months(timestamptz) is
  'Adds the changes from counted_until to this moment to app.partner_counted_months';

create function app.count_late_months(p_until timestamptz)
returns void language plpgsql volatile
as $$
begin
  insert into app.region_late_months as m (
    region_id, month, reminders, manager_notices, escalations
  )
  select l.region_id, l.month, l.reminders, l.manager_notices, l.escalations
  from app.late_months(app.statistics_counted_until(), p_until) as l
  on conflict (region_id, month) do update set
    reminders = m.reminders + excluded.reminders,
    manager_notices = m.manager_notices + excluded.manager_notices,
    escalations = m.escalations + excluded.escalations;
end $$;
comment on function app.count_late_months(timestamptz) is
  'Adds the clocks that were late from counted_until to this moment to app.region_late_months';

-- All recipients of a level are logged at the same moment, so no clock is counted in two periods.
create function app.late_months(p_from timestamptz, p_until timestamptz)
returns table (
  region_id uuid, month date, reminders int, manager_notices int, escalations int
)
language plpgsql stable
as $$
begin
  return query
  select
    c.region_id, c.month,
    count(*) filter (where c.escalation_level = 'REMINDER')::int,
    count(*) filter (where c.escalation_level = 'MANAGER')::int,
    count(*) filter (where c.escalation_level = 'HQ_INTERVENTION')::int
  from (
    select distinct
      l.region_id, l.month, l.escalation_level, l.order_id, l.clock_started_at
    from app.late_clocks as l
    where l.triggered_at >= p_from and l.triggered_at < p_until
  ) as c
  group by c.region_id, c.month;
end $$;
comment on function app.late_months(timestamptz, timestamptz) is
  'Clocks that were late, by region, month and level, from the first moment to before the second';

create function app.refresh_statistics(p_now timestamptz)
returns void language plpgsql volatile
as $$
declare
  -- A change carries the moment at which its transaction began. Calls and jobs end within ten
  -- minutes; hub check reports a transaction that committed more than an hour after it began.
  v_longest_transaction constant interval := interval '1 hour';
  v_until timestamptz := p_now - v_longest_transaction;
begin
  perform from app.statistics_period for no key update;
  v_until := greatest(v_until, app.statistics_counted_until());
  perform app.count_partner_months(v_until);
  perform app.count_late_months(v_until);
  update app.statistics_period set counted_until = v_until, refreshed_at = p_now;
  refresh materialized view concurrently app.partner_recent_months;
  insert into app.partner_counted_months (
    partner_id, month, order_count, total_spend, total_returned
  )
  select r.partner_id, r.month, 0, 0, 0 from app.partner_recent_months as r
  on conflict do nothing;
end $$;
comment on function app.refresh_statistics(timestamptz) is
  'Counts what changed until an hour ago, and refreshes what has changed since';

create function app.recount_statistics()
returns void language plpgsql volatile
as $$
begin
  perform from app.statistics_period for no key update;
  delete from app.partner_counted_months;
  delete from app.region_late_months;
  update app.statistics_period set counted_until = default;
  perform app.refresh_statistics(now());
end $$;
comment on function app.recount_statistics() is
  'Counts the statistics again from all orders: after a bulk load, or when hub check reports them';

create function jobs.refresh_statistics()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  if not pg_try_advisory_xact_lock(hashtext('jobs.refresh_statistics')) then
    return 0;
  end if;
  perform app.refresh_statistics(now());
  return jobs.record_run(
    'statistics-refresh', v_started_at, (select count(*) from app.partner_recent_months));
end $$;
comment on function jobs.refresh_statistics() is
  'Refreshes the partner statistics without locking readers, at a cost that follows from what '
  'changed; returns the months of partners that changed in the last hour';

create function app.check_months(p_months int) returns void
language plpgsql stable
as $$
begin
  if p_months is null or p_months not between 1 and 36 then
    perform app.fail('INVALID_ARGUMENT', 'months is from 1 to 36');
  end if;
end $$;
comment on function app.check_months(int) is
  'Raises INVALID_ARGUMENT unless months is from 1 to 36';

-- With the owner's rights and the conditions of api.partner_statistics. A month without orders has
-- a row, so that a chart has no gaps.
create function app.monthly_totals(p_months int)
returns table (
  month date, order_count int, total_spend numeric, total_returned numeric, partner_count int
)
language plpgsql stable
as $$
declare
  v_last constant date := app.month_of(now());
  v_first date;
begin
  perform app.check_months(p_months);
  v_first := v_last - make_interval(months => p_months - 1);
  return query
  select
    a.month::date, coalesce(t.order_count, 0), coalesce(t.total_spend, 0),
    coalesce(t.total_returned, 0), coalesce(t.partner_count, 0)
  from generate_series(v_last::timestamp, v_first, interval '-1 month') as a (month)
  left join (
    select
      s.month, sum(s.order_count)::int as order_count, sum(s.total_spend) as total_spend,
      sum(s.total_returned) as total_returned, count(*)::int as partner_count
    from (
      select m.* from app.partner_monthly_statistics as m
      where auth.caller_role() = 'partner' and m.partner_id = auth.current_user_id()
        and m.month >= v_first
      union all
      select m.*
      from app.partners as p
      inner join app.partner_monthly_statistics as m on m.partner_id = p.id
      where auth.caller_role() = 'agent'
        and p.region_id = any (array(select auth.agent_regions())) and p.deleted_at is null
        and m.month >= v_first
      union all
      select m.* from app.partner_monthly_statistics as m
      where auth.caller_role() in ('admin', 'superadmin') and m.month >= v_first
    ) as s
    group by s.month
  ) as t on t.month = a.month::date
  order by a.month desc;
end $$;
comment on function app.monthly_totals(int) is
  'Orders, spend and returns (IDR) of the partners whom the caller sees, for each of the last '
  'months, and how many partners ordered or returned; raises INVALID_ARGUMENT';

create function app.sla_lateness(p_months int)
returns table (
  month date, region_id uuid, reminders int, manager_notices int, escalations int
)
language plpgsql stable
as $$
declare
  v_first date;
  v_everywhere constant boolean := auth.caller_role() in ('admin', 'superadmin');
  v_regions constant uuid[] := array(select auth.agent_regions());
begin
  perform app.check_months(p_months);
  v_first := app.month_of(now()) - make_interval(months => p_months - 1);
  return query
  select
    l.month, l.region_id, sum(l.reminders)::int, sum(l.manager_notices)::int,
    sum(l.escalations)::int
  from (
    select c.* from app.region_late_months as c
    union all
    select u.* from app.late_months(app.statistics_counted_until(), 'infinity') as u
  ) as l (region_id, month, reminders, manager_notices, escalations)
  where l.month >= v_first and (v_everywhere or l.region_id = any (v_regions))
  group by l.month, l.region_id
  order by l.month desc, l.region_id;
end $$;
comment on function app.sla_lateness(int) is
  'Clocks that were late in the last months in the regions that the caller sees; raises '
  'INVALID_ARGUMENT';
