-- The scheduled jobs: the record of their runs, and the health of jobs and ERP streams.

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
comment on function jobs.record_run(text, timestamptz, bigint) is
  'Records a successful run for job_health; returns the rows';

-- Commits each batch, so it can neither be SECURITY DEFINER nor set a search_path, nor can the
-- procedures that call it; only the owner may execute them. Runs at the same time share the work,
-- where the function skips what another has locked.
create procedure jobs.purge_in_batches(
  p_purge regproc, p_batch int, p_until timestamptz, inout p_total bigint
)
language plpgsql
as $$
declare
  v_rows bigint;
begin
  loop
    execute format('select %s($1)', p_purge) into v_rows using p_batch;
    p_total := p_total + v_rows;
    commit;
    exit when v_rows = 0 or clock_timestamp() >= p_until;
  end loop;
end $$;
comment on procedure jobs.purge_in_batches(regproc, int, timestamptz, bigint) is
  'Calls a function that deletes up to p_batch rows and returns how many, each time in a '
  'transaction, until none are left or p_until has come; adds the rows to p_total';

create function jobs.cron_table(p_name text)
returns regclass language sql stable
as $$
  select case
    when has_schema_privilege(to_regnamespace('cron'), 'usage') then to_regclass('cron.' || p_name)
  end
$$;
comment on function jobs.cron_table(text) is
  'A table of pg_cron; null where the database has none, or the caller may not use its schema';

create function jobs.purge_cron_runs(p_limit int)
returns int language plpgsql volatile
as $$
declare
  v_history regclass := jobs.cron_table('job_run_details');
  v_count int := 0;
begin
  -- pg_cron's tables exist in one database of a cluster only.
  if v_history is not null then
    -- Runs are numbered in the order of their start, and only the number is indexed. A run that
    -- was cut off has no time; it goes with the next younger one.
    execute format(
      'with oldest as ('
      '  select r.runid, coalesce(r.end_time, r.start_time) as ran_at'
      '  from %1$s as r where r.database = current_database() order by r.runid limit $1'
      ')'
      ' delete from %1$s as r'
      ' where r.runid = any (array('
      '   select o.runid from oldest as o where o.runid <= ('
      '     select max(p.runid) from oldest as p where p.ran_at < now() - interval ''7 days'''
      '   )'
      ' ))', v_history)
    using p_limit;
    get diagnostics v_count = row_count;
  end if;
  return v_count;
end $$;
comment on function jobs.purge_cron_runs(int) is
  'Deletes runs of this database from pg_cron''s own history after a week, from the oldest '
  'p_limit; returns how many';

-- Runs as the user who scheduled it: pg_cron owns its history.
create procedure jobs.purge_cron_history(p_batch int default 1000, p_seconds int default 600)
language plpgsql
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_total bigint := 0;
begin
  call jobs.purge_in_batches(
    'jobs.purge_cron_runs', p_batch, v_started_at + make_interval(secs => p_seconds), v_total);
  perform jobs.record_run('history-purge', v_started_at, v_total);
end $$;
comment on procedure jobs.purge_cron_history(int, int) is
  'Deletes pg_cron''s own history after a week, p_batch rows in a transaction, until none are left '
  'or p_seconds have passed';

create function jobs.cron_field_matches(p_field text, p_value int)
returns boolean language sql immutable
as $$
  select case
    when p_field = '*' then true
    when p_field ~ '^[*]/[0-9]+$' then p_value % nullif(substr(p_field, 3)::int, 0) = 0
    when p_field ~ '^[0-9]+$' then p_value = p_field::int
  end
$$;
comment on function jobs.cron_field_matches(text, int) is
  'Whether a field of a cron expression (*, */n or n) matches a value; null for other forms';

create function jobs.next_run(p_schedule text, p_after timestamptz)
returns timestamptz language plpgsql immutable
as $$
declare
  v_fields text[] := regexp_split_to_array(p_schedule, ' ');
