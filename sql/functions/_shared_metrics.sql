-- Figures for monitoring, in the text format of Prometheus. No figure costs more as history grows:
-- each reads a partial index of what is open, an estimate, or at most 10,000 entries of a queue, in
-- the order of that index, so that no plan scans the table instead while the statistics are old.

create function app.metric_descriptions()
returns table (name text, help text) language sql immutable
as $$
  values
    ('hub_orders_waiting', 'Orders whose turn is at the sub-distributor or at headquarters'),
    ('hub_orders_oldest_seconds', 'How long the oldest of these orders waits, in seconds'),
    ('hub_orders_reminded', 'Orders that wait and whose first limit of the service level passed'),
    ('hub_orders_escalated', 'Orders that wait and are escalated to headquarters or superadmins'),
    ('hub_messages', 'Messages by status, up to 10000 each; FAILED: of the last day'),
    ('hub_messages_oldest_seconds', 'Age of the oldest message that waits, in seconds'),
    ('hub_webhooks_waiting', 'Webhooks that are stored and not processed, up to 10000'),
    ('hub_erp_quarantine', 'Rows of the ERP that could not be applied, up to 10000'),
    ('hub_job_late', '1 while a success of the job or the ERP stream is overdue'),
    ('hub_job_seconds_since_success', 'Seconds since the last success'),
    ('hub_job_backlog', 'Entries that wait for the job'),
    ('hub_job_backlog_seconds', 'Age of the oldest entry that waits, in seconds'),
    ('hub_job_failing', 'Entries that failed and are tried again'),
    ('hub_scheduler_running', '1 while pg_cron runs in this cluster'),
    ('hub_standby_lag_bytes', 'WAL that the standby has not replayed, in bytes'),
    ('hub_standby_lag_seconds', 'Seconds by which the standby is behind'),
    ('hub_connections', 'Connections of clients by state'),
    ('hub_connections_allowed', 'Connections that clients other than superusers may open'),
    ('hub_oldest_transaction_seconds', 'Age of the oldest open transaction, in seconds'),
    ('hub_transaction_id_age', 'Transactions since the oldest one that is not frozen; limit 2^31'),
    ('hub_database_bytes', 'Size of the database'),
    ('hub_dead_rows_ratio', 'Dead rows by all rows of the five tables with most dead rows'),
    ('hub_wal_archiving', '1 if WAL is archived for backups'),
    ('hub_wal_archive_failing', '1 while the last attempt to archive WAL failed')
$$;
comment on function app.metric_descriptions() is 'The metrics of app.metrics() and what they count';

