-- The outbox: which messages a messenger gets, and in which order.

-- The first way to find messages: in the order in which they were enqueued. It stops after a few
-- rows, because those behind the first of their lane are found in vain. The planner's other ways
-- to join would read the whole backlog.
create function app.claim_oldest(
  p_max int, p_lease_seconds int, p_channels app.notification_channel_enum[]
)
returns uuid[] language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off
set enable_mergejoin = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_ids uuid[];
begin
  with oldest as (
    select f.id, f.channel, f.priority, f.lane, f.position
    from unnest(p_channels) as c (channel)
    cross join lateral (
      select
        m.id, m.channel, m.priority, app.message_lane(m.recipient_id) as lane, m.position
      from app.messages as m
      where m.status = 'PENDING' and m.channel = c.channel
      order by m.priority, m.position
      limit 4 * p_max
    ) as f
    order by f.priority, f.position
    limit 4 * p_max
  ),
  due as (
    select d.id
    from oldest as o
    cross join lateral (
      select m.id from app.messages as m
      where m.id = o.id and m.status = 'PENDING' and m.next_attempt_at <= now()
        and not exists (
          select from app.messages as e
          where e.status = 'PENDING' and e.channel = o.channel and e.priority = o.priority
            and app.message_lane(e.recipient_id) = o.lane and e.position < o.position
        )
        and not exists (
          select from app.messages as f
          where f.status in ('CLAIMED', 'UNKNOWN') and f.channel = o.channel
            and f.priority = o.priority
            and app.message_lane(f.recipient_id) = o.lane
        )
      for update skip locked
    ) as d
    limit p_max
  ),
  claimed as (
    update app.messages as m set
      status = 'CLAIMED', attempts = m.attempts + 1,
      lease_until = now() + make_interval(secs => p_lease_seconds)
    from due as d where m.id = d.id
    returning m.id
  )

  select coalesce(array_agg(c.id), '{}') into v_ids from claimed as c;
  return v_ids;
end $$;
comment on function app.claim_oldest(int, int, app.notification_channel_enum[]) is
  'Leases those of the oldest messages of these channels that are due and the first of their '
  'recipient, channel and priority';

-- The second way: from lane to lane, when the oldest messages are those of a few recipients. A lane
-- costs two index probes, however long it is: its first message, and whether one is in flight.
create function app.claim_lanes(
  p_channel app.notification_channel_enum, p_priority int, p_from bigint, p_until bigint,
  p_max int, p_lease_seconds int
)
returns uuid[] language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off
set enable_mergejoin = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_ids uuid[];
begin
  with recursive first as (
    (
      select app.message_lane(m.recipient_id) as lane, m.id
      from app.messages as m
      where m.status = 'PENDING' and m.channel = p_channel and m.priority = p_priority
        and app.message_lane(m.recipient_id) between p_from and p_until
      order by app.message_lane(m.recipient_id), m.position
      limit 1
    )
    union all
    select n.lane, n.id
    from first as f
    cross join lateral (
      select app.message_lane(m.recipient_id) as lane, m.id
      from app.messages as m
      where m.status = 'PENDING' and m.channel = p_channel and m.priority = p_priority
        and app.message_lane(m.recipient_id) > f.lane
        and app.message_lane(m.recipient_id) <= p_until
      order by app.message_lane(m.recipient_id), m.position
      limit 1
    ) as n
  ),
  due as (
    select d.id
    from first as f
    cross join lateral (
      select m.id from app.messages as m
      where m.id = f.id and m.status = 'PENDING' and m.next_attempt_at <= now()
        and not exists (
          select from app.messages as e
          where e.status in ('CLAIMED', 'UNKNOWN') and e.channel = p_channel
            and e.priority = p_priority
            and app.message_lane(e.recipient_id) = f.lane
        )
      for update skip locked
    ) as d
    limit p_max
  ),
  claimed as (
    update app.messages as m set
      status = 'CLAIMED', attempts = m.attempts + 1,
      lease_until = now() + make_interval(secs => p_lease_seconds)
    from due as d where m.id = d.id
    returning m.id
  )

  select coalesce(array_agg(c.id), '{}') into v_ids from claimed as c;
  return v_ids;
end $$;
comment on function app.claim_lanes(
  app.notification_channel_enum, int, bigint, bigint, int, int
) is
  'Leases the first message of each lane of this channel, priority and range, at most p_max, if it '
  'is due and no message of the lane is in flight';

-- A transition can enqueue a message to a partner while they are being deleted.
create function app.withdraw_from_deleted(p_ids uuid[])
returns uuid[] language plpgsql volatile
as $$
declare
  v_deleted uuid[] := array(
    select m.id from app.messages as m
    join app.partners as p on p.id = m.recipient_id
    where m.id = any (p_ids) and m.recipient_type = 'PARTNER' and p.deleted_at is not null
  );
