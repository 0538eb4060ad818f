-- The job that purges what has been kept long enough. docs/operations/data-protection.md lists what
-- is kept for how long.

create procedure jobs.purge_expired(p_batch int default 1000, p_seconds int default 600)
language plpgsql
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_until timestamptz := v_started_at + make_interval(secs => p_seconds);
  v_total bigint := 0;
begin
  call jobs.purge_in_batches('app.purge_messages', p_batch, v_until, v_total);
  call jobs.purge_in_batches('app.purge_webhooks', p_batch, v_until, v_total);
  call jobs.purge_in_batches('app.purge_former_contacts', p_batch, v_until, v_total);
  call jobs.purge_in_batches('auth.purge_sessions', p_batch, v_until, v_total);
  v_total := v_total + app.drop_audit_partitions(
    now() - make_interval(years => app.config_int('retention.audit_years')));
  commit;
  perform jobs.record_run('retention', v_started_at, v_total);
end $$;
comment on procedure jobs.purge_expired(int, int) is
  'Purges messages, webhooks and sessions that have been kept long enough, p_batch rows in a '
  'transaction, until none are left or p_seconds have passed, and drops old months of the audit '
  'trail';
