-- The exchange with the ERP: streams, their health, and the quarantine of rows that cannot be
-- imported. Calls take and return sets and are idempotent (D-5.erp-1, D-5.erp-4).
-- Lock order: products (an advisory lock), inventory, the row of the stream.

create function app.require_set(p_name text, p_set jsonb, p_max int)
returns void language plpgsql stable
as $$
begin
  if jsonb_typeof(p_set) is distinct from 'array' or jsonb_array_length(p_set) > p_max
    or exists (select from jsonb_array_elements(p_set) as e where jsonb_typeof(e) <> 'object')
  then
    perform app.fail('INVALID_ARGUMENT',
      format('%s must be an array of at most %s objects', p_name, p_max));
  end if;
end $$;
comment on function app.require_set(text, jsonb, int) is
  'Raises INVALID_ARGUMENT unless the argument is an array of at most p_max objects';

create function app.require_stream(p_stream text)
returns text language plpgsql stable
as $$
begin
  if p_stream is null or p_stream !~ '^[a-z][a-z0-9_:.-]{0,59}$' then
    perform app.fail('INVALID_ARGUMENT',
      'stream must be a name such as products, stock, payments or orders');
  end if;
  return p_stream;
end $$;
comment on function app.require_stream(text) is
  'The name of the stream; raises INVALID_ARGUMENT if it is not a valid name';

create function app.erp_stream(p_stream text)
returns json language plpgsql stable
as $$
declare
  v_stream text;
begin
  v_stream := app.require_stream(p_stream);
  return (
    select json_build_object(
      'stream', v_stream, 'cursor', e.cursor, 'read_at', now(), 'updated_at', e.updated_at,
      'interval_minutes', app.config_int('stock.sync_interval_minutes'),
      'erp_kind', app.config_text('erp.kind'))
    from (select) as one
    left join app.erp_streams as e on e.stream = v_stream
  );
end $$;
comment on function app.erp_stream(text) is
  'Cursor of a stream, and the current time as the read_at of a reading that starts now';

create function app.store_cursor(p_stream text, p_cursor jsonb, p_rows bigint)
returns void language plpgsql volatile
as $$
begin
  insert into app.erp_streams as e (stream, cursor) values (p_stream, nullif(p_cursor, 'null'))
  on conflict (stream) do update set
    cursor = coalesce(excluded.cursor, e.cursor),
    updated_at = case
      when p_rows > 0 or excluded.cursor is not null then now() else e.updated_at
    end;
end $$;
comment on function app.store_cursor(text, jsonb, bigint) is
  'Stores the cursor of a stream with its data; called last, after every other lock';

create function app.notify_erp_trouble(p_stream text, p_since timestamptz, p_error text)
returns void language plpgsql volatile
as $$
begin
  perform app.notify_headquarters('erp_trouble', null, jsonb_build_object(
    'stream', p_stream,
    'since', app.format_moment(p_since, 'Asia/Jakarta'),
    'error', left(p_error, 300)));
end $$;
comment on function app.notify_erp_trouble(text, timestamptz, text) is
  'Notifies headquarters that a stream of the ERP has a fault';

-- Texts of other programs can be long and have several lines.
create function app.report_text(p_text text) returns text language sql immutable
as $$ select nullif(btrim(left(regexp_replace(p_text, '\s+', ' ', 'g'), 1000)), '') $$;
comment on function app.report_text(text) is
  'The text as one line of at most 1000 characters; null if it is blank';

create function app.erp_report(
  p_stream text, p_ok boolean, p_detail text, p_notify boolean, p_remarks text
)
returns json language plpgsql volatile
as $$
declare
  v_stream text;
  v_detail text := coalesce(app.report_text(p_detail), 'no reason given');
  v_remarks text := app.report_text(p_remarks);
begin
  v_stream := app.require_stream(p_stream);
  if p_ok is null then
    perform app.fail('INVALID_ARGUMENT', 'ok is missing');
  end if;
  insert into app.erp_streams as e (
    stream, last_succeeded_at, last_failed_at, failing_since, last_error, last_remarks,
    last_remarked_at
  )
  select v_stream, case when p_ok then now() end, f.failed_at, f.failed_at,
    case when not p_ok then v_detail end, v_remarks, case when v_remarks is not null then now() end
  from (select case when not p_ok then now() end as failed_at) as f
  on conflict (stream) do update set
    last_succeeded_at = coalesce(excluded.last_succeeded_at, e.last_succeeded_at),
    last_failed_at = coalesce(excluded.last_failed_at, e.last_failed_at),
    failing_since = case
      when not p_ok then coalesce(e.failing_since, excluded.failing_since)
    end,
    last_error = coalesce(excluded.last_error, e.last_error),
    last_remarks = coalesce(excluded.last_remarks, e.last_remarks),
    last_remarked_at = coalesce(excluded.last_remarked_at, e.last_remarked_at);
  if p_notify and not p_ok then
    perform app.notify_erp_trouble(v_stream, now(), v_detail);
  end if;
  return json_build_object('stream', v_stream, 'ok', p_ok);
