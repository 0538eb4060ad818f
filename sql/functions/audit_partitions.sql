-- The monthly partitions of the audit trail: created in advance, and dropped when they are older
-- than retention.audit_years. Each is append-only like the trail itself: PostgreSQL copies row
-- triggers to partitions, but not the trigger that refuses TRUNCATE.

create function app.audit_partitions()
returns table (partition_name name, ends_at timestamptz) language sql stable
as $$
  select
    c.relname,
    (to_date(substr(c.relname, length('audit_logs_') + 1), 'YYYY_MM') + interval '1 month')
      at time zone 'UTC'
  from pg_catalog.pg_inherits as i
  join pg_catalog.pg_class as c on c.oid = i.inhrelid
  where i.inhparent = to_regclass('app.audit_logs') and c.relname <> 'audit_logs_default'
$$;
comment on function app.audit_partitions() is
  'The monthly partitions of audit_logs and when their months end';

create function app.make_audit_partitions(p_months_ahead int default 3)
returns int language plpgsql volatile
as $$
declare
  v_month date;
  v_start timestamptz;
  v_end timestamptz;
  v_name text;
  v_count int := 0;
begin
  perform pg_advisory_xact_lock(hashtext('app.audit_logs partitions'));
  for v_month in
    select (date_trunc('month', now() at time zone 'UTC') + make_interval(months => m))::date
    from generate_series(0, p_months_ahead) as m
  loop
    v_start := v_month::timestamp at time zone 'UTC';
    v_end := (v_month + interval '1 month')::timestamp at time zone 'UTC';
    v_name := 'audit_logs_' || to_char(v_month, 'YYYY_MM');
    if to_regclass('app.' || v_name) is null then
      -- Attaching fails while the default partition holds rows of the month, which it does if this
      -- job ran late. So they are moved first: the only deletion that the trail allows.
      execute format(
        'create table app.%I (like app.audit_logs including defaults including constraints)',
        v_name);
      alter table app.audit_logs_default disable trigger _100_append_only;
      execute format(
        'with moved as (
           delete from app.audit_logs_default where created_at >= %L and created_at < %L returning *
         )
         insert into app.%I select * from moved', v_start, v_end, v_name);
      alter table app.audit_logs_default enable trigger _100_append_only;
      execute format(
        'alter table app.audit_logs attach partition app.%I for values from (%L) to (%L)',
        v_name, v_start, v_end);
      execute format('alter table app.%I enable row level security', v_name);
      execute format(
        'create trigger _200_no_truncate before truncate on app.%I
         for each statement execute function app.tg_append_only()', v_name);
      v_count := v_count + 1;
    end if;
  end loop;
  return v_count;
end $$;
comment on function app.make_audit_partitions(int) is
  'Creates the monthly partitions of audit_logs from this month to p_months_ahead; returns the '
  'number created';

create function jobs.make_partitions()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('partition-maker', v_started_at, app.make_audit_partitions());
end $$;
comment on function jobs.make_partitions() is
  'Keeps monthly partitions of audit_logs three months ahead; returns the number created';

-- A month that has not ended before p_before stays. Readers wait for the partition at most three
-- seconds; what cannot be locked is left for the next run.
create function app.drop_audit_partitions(p_before timestamptz)
returns int language plpgsql volatile set lock_timeout = '3s'
as $$
declare
  v_name name;
  v_count int := 0;
begin
  for v_name in
    select p.partition_name from app.audit_partitions() as p
    where p.ends_at <= p_before order by p.ends_at
  loop
    execute format('drop table app.%I', v_name);
    v_count := v_count + 1;
  end loop;
  -- Rows of a month that never had a partition.
  if exists (select from app.audit_logs_default as l where l.created_at < p_before) then
    alter table app.audit_logs_default disable trigger _100_append_only;
    delete from app.audit_logs_default as l where l.created_at < p_before;
    alter table app.audit_logs_default enable trigger _100_append_only;
  end if;
  return v_count;
exception
  when lock_not_available then
    return 0;
end $$;
comment on function app.drop_audit_partitions(timestamptz) is
  'Drops the months of the audit trail that ended before this time; returns the number of '
  'partitions dropped';

do $$
declare
  v_name name;
begin
  for v_name in
    select p.partition_name from app.audit_partitions() as p
    union all
    select 'audit_logs_default'
  loop
    execute format(
      'create or replace trigger _200_no_truncate before truncate on app.%I
       for each statement execute function app.tg_append_only()', v_name);
  end loop;
  perform app.make_audit_partitions();
end $$;
