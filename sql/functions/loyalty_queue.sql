-- The queue of paid invoices whose points are to vest. An invoice that cannot be processed does not
-- hold up the others: a batch that fails is taken back, and its invoices are tried one by one.

create function app.queued_invoices(p_limit int, p_before timestamptz)
returns uuid[] language plpgsql volatile
as $$
declare
  v_ids uuid[] := array(
    select q.invoice_id from app.point_queue as q
    where q.next_attempt_at <= p_before and q.attempts = 0
    order by q.next_attempt_at limit p_limit for update skip locked
  );
begin
  if v_ids = '{}' then
    v_ids := array(
      select q.invoice_id from app.point_queue as q
      where q.next_attempt_at <= p_before and q.attempts > 0
      order by q.next_attempt_at limit 1 for update skip locked
    );
  end if;
  return v_ids;
end $$;
comment on function app.queued_invoices(int, timestamptz) is
  'Locks and returns up to p_limit queued invoices that are due before p_before and have not '
  'failed yet, or else one that has; other runs skip them';

create function app.vest_invoices(p_invoice_ids uuid[])
returns int language plpgsql volatile
as $$
declare
  v_id uuid;
  v_count int := 0;
begin
  perform app.lock_many_partners();
  -- Vesting locks partners: in the order of their ids, as erp_apply_payments does.
  for v_id in
    select i.id from app.invoices as i where i.id = any (p_invoice_ids) order by i.partner_id, i.id
  loop
    if app.vest_points(v_id) is not null then
      delete from app.point_queue as q where q.invoice_id = v_id;
      v_count := v_count + 1;
    else
      update app.point_queue as q set next_attempt_at = clock_timestamp() where q.invoice_id = v_id;
    end if;
  end loop;
  return v_count;
end $$;
comment on function app.vest_invoices(uuid[]) is
  'Vests the points of these queued invoices and takes them off the queue; returns their number. '
  'An invoice waits for the next run while its partner''s balance has no room for the points';

create function app.postpone_vesting(p_invoice_ids uuid[], p_error text)
returns void language sql volatile
as $$
  update app.point_queue as q set
    attempts = q.attempts + 1,
    failed_at = case when cardinality(p_invoice_ids) = 1 then clock_timestamp() end,
    last_error = case when cardinality(p_invoice_ids) = 1 then left(p_error, 1000) end,
    next_attempt_at = case cardinality(p_invoice_ids)
      when 1 then clock_timestamp() + least(
        make_interval(mins => (2 ^ least(q.attempts, 6))::int), interval '1 hour')
      else q.next_attempt_at
    end
  where q.invoice_id = any (p_invoice_ids)
$$;
comment on function app.postpone_vesting(uuid[], text) is
  'Records a failure: an invoice alone is tried again after 1, 2, 4 ... at most 60 minutes; the '
  'invoices of a batch are due at once, one by one';

-- Commits each batch, so it can neither be SECURITY DEFINER nor set a search_path; only the owner
-- may execute it. One subtransaction in each transaction: many at once slow down the replicas.
create procedure jobs.process_point_queue(p_batch int default 100, p_seconds int default 50)
language plpgsql
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_ids uuid[];
  v_error text;
  v_total bigint := 0;
begin
  loop
    v_ids := app.queued_invoices(p_batch, v_started_at);
    exit when v_ids = '{}'
      or clock_timestamp() >= v_started_at + make_interval(secs => p_seconds);
    begin
      v_total := v_total + app.vest_invoices(v_ids);
    exception when others then
      get stacked diagnostics v_error = message_text;
      perform app.postpone_vesting(v_ids, v_error);
    end;
    commit;
  end loop;
  perform jobs.record_run('point-queue', v_started_at, v_total);
end $$;
comment on procedure jobs.process_point_queue(int, int) is
  'Vests the points of paid invoices, p_batch in a transaction, until none is due or p_seconds '
  'have passed. An invoice that fails waits without stopping the others. Runs at the same time '
  'share the work';