begin
  return (
    select m.minute at time zone 'UTC'
    from generate_series(
      date_trunc('minute', p_after at time zone 'UTC') + interval '1 minute',
      (p_after at time zone 'UTC') + interval '1 day',
      interval '1 minute'
    ) as m (minute)
    where v_fields[3:5] = '{*,*,*}'
      and jobs.cron_field_matches(v_fields[1], extract(minute from m.minute)::int)
      and jobs.cron_field_matches(v_fields[2], extract(hour from m.minute)::int)
    limit 1
  );
end $$;
comment on function jobs.next_run(text, timestamptz) is
  'The next minute (GMT) that a daily cron expression with minute and hour as *, */n or n '
  'matches; null for other forms';

create function jobs.failures()
returns table (job text, failed_at timestamptz, error text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_jobs regclass := jobs.cron_table('job');
  v_history regclass := jobs.cron_table('job_run_details');
begin
  -- pg_cron's tables exist in one database of a cluster only.
  if v_history is not null then
    return query execute format(
      'select distinct on (j.jobname)'
      ' substr(j.jobname, 5), coalesce(d.end_time, d.start_time), left(d.return_message, 1000)'
      ' from %s as j join %s as d on d.jobid = j.jobid'
      ' where left(j.jobname, 4) = ''hub:'' and d.database = current_database()'
      ' and d.status = ''failed'''
      ' order by j.jobname, d.runid desc', v_jobs, v_history);
  end if;
end $$;
comment on function jobs.failures() is 'The last failure of each job in pg_cron''s history';

-- Cheap however long the queues are: the buffer by its identities, the queue of points to a limit.
create function jobs.backlogs()
returns table (
  job text, backlog bigint, backlog_seconds bigint, failing bigint, failed_at timestamptz,
  error text
)
language sql stable
as $$
  select
    'audit-flush', coalesce(l.id - f.id + 1, 0),
    coalesce(greatest(extract(epoch from now() - f.created_at), 0), 0)::bigint,
    null::bigint, null::timestamptz, null
  from (select) as one
  left join lateral (
    select b.id, b.created_at from app.audit_buffer as b order by b.id limit 1
  ) as f on true
  left join lateral (
    select b.id from app.audit_buffer as b order by b.id desc limit 1
  ) as l on true
  union all
  select
    'point-queue',
    (select count(*) from (select from app.point_queue limit 10000) as q),
    coalesce((
      select greatest(extract(epoch from now() - min(q.enqueued_at)), 0)
      from (
        select p.enqueued_at from app.point_queue as p order by p.next_attempt_at limit 10000
      ) as q
    ), 0)::bigint,
    (
      select count(*)
      from (select from app.point_queue as p where p.failed_at is not null limit 10000) as q
    ),
    f.failed_at, f.last_error
  from (select) as one
  left join lateral (
    select q.failed_at, q.last_error from app.point_queue as q
    where q.failed_at is not null order by q.failed_at desc limit 1
  ) as f on true
$$;
comment on function jobs.backlogs() is
  'Entries that wait in the queues of jobs, the age of the oldest in seconds, how many of them '
  'failed, and the last failure. Those of the audit buffer are counted by their identities, gaps '
  'of rolled-back changes included; those of other queues up to 10,000';

-- pg_replication_slots is readable to all; hub_owner may read pg_stat_replication and
-- pg_stat_wal_receiver, except where the migration had no right to grant it (sql/roles.sql). Then
-- the lag counts WAL that the standby has received, and lag_seconds is null.
create function jobs.standbys()
returns table (
  name text, lag_bytes bigint, lag_seconds bigint, is_late boolean, error text
)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  c_late_seconds constant int := 60;
begin
  if pg_is_in_recovery() then
    return query
    select
      coalesce(nullif(current_setting('primary_slot_name'), ''), 'standby'),
      l.lag_bytes, l.lag_seconds,
      not l.is_connected or l.lag_seconds > c_late_seconds,
      case when not l.is_connected then 'The standby is not connected to its primary' end
    from (
      select
        greatest(
          pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0
        )::bigint as lag_bytes,
        case
          when w.is_connected and pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() then 0
          else extract(epoch from now() - pg_last_xact_replay_timestamp())
        end::bigint as lag_seconds,
        w.is_connected
      from (select exists (select from pg_stat_wal_receiver) as is_connected) as w
    ) as l;
    return;
  end if;
  return query
  select
    l.name, l.lag_bytes, l.lag_seconds,
    not l.active or l.lag_seconds > c_late_seconds,
    case
      when l.wal_status = 'lost' then 'The standby has missed WAL that is gone: build it again'
      when not l.active then 'The standby is not connected'
    end
  from (
    select
      s.slot_name::text as name, s.active, s.wal_status,
      pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(r.replay_lsn, s.restart_lsn))::bigint
        as lag_bytes,
      -- replay_lag of an idle standby is that of the last commit, or null.
      case
        when r.replay_lsn >= pg_current_wal_lsn() then 0
        when r.replay_lsn is not null then coalesce(extract(epoch from r.replay_lag), 0)
      end::bigint as lag_seconds
    from pg_replication_slots as s
    left join pg_stat_replication as r on r.pid = s.active_pid
    where s.slot_type = 'physical' and not s.temporary
  ) as l;