begin
  if v_deleted = '{}' then
    return p_ids;
  end if;
  update app.messages as m set
    status = 'WITHDRAWN', error_code = 'partner deleted', lease_until = null, variables = '{}'
  where m.id = any (v_deleted);
  return array(select unnest(p_ids) except select unnest(v_deleted));
end $$;
comment on function app.withdraw_from_deleted(uuid[]) is
  'Withdraws those of these claimed messages that are for deleted partners; returns the others';

-- Only the first message of each recipient, channel and priority is claimed. A message that is in
-- flight, unknown or waiting for a retry holds back the later ones of its lane, so messages arrive
-- in order. This costs no throughput: WhatsApp accepts one message in six seconds for each number.
-- Concurrent claims need no lock: a message that another call is claiming still counts as PENDING
-- and holds back the next one of its recipient. The lanes of a priority are visited from a random
-- one on, so that none waits behind busy ones.
create function app.claim_messages(
  p_max int, p_lease_seconds int, p_only_channel text default null
)
returns table (
  id uuid, template text, channel app.notification_channel_enum, recipient_type text,
  recipient_name text, recipient text, body text, variables jsonb, buttons jsonb, order_id uuid,
  attempts int, lease_until timestamptz, template_body text, window_open boolean,
  request_id text
)
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_start constant bigint := app.message_lane(gen_random_uuid());
  v_channels app.notification_channel_enum[];
  v_channel app.notification_channel_enum;
  v_priority int := -1;
  v_ids uuid[];
begin
  if p_max is null or p_max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max must be from 1 to 1000');
  elsif p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    perform app.fail('INVALID_ARGUMENT', 'lease_seconds must be from 1 to 3600');
  elsif p_only_channel not in ('WHATSAPP', 'EMAIL') then
    perform app.fail('INVALID_ARGUMENT', 'only_channel must be WHATSAPP or EMAIL');
  end if;
  v_channels := case
    when p_only_channel is null then enum_range(null::app.notification_channel_enum)
    else array[p_only_channel::app.notification_channel_enum]
  end;
  perform app.reap_messages();
  begin
    v_ids := app.claim_oldest(p_max, p_lease_seconds, v_channels);
    while cardinality(v_ids) < p_max loop
      select f.priority into v_priority
      from unnest(v_channels) as c (channel)
      cross join lateral (
        select m.priority from app.messages as m
        where m.status = 'PENDING' and m.channel = c.channel and m.priority > v_priority
        order by m.priority
        limit 1
      ) as f
      order by f.priority
      limit 1;
      exit when not found;
      foreach v_channel in array v_channels loop
        v_ids := v_ids || app.claim_lanes(
          v_channel, v_priority, v_start, 9223372036854775807, p_max - cardinality(v_ids),
          p_lease_seconds);
        v_ids := v_ids || app.claim_lanes(
          v_channel, v_priority, -9223372036854775808, v_start - 1, p_max - cardinality(v_ids),
          p_lease_seconds);
      end loop;
    end loop;
  exception
    -- messages_in_flight_key: an earlier message of a lane was committed after this call looked,
    -- and another call claims it. The messenger asks again.
    when unique_violation then
      return;
  end;
  v_ids := app.withdraw_from_deleted(v_ids);
  return query
  -- Materialized: the query below uses these values several times, and each use would be a call.
  with prepared as materialized (
    select
      c.*, t.body, t.buttons,
      app.order_variables(c.order_id, t.body like '%{{lines}}%') || c.variables as facts,
      app.recipient_address(c.recipient_type, c.recipient_id, c.channel) as address
    from unnest(v_ids) as d (id)
    join app.messages as c on c.id = d.id
    join app.message_templates() as t on t.template = c.template
  )
  select
    p.id, p.template::text, p.channel, p.recipient_type::text,
    case p.recipient_type
      when 'PARTNER' then (
        select t.business_name from app.partners as t where t.id = p.recipient_id)
      when 'SUBDIST' then (
        select s.business_name from app.sub_distributors as s where s.id = p.recipient_id)
      else (select a.full_name from app.agents as a where a.id = p.recipient_id)
    end::text,
    p.address, app.render_message(p.body, p.facts), p.facts,
    app.reply_buttons(p.buttons, p.order_id, p.recipient_id),
    p.order_id, p.attempts, p.lease_until, p.body,
    p.channel = 'WHATSAPP' and p.refused_id is null and app.is_in_conversation_window(p.address),
    p.request_id::text
  from prepared as p
  order by p.priority, p.position;
end $$;
comment on function app.claim_messages(int, int, text) is
  'Leases due messages, urgent ones first, those of one recipient and channel in order, with their '
  'current text, buttons and address; window_open: WhatsApp accepts a free-form message';
