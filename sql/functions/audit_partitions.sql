-- The monthly partitions of the audit trail.

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

do $$ begin perform app.make_audit_partitions(); end $$;
