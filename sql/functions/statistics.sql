-- Statistics of partners.

create function jobs.refresh_statistics()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  if not pg_try_advisory_xact_lock(hashtext('jobs.refresh_statistics')) then
    return 0;
  end if;
  refresh materialized view concurrently app.partner_monthly_statistics;
  return jobs.record_run(
    'statistics-refresh', v_started_at, (select count(*) from app.partner_monthly_statistics));
end $$;
comment on function jobs.refresh_statistics() is
  'Refreshes the partner statistics without locking readers; returns their rows';