end $$;
comment on function jobs.standbys() is
  'The standbys that a replication slot is kept for: WAL that they have not replayed in bytes, '
  'seconds by which they are behind, whether they are away or more than 60 seconds behind. On a '
  'standby: itself. No rows without a slot';

create function app.cache_standbys() returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select coalesce(json_agg(json_build_object(
    'name', y.name, 'lag_bytes', y.lag_bytes, 'lag_seconds', y.lag_seconds,
    'is_late', y.is_late)), '[]')
  from jobs.standbys() as y
$$;
comment on function app.cache_standbys() is
  'The lag of the standbys, for the metrics of the cache; see jobs.standbys()';

create function jobs.health()
returns table (
  job text, schedule text, description text, last_started_at timestamptz,
  last_succeeded_at timestamptz, last_rows bigint, total_runs bigint, seconds_since_success bigint,
  last_failed_at timestamptz, last_error text, next_run_at timestamptz, is_late boolean,
  backlog bigint, backlog_seconds bigint, failing bigint, last_remarks text,
  last_remarked_at timestamptz
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select
    coalesce(s.job, r.job), s.schedule, s.description, r.last_started_at, r.last_succeeded_at,
    r.last_rows, coalesce(r.total_runs, 0),
    extract(epoch from now() - r.last_succeeded_at)::bigint,
    greatest(f.failed_at, b.failed_at),
    case when f.failed_at > b.failed_at or b.failed_at is null then f.error else b.error end,
    jobs.next_run(s.schedule, now()),
    -- One run may be under way or have been skipped; two missing runs are late.
    jobs.next_run(
      s.schedule, jobs.next_run(s.schedule, coalesce(r.last_succeeded_at, s.scheduled_at))
    ) + interval '1 minute' < now(),
    b.backlog, b.backlog_seconds, b.failing, null, null
  from jobs.schedule as s
  full join jobs.runs as r on r.job = s.job
  left join jobs.backlogs() as b on b.job = coalesce(s.job, r.job)
  left join jobs.failures() as f on f.job = s.job
  where auth.caller_role() in ('admin', 'superadmin', 'monitor', 'system')
  union all
  select
    'erp:' || e.stream, null, 'Exchange with the ERP', null, e.last_succeeded_at, null, null,
    extract(epoch from now() - e.last_succeeded_at)::bigint, e.last_failed_at, e.last_error,
    e.next_run_at, e.is_late, null, null, null, e.last_remarks, e.last_remarked_at
  from app.erp_health() as e
  where auth.caller_role() in ('admin', 'superadmin', 'monitor', 'system')
  union all
  select
    'standby:' || y.name, null, 'Streaming standby', null,
    now() - make_interval(secs => y.lag_seconds), null, null, y.lag_seconds, null, y.error, null,
    y.is_late, y.lag_bytes, y.lag_seconds, null, null, null
  from jobs.standbys() as y
  where auth.caller_role() in ('admin', 'superadmin', 'monitor', 'system')
$$;
comment on function jobs.health() is
  'Jobs, ERP streams and standbys with their last success, last error, next run, and whether they '
  'are late; no rows for callers outside headquarters';
grant execute on function jobs.health() to admin;
