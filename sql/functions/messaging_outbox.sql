-- The outbox: what becomes of messages that wait or whose claim lapsed. Delivery is at least once.

-- A lapsed lease means that the messenger died, perhaps after sending. The provider may still
-- report the message, because its status carries the hub's id. So the message is sent again, and
-- counted as a repeat, only after outbox.unknown_wait_seconds without a report.
create function app.reap_messages()
returns int language plpgsql volatile
-- Always by messages_reap_idx: plans that are cached while the outbox is small must hold later.
set enable_seqscan = off set enable_sort = off
as $$
declare
  v_wait interval := make_interval(secs => app.config_int('outbox.unknown_wait_seconds'));
  v_max_attempts int := app.config_int('outbox.max_attempts');
  v_count int;
  v_more int;
  v_message record;
begin
  update app.messages as m set status = 'UNKNOWN', unknown_since = now(), lease_until = null
  where m.id in (
    select l.id from app.messages as l
    where l.status = 'CLAIMED' and l.lease_until <= now()
      and coalesce(l.lease_until, l.unknown_since, l.expires_at) <= now()
    order by coalesce(l.lease_until, l.unknown_since, l.expires_at)
    for update skip locked
  );
  get diagnostics v_count = row_count;
  -- A message that crashes each messenger. Outages do not leave messages UNKNOWN.
  for v_message in
    select u.id, u.order_id from app.messages as u
    where u.status = 'UNKNOWN' and u.unknown_since <= now() - v_wait
      and coalesce(u.lease_until, u.unknown_since, u.expires_at) <= now() - v_wait
      and u.repeats + 1 >= v_max_attempts
    order by coalesce(u.lease_until, u.unknown_since, u.expires_at)
  loop
    v_count := v_count + app.give_up_message(
      v_message.id, v_message.order_id, 'UNKNOWN', 'no report from the provider');
  end loop;
  update app.messages as m set
    status = 'PENDING', unknown_since = null, next_attempt_at = now(), repeats = m.repeats + 1
  where m.id in (
    select u.id from app.messages as u
    where u.status = 'UNKNOWN' and u.unknown_since <= now() - v_wait
      and coalesce(u.lease_until, u.unknown_since, u.expires_at) <= now() - v_wait
      and u.repeats + 1 < v_max_attempts
    order by coalesce(u.lease_until, u.unknown_since, u.expires_at)
    for update skip locked
  );
  get diagnostics v_more = row_count;
  v_count := v_count + v_more;
  update app.messages as m set status = 'WITHDRAWN', error_code = 'expired', variables = '{}'
  where m.id in (
    select e.id from app.messages as e
    where e.status = 'PENDING' and e.expires_at <= now()
      and coalesce(e.lease_until, e.unknown_since, e.expires_at) <= now()
    order by coalesce(e.lease_until, e.unknown_since, e.expires_at)
    for update skip locked
  );
  get diagnostics v_more = row_count;
  return v_count + v_more + app.give_up_old_messages();
end $$;
comment on function app.reap_messages() is
  'Settles lapsed leases (UNKNOWN), long unknown messages (PENDING again or FAILED) and expired '
  'messages (WITHDRAWN, or FAILED where nothing but their age ends them); returns the number of '
  'changed messages';

-- The positions of a channel and priority follow its age, so the oldest few are enough: each call
-- goes on.
create function app.give_up_old_messages()
returns int language plpgsql volatile
set enable_seqscan = off set enable_sort = off
as $$
declare
  c_wait_for_token constant interval := interval '5 minutes';
  v_before timestamptz := now() - make_interval(hours => app.config_int('outbox.expiry_hours'));
  v_message record;
  v_count int := 0;
begin
  for v_message in
    select o.id, o.order_id
    from generate_series(0, 2) as p (priority)
    cross join unnest(enum_range(null::app.notification_channel_enum)) as c (channel)
    cross join lateral (
      select m.id, m.order_id, m.created_at, m.expires_at, m.template, m.channel
      from app.messages as m
      where m.status = 'PENDING' and m.channel = c.channel and m.priority = p.priority
      order by m.position limit 20
    ) as o
    where (o.expires_at is null and o.created_at <= v_before)
      -- nothing is claimed while the provider is away, and a person waits for the token
      or (
        o.channel = 'WHATSAPP' and app.carries_token(o.template)
        and o.created_at <= now() - c_wait_for_token
      )
  loop
    v_count := v_count
      + app.give_up_message(v_message.id, v_message.order_id, 'PENDING', 'not sent in time');
  end loop;
  return v_count;
end $$;
comment on function app.give_up_old_messages() is
  'Gives up messages that could not be sent for outbox.expiry_hours, tokens for WhatsApp after '
  'five minutes, the oldest of each channel and priority; they are sent by e-mail instead. Returns '
  'how many';

-- Lock the order before the message, as withdraw_offer does, to avoid a deadlock. Rows that another
-- transaction has locked are left for the next run.
create function app.give_up_message(
  p_message_id uuid, p_order_id uuid, p_status app.message_status, p_error_code text
)
returns int language plpgsql volatile
as $$
begin
  perform from app.orders as o where o.id = p_order_id for no key update skip locked;
  if found or p_order_id is null then
    perform from app.messages as m
    where m.id = p_message_id and m.status = p_status
    for update skip locked;
    if found then
      perform app.message_failed(p_message_id, p_error_code, false);
      return 1;
    end if;
  end if;
  return 0;
end $$;
comment on function app.give_up_message(uuid, uuid, app.message_status, text) is
  'Marks a message of this order (null: of none) as failed and returns 1; returns 0 if it has '
  'another status now, or if it or its order is locked';

-- Runs before the insert, so that it sees only earlier messages: where one of them is due, the
-- listening workers are already at work. It looks at a few, so that a backlog costs nothing, and at
-- those of WhatsApp only, because e-mails that wait for their server wake no worker of WhatsApp.
-- The worker of e-mail finds what is enqueued meanwhile at its next poll. WhatsApp is the first
-- channel: a condition on it would be compared with every entry of the index's page. By
-- messages_lane_idx, of which a page has fewer entries, and never by a sort.
create function app.tg_messages__notify() returns trigger
language plpgsql volatile
set enable_sort = off set enable_incremental_sort = off
as $$
begin
  if not exists (
    select from (
      select m.channel, m.next_attempt_at from app.messages as m
      where m.status = 'PENDING'
      order by m.channel, m.priority, app.message_lane(m.recipient_id), m.position
      limit 10
    ) as p
    where p.channel = 'WHATSAPP' and p.next_attempt_at <= now()
  ) then
    perform pg_notify('hub_messages', '');
  end if;
  return null;
end $$;
create trigger _100_notify before insert on app.messages
for each statement execute function app.tg_messages__notify();

create function jobs.reap_leases()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_count bigint;
begin
  -- The inbox first: it waits for locks, and must not hold messages meanwhile.
  v_count := app.process_inbox();
  v_count := v_count + app.reap_messages();
  return jobs.record_run('lease-reaper', v_started_at, v_count);
end $$;
comment on function jobs.reap_leases() is
  'Settles lapsed and expired messages and processes the webhooks that are left; returns how many';
