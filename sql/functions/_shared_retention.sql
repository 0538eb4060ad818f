-- The job that purges what has been kept long enough. docs/operations/data-protection.md lists what
-- is kept for how long.

-- Commits each batch, so it can neither be SECURITY DEFINER nor set a search_path; only the owner
-- may execute it. Runs at the same time share the work: each skips what another has locked.
create procedure jobs.purge_expired(p_batch int default 1000, p_seconds int default 600)
language plpgsql
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_kind text;
  v_rows bigint;
  v_total bigint := 0;
begin
  foreach v_kind in array array['messages', 'webhooks', 'sessions'] loop
    loop
      v_rows := case v_kind
        when 'messages' then app.purge_messages(p_batch)
        when 'webhooks' then app.purge_webhooks(p_batch)
        else auth.purge_sessions(p_batch)
      end;
      v_total := v_total + v_rows;
      commit;
      exit when v_rows < p_batch
        or clock_timestamp() >= v_started_at + make_interval(secs => p_seconds);
    end loop;
  end loop;
  v_total := v_total + app.drop_audit_partitions(
    now() - make_interval(years => app.config_int('retention.audit_years')));
  commit;
  perform jobs.record_run('retention', v_started_at, v_total);
end $$;
comment on procedure jobs.purge_expired(int, int) is
  'Purges messages, webhooks and sessions that have been kept long enough, p_batch rows in a '
  'transaction, until none are left or p_seconds have passed, and drops old months of the audit '
  'trail';
