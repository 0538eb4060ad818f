-- Statistics of partners: the current and the previous month are a materialized view, closed months
-- a table.

-- Without a condition on either part, a list by month reads the index of each.
create view app.partner_monthly_statistics as
select m.partner_id, m.month, m.order_count, m.total_spend from app.partner_open_months as m
union all
select m.partner_id, m.month, m.order_count, m.total_spend from app.partner_closed_months as m;
comment on view app.partner_monthly_statistics is
  'Live orders and spend (IDR) per partner and month (Jakarta), as of the last refresh';

-- PL/pgSQL, so that the plan follows the dates.
create function app.close_months(p_until date)
returns void language plpgsql volatile
as $$
begin
  insert into app.partner_closed_months as m (partner_id, month, order_count, total_spend)
  select o.partner_id, o.month, count(*), sum(o.grand_total)
  from app.live_orders as o
  where o.submitted_at >= app.open_months_start() and o.submitted_at < app.month_start(p_until)
  group by o.partner_id, o.month
  on conflict (partner_id, month) do update set
    order_count = excluded.order_count, total_spend = excluded.total_spend;
  update app.statistics_period set open_from = p_until;
end $$;
comment on function app.close_months(date) is
  'Moves the months before this one to app.partner_closed_months';

create function app.correct_closed_months(p_closed_since timestamptz)
returns void language plpgsql volatile
as $$
begin
  with changed as (
    select distinct
      o.partner_id, date_trunc('month', o.submitted_at at time zone 'Asia/Jakarta')::date as month
    from app.orders as o
    where o.closed_at >= p_closed_since and o.submitted_at < app.open_months_start()
  ),

  counted as (
    select c.partner_id, c.month, n.order_count, n.total_spend
    from changed as c
    cross join lateral (
      select count(*)::int as order_count, coalesce(sum(o.grand_total), 0) as total_spend
      from app.live_orders as o
      where o.partner_id = c.partner_id and o.submitted_at >= app.month_start(c.month)
        and o.submitted_at < app.month_start((c.month + interval '1 month')::date)
    ) as n
  ),

  emptied as (
    delete from app.partner_closed_months as m
    using counted as c
    where m.partner_id = c.partner_id and m.month = c.month and c.order_count = 0
  )

  update app.partner_closed_months as m
  set order_count = c.order_count, total_spend = c.total_spend
  from counted as c
  where m.partner_id = c.partner_id and m.month = c.month and c.order_count > 0
    and (m.order_count, m.total_spend) <> (c.order_count, c.total_spend);
end $$;
comment on function app.correct_closed_months(timestamptz) is
  'Counts again each closed month of a partner with an order that was cancelled or rejected '
  'since then';

create function app.refresh_statistics(p_now timestamptz)
returns void language plpgsql volatile
as $$
declare
  v_period app.statistics_period;
  v_open_from date := date_trunc('month', p_now at time zone 'Asia/Jakarta') - interval '1 month';
begin
  select * into strict v_period from app.statistics_period for no key update;
  if v_open_from > v_period.open_from then
    perform app.close_months(v_open_from);
  end if;
  -- closed_at is when the transaction began. A day more finds the orders of transactions that
  -- committed after the last refresh; counting twice changes nothing.
  if v_period.refreshed_at > '-infinity' then
    perform app.correct_closed_months(v_period.refreshed_at - interval '1 day');
  end if;
  refresh materialized view concurrently app.partner_open_months;
  update app.statistics_period set refreshed_at = p_now;
end $$;
comment on function app.refresh_statistics(timestamptz) is
  'Closes the months before the previous one, corrects closed months, and refreshes the open ones';

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
    'statistics-refresh', v_started_at, (select count(*) from app.partner_open_months));
end $$;
comment on function jobs.refresh_statistics() is
  'Refreshes the partner statistics without locking readers, at a cost that does not grow with '
  'history; returns the rows of the current and the previous month';
