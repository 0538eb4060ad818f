-- The scheduled jobs: plain functions that tests call directly; run twice at once, they do no harm.

create function jobs.record_run(p_job text, p_started_at timestamptz, p_rows bigint)
returns bigint language sql volatile
as $$
  insert into jobs.runs as r (job, last_started_at, last_succeeded_at, last_rows, total_runs)
  values (p_job, p_started_at, clock_timestamp(), p_rows, 1)
  on conflict (job) do update set
    last_started_at = excluded.last_started_at, last_succeeded_at = excluded.last_succeeded_at,
    last_rows = excluded.last_rows, total_runs = r.total_runs + 1
  returning last_rows
$$;
comment on function jobs.record_run(text, timestamptz, bigint) is 'Notes a success for job_health; returns the rows';

create function jobs.process_point_queue(p_limit int default 1000)
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_invoice_ids uuid[] := array(
    select q.invoice_id from app.point_queue as q order by q.enqueued_at, q.invoice_id limit p_limit for update skip locked
  );
  v_invoice_id uuid;
  v_count bigint := 0;
begin
  -- Vesting locks the partner: in the order in which a set of payments locks them.
  for v_invoice_id in
    select i.id from app.invoices as i where i.id = any (v_invoice_ids) order by i.partner_id, i.id
  loop
    if app.vest_points(v_invoice_id) is not null then
      delete from app.point_queue as q where q.invoice_id = v_invoice_id;
      v_count := v_count + 1;
    end if;
  end loop;
  return jobs.record_run('point-queue', v_started_at, v_count);
end $$;
comment on function jobs.process_point_queue(int) is 'Vests the points of paid invoices; returns how many it took. One whose partner has no room for its points waits';

create function jobs.sweep_service_level()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_handed_over bigint;
begin
  -- An order that was being routed while its sub-distributor was being suspended was not seen by the suspension.
  select coalesce(sum(app.hand_over_orders(s.id)), 0) into v_handed_over
  from app.sub_distributors as s
  where s.status = 'SUSPENDED' and exists (
    select from app.orders as o where o.routed_to_subdist_id = s.id and o.status in ('SUBMITTED', 'PROCESSING')
  );
  return jobs.record_run('sla-sweep', v_started_at, v_handed_over + app.sweep_service_level());
end $$;
comment on function jobs.sweep_service_level() is
  'Escalates orders that wait too long, and hands over what a suspended sub-distributor still has; returns how many';

create function jobs.reap_leases()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('lease-reaper', v_started_at, app.reap_messages() + app.process_inbox());
end $$;
comment on function jobs.reap_leases() is 'Settles lapsed and expired messages, and works on webhooks that were left lying; returns how many';

create function jobs.flush_audit()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('audit-flush', v_started_at, app.flush_audit_buffer());
end $$;
comment on function jobs.flush_audit() is 'Moves buffered changes to audit_logs; returns the rows written';

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
  return jobs.record_run('statistics-refresh', v_started_at, (select count(*) from app.partner_monthly_statistics));
end $$;
comment on function jobs.refresh_statistics() is 'Refreshes the partner statistics without locking readers out; returns their rows';

create function jobs.make_partitions()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('partition-maker', v_started_at, app.make_audit_partitions());
end $$;
comment on function jobs.make_partitions() is 'Keeps monthly partitions of audit_logs three months ahead; returns how many it made';

create function jobs.purge_sessions()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_count bigint;
  v_more bigint;
begin
  delete from auth.sessions as s where least(s.expires_at, s.revoked_at) < now() - interval '30 days';
  get diagnostics v_count = row_count;
  delete from auth.login_attempts as a where a.window_started_at < now() - interval '2 days';
  get diagnostics v_more = row_count;
  v_count := v_count + v_more;
  delete from auth.sign_in_links as l where l.expires_at < now() - interval '2 days';
  get diagnostics v_more = row_count;
  v_count := v_count + v_more;
  -- A number that may no longer be answered freely is personal data that nobody needs.
  delete from app.conversations as c where c.last_inbound_at < now() - interval '2 days';
  get diagnostics v_more = row_count;
  return jobs.record_run('session-purge', v_started_at, v_count + v_more);
end $$;
comment on function jobs.purge_sessions() is
  'Forgets sessions 30 days after their end, and old attempts, links and conversations; returns how many rows';

-- Not SECURITY DEFINER: the history belongs to pg_cron, and the job runs as the user who scheduled it.
create function jobs.purge_cron_history()
returns bigint language plpgsql volatile set search_path = ''
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_history regclass := to_regclass('cron.job_run_details');
  v_count bigint := 0;
begin
  if v_history is not null then
    execute format('delete from %s where end_time < now() - interval ''7 days''', v_history);
    get diagnostics v_count = row_count;
  end if;
  return jobs.record_run('history-purge', v_started_at, v_count);
end $$;
comment on function jobs.purge_cron_history() is 'Keeps a week of pg_cron''s own history; returns how many rows it deleted';

create function jobs.watch_erp()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('erp-watch', v_started_at, app.watch_erp());
end $$;
comment on function jobs.watch_erp() is 'Tells headquarters of streams of the ERP that are late; returns how many it told of';

do $$ begin perform app.make_audit_partitions(); end $$;