end $$;
comment on function app.erp_report(text, boolean, text, boolean, text) is
  'Records that a run of a stream succeeded or failed; reason and remarks are cut at 1000 '
  'characters. p_notify: notifies headquarters of the failure at once';

create function app.payment_key(p_invoice_number text, p_reference_number text)
returns text language sql immutable
as $$ select left(p_invoice_number, 150) || ' ' || left(p_reference_number, 140) $$;
comment on function app.payment_key(text, text) is
  'Key of a payment in app.erp_quarantine: null without both numbers';

create function app.quarantine_rows(
  p_stream text, p_keys text[], p_payloads jsonb[], p_reasons text[], p_as_of timestamptz
)
returns void language plpgsql volatile
as $$
begin
  insert into app.erp_quarantine as a (stream, key, payload, reason, as_of)
  select distinct on (left(s.key, 300))
    p_stream, left(s.key, 300),
    case
      when length(s.payload::text) <= 10000 then s.payload
      else to_jsonb(left(s.payload::text, 10000))
    end,
    left(s.reason, 200), p_as_of
  from unnest(p_keys, p_payloads, p_reasons) with ordinality as s (key, payload, reason, ord)
  order by left(s.key, 300), s.ord desc
  on conflict (stream, key) do update set
    payload = excluded.payload, reason = excluded.reason, as_of = excluded.as_of,
    last_seen_at = now(), times = a.times + 1
  where a.as_of <= excluded.as_of;
end $$;
comment on function app.quarantine_rows(text, text[], jsonb[], text[], timestamptz) is
  'Quarantines rows that cannot be imported, each with its reason; one row for each key, the last '
  'of the newest reading';

-- The orders stream is behind while an order or a cancellation waits to be acknowledged, the stock
-- stream while no levels arrive, any other stream while no run reports a success.
create function app.erp_health()
returns table (
  stream text, last_succeeded_at timestamptz, last_failed_at timestamptz, last_error text,
  rows_at timestamptz, behind_since timestamptz, failing_since timestamptz, next_run_at timestamptz,
  is_late boolean, last_remarks text, last_remarked_at timestamptz
)
language sql stable
as $$
  select
    e.stream, e.last_succeeded_at, e.last_failed_at, e.last_error, e.updated_at, b.since,
    e.failing_since, greatest(e.last_succeeded_at, e.last_failed_at) + t.sync_interval,
    coalesce(b.since < now() - 2 * t.sync_interval, false)
    or coalesce(e.failing_since < now() - t.sync_interval, false),
    e.last_remarks, e.last_remarked_at
  from app.erp_streams as e
  cross join (
    select make_interval(mins => app.config_int('stock.sync_interval_minutes')) as sync_interval
  ) as t
  cross join lateral (
    select case e.stream
      when 'orders' then least(
        (select min(o.approved_at) from app.orders as o
          where o.status in ('APPROVED', 'SHIPPED', 'COMPLETED') and o.erp_reference is null),
        (select min(c.created_at) from app.erp_cancellations as c where c.outcome is null))
      when 'stock' then e.updated_at
      else coalesce(e.last_succeeded_at, e.failing_since)
    end as since
  ) as b
  where e.last_succeeded_at is not null or e.last_failed_at is not null
$$;
comment on function app.erp_health() is
  'Health of each stream that has been used. Late: behind for two sync intervals, or failing for '
  'longer than one; a single failure is not late';

create function app.check_erp_streams()
returns bigint language plpgsql volatile
as $$
declare
  v_stream record;
  v_count bigint := 0;
begin
  update app.erp_streams as e set notified_at = null
  where e.notified_at is not null
    and not exists (select from app.erp_health() as h where h.stream = e.stream and h.is_late);
  for v_stream in
    -- the row lock makes a concurrent check see that this outage has been notified
    update app.erp_streams as e set notified_at = now()
    from app.erp_health() as h
    where h.stream = e.stream and h.is_late and e.notified_at is null
    returning h.*
  loop
    perform app.notify_erp_trouble(
      v_stream.stream, least(v_stream.behind_since, v_stream.failing_since),
      case
        when v_stream.failing_since is null then 'tidak ada kabar dari ERP'
        else v_stream.last_error
      end);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.check_erp_streams() is
  'Notifies headquarters of streams that are late, once an outage; returns how many';

create function jobs.check_erp_streams()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
begin
  return jobs.record_run('erp-watch', v_started_at, app.check_erp_streams());
end $$;
comment on function jobs.check_erp_streams() is
  'Notifies headquarters of ERP streams that are late; returns how many';