create function app.metric_samples()
returns table (name text, label text, label_value text, value numeric)
language sql stable
as $$
  with waiting as (
    select
      o.awaiting, count(*) as orders, min(o.awaiting_since) as oldest_at,
      count(*) filter (where o.sla_reminder_sent) as reminded,
      count(*) filter (where o.sla_escalated) as escalated
    from app.orders as o where o.awaiting_since is not null
    group by o.awaiting
  ),
  turns as (
    select
      t.awaiting::text as awaiting, coalesce(w.orders, 0) as orders, w.oldest_at,
      coalesce(w.reminded, 0) as reminded, coalesce(w.escalated, 0) as escalated
    from unnest(array['SUBDIST', 'HEADQUARTERS']::app.awaiting_enum[]) as t (awaiting)
    left join waiting as w on w.awaiting = t.awaiting
  ),
  health as materialized (select h.* from jobs.health() as h),
  dead as (
    select
      s.relname as name, s.n_dead_tup::numeric / nullif(s.n_dead_tup + s.n_live_tup, 0) as ratio
    from pg_stat_user_tables as s
    where s.schemaname in ('app', 'auth', 'jobs')
    order by s.n_dead_tup desc, s.relname limit 5
  ),
  clients as (
    select coalesce(a.state, 'unknown') as state, count(*) as n
    from pg_stat_activity as a where a.backend_type = 'client backend'
    group by a.state
  )
  select 'hub_orders_waiting', 'awaiting', t.awaiting, t.orders::numeric from turns as t
  union all
  select
    'hub_orders_oldest_seconds', 'awaiting', t.awaiting,
    coalesce(round(extract(epoch from now() - t.oldest_at)), 0)
  from turns as t
  union all
  select 'hub_orders_reminded', 'awaiting', t.awaiting, t.reminded from turns as t
  union all
  select 'hub_orders_escalated', 'awaiting', t.awaiting, t.escalated from turns as t
  union all
  select 'hub_messages', 'status', 'PENDING', (
    select count(*) from (
      select from app.messages as m
      where m.status = 'PENDING' order by m.channel, m.priority, m.position limit 10000
    ) as q)
  union all
  select 'hub_messages', 'status', 'HELD', (
    select count(*) from (
      select from app.messages as m where m.status = 'HELD' order by m.position limit 10000
    ) as q)
  union all
  select 'hub_messages', 'status', 'IN_FLIGHT', (
    select count(*) from (
      select from app.messages as m
      where m.status in ('CLAIMED', 'UNKNOWN')
      order by m.channel, m.priority, app.message_lane(m.recipient_id) limit 10000
    ) as q)
  union all
  select 'hub_messages', 'status', 'FAILED', (
    select count(*) from (
      select from app.messages as m
      where m.status = 'FAILED' and m.created_at > now() - interval '1 day'
      order by m.created_at desc limit 10000
    ) as q)
  union all
  select 'hub_messages_oldest_seconds', null, null, coalesce((
    select round(extract(epoch from now() - min(f.created_at)))
    from unnest(enum_range(null::app.notification_channel_enum)) as c (channel)
    cross join generate_series(0, 2) as p (priority)
    cross join lateral (
      select m.created_at from app.messages as m
      where m.status = 'PENDING' and m.channel = c.channel and m.priority = p.priority
      order by m.position limit 1
    ) as f), 0)
  union all
  select 'hub_webhooks_waiting', null, null, (
    select count(*) from (
      select from app.inbound_messages as b
      where b.processed_at is null order by b.received_at limit 10000
    ) as q)
  union all
  select 'hub_erp_quarantine', null, null, (
    select count(*) from (select from app.erp_quarantine limit 10000) as q)
  union all
  select s.name, 'job', h.job, s.value
  from health as h
  cross join lateral (values
    ('hub_job_late', h.is_late::int::numeric),
    ('hub_job_seconds_since_success', h.seconds_since_success),
    ('hub_job_backlog', h.backlog),
    ('hub_job_backlog_seconds', h.backlog_seconds),
    ('hub_job_failing', h.failing)
  ) as s (name, value)
  where s.value is not null and (s.name = 'hub_job_late' or h.job not like 'standby:%')
  union all
  select s.name, 'standby', y.name, s.value
  from jobs.standbys() as y
  cross join lateral (values
    ('hub_standby_lag_bytes', y.lag_bytes::numeric), ('hub_standby_lag_seconds', y.lag_seconds)
  ) as s (name, value)
  where s.value is not null
  union all
  select 'hub_scheduler_running', null, null, (
    select count(*) from pg_stat_activity as a where a.backend_type = 'pg_cron launcher')
  union all
  select 'hub_connections', 'state', c.state, c.n from clients as c
  union all
  select 'hub_connections_allowed', null, null,
    current_setting('max_connections')::numeric
    - current_setting('superuser_reserved_connections')::numeric
  union all
  select 'hub_oldest_transaction_seconds', null, null, coalesce((
    select round(extract(epoch from now() - min(a.xact_start)))
    from pg_stat_activity as a where a.backend_type = 'client backend'), 0)
  union all
  select 'hub_transaction_id_age', null, null, age(d.datfrozenxid)::numeric
  from pg_database as d where d.datname = current_database()
  union all
  select 'hub_database_bytes', null, null, pg_database_size(current_database())
  union all
  select 'hub_dead_rows_ratio', 'table', d.name, coalesce(round(d.ratio, 3), 0) from dead as d
  union all
  select 'hub_wal_archiving', null, null, (
    current_setting('archive_mode') <> 'off'
    and current_setting('archive_command') not in ('', '(disabled)', '/bin/true'))::int
  union all
  select 'hub_wal_archive_failing', null, null,
    coalesce(r.last_failed_time > coalesce(r.last_archived_time, '-infinity'), false)::int
  from pg_stat_archiver as r
$$;
comment on function app.metric_samples() is
  'The metrics with at most one label each; no sample where a figure is unknown';

create function app.metric_line(p_name text, p_label text, p_label_value text, p_value numeric)
returns text language sql immutable
as $$
  select p_name
    || coalesce('{' || p_label || '="' || replace(replace(replace(
      p_label_value, '\', '\\'), '"', '\"'), E'\n', '\n') || '"}', '')
    || ' ' || trim_scale(p_value)
$$;
comment on function app.metric_line(text, text, text, numeric) is
  'A sample in the text format of Prometheus, its label escaped';

create function app.metrics() returns text language sql stable
as $$
  select string_agg(
    format(E'# HELP %1$s %2$s\n# TYPE %1$s gauge\n%3$s\n', d.name, d.help, s.lines), ''
    order by d.name)
  from app.metric_descriptions() as d
  inner join (
    select
      m.name,
      string_agg(
        app.metric_line(m.name, m.label, m.label_value, m.value), E'\n' order by m.label_value
      ) as lines
    from app.metric_samples() as m
    group by m.name
  ) as s on s.name = d.name
$$;
comment on function app.metrics() is 'All metrics in the text format of Prometheus';
