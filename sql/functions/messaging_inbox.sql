-- The WhatsApp inbox: webhooks are stored first and processed later, each message once.

-- The payload of a reply button is signed together with the start of the running clock. Any answer
-- restarts the clock, so a payload can be used once.
create function app.reply_signature(
  p_decision text, p_order_id uuid, p_subdist_id uuid, p_clock timestamptz
)
returns text language plpgsql stable
as $$
begin
  return (
    select auth.base64url(extensions.hmac(
      convert_to(concat_ws(
        '|', 'reply', p_decision, p_order_id, p_subdist_id, extract(epoch from p_clock)), 'UTF8'),
      convert_to(s.secret, 'UTF8'), 'sha256'))
    from auth.jwt_secret as s
  );
end $$;
comment on function app.reply_signature(text, uuid, uuid, timestamptz) is
  'Signature of a reply button: it was offered to this sub-distributor during this clock';

create function app.reply_buttons(p_titles text[], p_order_id uuid, p_subdist_id uuid)
returns jsonb language plpgsql stable
as $$
begin
  if p_titles = '{}' then
    return '[]'::jsonb;
  end if;
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'title', b.title,
      'payload', concat_ws(':', d.decision, p_order_id,
        app.reply_signature(d.decision, p_order_id, p_subdist_id, o.awaiting_since))
    ) order by b.position), '[]')
    from unnest(p_titles) with ordinality as b (title, position)
    cross join lateral (
      select case b.title
        when 'Terima' then 'ACCEPT'
        when 'Masih diproses' then 'PROGRESS'
        when 'Tolak' then 'DECLINE'
      end
    ) as d (decision)
    join app.orders as o on o.id = p_order_id
  );
end $$;
comment on function app.reply_buttons(text[], uuid, uuid) is
  '[{"title", "payload"}]: buttons with signed payloads of at most 256 characters each';

-- In the order of the hashes, so that two calls with the same webhooks cannot deadlock. received_at
-- keeps the order in which they arrived.
create function app.store_webhooks(p_payloads jsonb)
returns json language plpgsql volatile
as $$
declare
  v_stored int;
begin
  perform app.require_set('payloads', p_payloads, 100);
  insert into app.inbound_messages (payload_hash, payload, received_at)
  select h.payload_hash, e.payload, now() + (e.number - 1) * interval '1 microsecond'
  from jsonb_array_elements(p_payloads) with ordinality as e (payload, number)
  cross join lateral (select app.request_hash(e.payload) as payload_hash) as h
  order by h.payload_hash, e.number
  on conflict (payload_hash) do nothing;
  get diagnostics v_stored = row_count;
  return json_build_object('stored', v_stored);
end $$;
comment on function app.store_webhooks(jsonb) is
  'Stores webhooks of the provider, at most 100, each once; returns how many were new';

create function app.inbound_message(p_payload jsonb)
returns json language plpgsql volatile
as $$
begin
  if jsonb_typeof(p_payload) is distinct from 'object' then
    perform app.fail('INVALID_ARGUMENT', 'payload must be a JSON object');
  end if;
  return json_build_object(
    'stored', app.store_webhooks(jsonb_build_array(p_payload)) ->> 'stored' = '1');
end $$;
comment on function app.inbound_message(jsonb) is
  'Stores a webhook of the provider once; process_inbox processes it';

-- WhatsApp accepts free-form messages for 24 hours after the recipient's last message (see
-- docs/whatsapp/contract.md). Ten minutes are subtracted, because the provider receives a claimed
-- message some time after the claim.
create function app.is_in_conversation_window(p_number text)
returns boolean language plpgsql stable
as $$
begin
  return exists (
    select from app.conversations as c
    where c.number = p_number and c.last_inbound_at > now() - interval '23 hours 50 minutes'
  );
end $$;
comment on function app.is_in_conversation_window(text) is
  'Whether WhatsApp accepts a free-form message to this number: its owner wrote within a day';

-- The provider sends international numbers without the plus: 81 is the prefix of Japan, not the
-- beginning of the national number 0811.
create function app.sender_number(p_from text)
returns text language sql immutable
as $$
  select case
    when p_from ~ '^[1-9][0-9]{4,19}$' then app.normalise_phone('+' || p_from)
    else app.normalise_phone(p_from)
  end
$$;
comment on function app.sender_number(text) is
  'E.164 number of a sender, whom the provider names by an international number without the plus; '
  'null for a sender without a number';

-- Only a sub-distributor who was offered the button gets an explanation; anyone else learns nothing
-- about the order. No second explanation is enqueued while one is pending.
create function app.reply_to_outdated_button(p_order_id uuid, p_from text)
returns void language plpgsql volatile
as $$
begin
  perform app.enqueue_message(
    'button_outdated', 'SUBDIST', s.id, o.id, jsonb_build_object('reason', case
      when o.status = 'CANCELLED' then 'pesanan sudah dibatalkan'
      when o.status = 'REJECTED' then 'pesanan sudah ditolak oleh kantor pusat'
      when o.routed_to_subdist_id is distinct from s.id then 'pesanan tidak lagi menjadi tugas Anda'
      when o.status in ('SUBMITTED', 'PROCESSING')
        then 'pesanan sudah Anda jawab, atau ada pesan yang lebih baru'
      else 'pesanan sudah diproses lebih lanjut'
    end))
  from app.orders as o, app.sub_distributors as s
  where o.id = p_order_id and s.whatsapp_number = app.sender_number(p_from)
    and exists (
      select from app.messages as m
      where m.order_id = o.id and m.recipient_id = s.id
        and m.template in (
          'order_routed', 'order_delivery_due', 'sla_reminder', 'sla_delivery_reminder')
        and m.attempts > 0
    )
    and not exists (
      select from app.messages as m
      where m.order_id = o.id and m.recipient_id = s.id and m.template = 'button_outdated'
        and m.status in ('PENDING', 'CLAIMED', 'UNKNOWN')
    );
end $$;
comment on function app.reply_to_outdated_button(uuid, text) is
  'Enqueues an explanation for a sub-distributor who used a button that is no longer valid';

create function app.button_order_id(p_payload text) returns uuid language sql immutable
as $$
  select case
    when p_payload ~ '^(ACCEPT|PROGRESS|DECLINE):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[^:]*$'
      then split_part(p_payload, ':', 2)::uuid
  end
$$;
comment on function app.button_order_id(text) is
  'The order of a reply button''s payload; null for a payload of another form';

create function app.handle_button_reply(p_payload text, p_from text)
returns text language plpgsql volatile
as $$
declare
  v_order_id uuid := app.button_order_id(p_payload);
  v_decision text := split_part(p_payload, ':', 1);
  v_order app.orders;
begin
  select * into v_order from app.orders as o where o.id = v_order_id for no key update;
  if not found or v_order.awaiting <> 'SUBDIST'
    -- an offer that was sent late, after the order was approved
    or (v_order.status = 'APPROVED' and v_decision = 'ACCEPT')
    or split_part(p_payload, ':', 3) is distinct from app.reply_signature(
      v_decision, v_order.id, v_order.routed_to_subdist_id, v_order.awaiting_since)
  then
    perform app.reply_to_outdated_button(v_order.id, p_from);
    return 'button out of date';
  elsif not exists (
    select from app.sub_distributors as s
    where s.id = v_order.routed_to_subdist_id and s.status = 'ACTIVE'
      -- A sender who hides their number behind a user name has none. The signature names them.
      and (coalesce(p_from, '') = '' or s.whatsapp_number = app.sender_number(p_from))
  ) then
    return 'button from another number';
  end if;
  perform app.respond_order(v_order.id, v_order.routed_to_subdist_id, v_decision, 'WhatsApp');
  return v_decision;
end $$;
comment on function app.handle_button_reply(text, text) is
  'Answers an order by a WhatsApp reply button; returns the decision, or why it was ignored';

-- An id of the provider contains the number of the sender, and events are kept for ever.
create function app.provider_hash(p_provider_id text) returns bytea language sql immutable
as $$ select sha256(convert_to(p_provider_id, 'UTF8')) $$;
comment on function app.provider_hash(text) is
  'What is kept of a provider''s id for ever: its SHA-256';

create function app.event_key(p_element jsonb) returns text language sql immutable
as $$ select encode(app.provider_hash(p_element ->> 'id'), 'hex') $$;
comment on function app.event_key(jsonb) is
  'Key of the event that an element of a webhook is; null if it has no id';

create function app.handle_inbound_event(p_inbound_id uuid, p_message jsonb)
returns void language plpgsql volatile
as $$
declare
  v_key text := app.event_key(p_message);
  v_button text := coalesce(
    p_message #>> '{button,payload}', p_message #>> '{interactive,button_reply,id}');
  v_outcome text;
begin
  -- buttons of other templates say what their text says
  v_button := case when app.button_order_id(v_button) is not null then v_button end;
  -- app.lock_inbound has recorded it as received, unless an earlier webhook brought it
  if not exists (
    select from app.inbound_events as e
    where e.event_key = v_key and e.inbound_message_id = p_inbound_id and e.outcome = 'received'
  ) then
    return;
  end if;
  v_outcome := case
    when p_message ->> 'type' = 'notice' then app.handle_provider_notice(p_message)
    when v_button is not null then app.handle_button_reply(v_button, p_message ->> 'from')
    when p_message ->> 'type' in ('reaction', 'revoke', 'deleted') then p_message ->> 'type'
    when p_message #>> '{system,type}' = 'user_changed_number' then
      app.report_changed_number(p_message)
    when p_message ->> 'type' = 'system' then 'system'
    else app.forward_text(p_message)
  end;
  update app.inbound_events as e set outcome = v_outcome where e.event_key = v_key;
end $$;
comment on function app.handle_inbound_event(uuid, jsonb) is
  'Processes one message or notice of a webhook once. Every type has an outcome; an unknown one is '
  'forwarded by its name';

create function app.status_message_id(p_status jsonb) returns uuid language sql immutable
as $$
  select case
    when p_status ->> 'biz_opaque_callback_data' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
      then (p_status ->> 'biz_opaque_callback_data')::uuid
  end
$$;
comment on function app.status_message_id(jsonb) is
  'The hub''s id of the message that a status of a webhook is about; null if it has none';

create function app.handle_inbound_status(p_status jsonb)
returns void language plpgsql volatile
as $$
declare
  v_id uuid := app.status_message_id(p_status);
  v_at text := p_status ->> 'timestamp';
begin
  if lower(p_status ->> 'status') not in ('sent', 'delivered', 'read', 'failed')
    or coalesce(p_status ->> 'id', '') = '' or length(p_status ->> 'id') > 200
    or not exists (
      select from app.messages as m where m.provider_id = p_status ->> 'id' or m.id = v_id
    )
  then
    return;
  end if;
  perform app.message_status(p_status ->> 'id', p_status ->> 'status',
    case when v_at ~ '^[0-9]{1,11}$' then to_timestamp(v_at::bigint) end, v_id,
    p_status #>> '{errors,0,code}');
end $$;
comment on function app.handle_inbound_status(jsonb) is
  'Applies one status of a webhook to its message; ignores statuses of unknown messages';

-- An element that fails is recorded and skipped, so that it delays neither the other elements nor
-- the webhook.
create function app.handle_inbound(
  p_inbound_id uuid, p_kind text, p_element jsonb, p_number int
)
returns void language plpgsql volatile
as $$
begin
  if p_kind = 'status' then
    perform app.handle_inbound_status(p_element);
  else
    perform app.handle_inbound_event(p_inbound_id, p_element);
  end if;
exception
  -- The element did not cause these errors: the webhook is processed again later.
  when serialization_failure or deadlock_detected or lock_not_available
    or insufficient_resources
  then
    raise;
  when others then
    -- another webhook may bring the same message again
    delete from app.inbound_events as e
    where e.event_key = app.event_key(p_element) and e.inbound_message_id = p_inbound_id
      and e.outcome = 'received';
    insert into app.inbound_events (event_key, inbound_message_id, outcome)
    values (concat_ws(':', p_inbound_id, p_kind, p_number), p_inbound_id,
      left('failed: ' || sqlerrm, 200))
    on conflict (event_key) do update set outcome = excluded.outcome, processed_at = now();
end $$;
comment on function app.handle_inbound(uuid, text, jsonb, int) is
  'Processes one element of a webhook; records a failure in inbound_events';

-- A webhook can carry several entries, changes, messages and statuses, so every level is traversed.
-- Elements of an unexpected shape are skipped.
create function app.inbound_elements(p_payload jsonb)
returns table (kind text, number int, element jsonb) language plpgsql stable rows 10
-- The planner expects a thousand elements at each level.
set jit = off
as $$
begin
  return query
  select 'status' as kind, s.number::int, s.element
  from jsonb_path_query(
    p_payload, '$.entry[*].changes[*].value.statuses[*] ? (@.type() == "object")'
  ) with ordinality as s (element, number)
  union all
  -- each with the contact that names its sender
  select
    'message' as kind, (row_number() over (order by v.number, m.number))::int,
    m.element || jsonb_build_object('contact', jsonb_path_query_first(
      v.value, '$.contacts[*] ? (@.wa_id == $from || @.user_id == $user)',
      jsonb_build_object(
        'from', coalesce(m.element ->> 'from', '-'),
        'user', coalesce(m.element ->> 'from_user_id', '-'))))
  from jsonb_path_query(p_payload, '$.entry[*].changes[*].value ? (@.type() == "object")')
    with ordinality as v (value, number)
  cross join lateral jsonb_path_query(v.value, '$.messages[*] ? (@.type() == "object")')
    with ordinality as m (element, number)
  union all
  -- The same notice at the same time is the same event, in whatever batches it arrives.
  select
    'message' as kind, (1000000 + row_number() over (order by e.number, c.number))::int,
    jsonb_build_object(
      'id', concat('notice:', e.entry ->> 'time', c.change::text),
      'type', 'notice', 'field', c.change ->> 'field', 'value', c.change -> 'value')
  from jsonb_path_query(p_payload, '$.entry[*] ? (@.type() == "object")')
    with ordinality as e (entry, number)
  cross join lateral jsonb_path_query(
    e.entry, '$.changes[*] ? (@.type() == "object" && @.field.type() == "string"
      && @.field != "messages" && @.value.type() == "object")'
  ) with ordinality as c (change, number);
end $$;
comment on function app.inbound_elements(jsonb) is
  'Statuses of a webhook, its messages, and its notices as messages of the type notice; each kind '
  'numbered in the order of arrival';

-- Webhooks come in any order, and their elements concern any rows. So everything that they may
-- change is locked before the first is processed, each kind in the order of its keys: events,
-- conversations, partners, orders, messages. Two calls, and a call beside messages_sent or the
-- transition of an order, wait for each other instead of deadlocking. Nothing here can fail for
-- an element of an unexpected content.
create function app.lock_inbound(
  p_inbound_ids uuid[], p_kinds text[], p_elements jsonb[]
)
returns void language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_message_ids uuid[];
  v_order_ids uuid[];
begin
  insert into app.inbound_events (event_key, inbound_message_id, outcome)
  select distinct on (k.event_key) k.event_key, e.inbound_id, 'received'
  from unnest(p_inbound_ids, p_kinds, p_elements)
    with ordinality as e (inbound_id, kind, element, number)
  cross join lateral (select app.event_key(e.element) as event_key) as k
  where e.kind = 'message' and k.event_key is not null
  order by k.event_key, e.number
  on conflict (event_key) do nothing;

  insert into app.conversations as c (number, last_inbound_at)
  select
    n.sender,
    max(case
      when e.element ->> 'timestamp' ~ '^[0-9]{1,10}$'
        then least(to_timestamp((e.element ->> 'timestamp')::bigint), now())
      else '-infinity'
    end)
  from unnest(p_kinds, p_elements) as e (kind, element)
  cross join lateral (select app.inbound_sender(e.element) as sender) as n
  where e.kind = 'message' and n.sender is not null
  group by n.sender
  order by n.sender
  on conflict (number) do update set
    last_inbound_at = greatest(c.last_inbound_at, excluded.last_inbound_at);

  with elements as materialized (
    select e.kind, e.element from unnest(p_kinds, p_elements) as e (kind, element)
  ),
  reported as (
    select m.id, m.order_id, m.template, e.element
    from elements as e join app.messages as m on m.provider_id = e.element ->> 'id'
    where e.kind = 'status'
    union all
    select m.id, m.order_id, m.template, e.element
    from elements as e join app.messages as m on m.id = app.status_message_id(e.element)
    where e.kind = 'status'
  )

  select
    array(select r.id from reported as r),
    array(
      -- A lost offer escalates its order.
      select r.order_id from reported as r
      where r.template in ('order_routed', 'order_delivery_due')
        and lower(r.element ->> 'status') = 'failed'
      union
      select app.button_order_id(b.payload)
      from elements as e
      cross join lateral (values
        (e.element #>> '{button,payload}'), (e.element #>> '{interactive,button_reply,id}')
      ) as b (payload)
      where e.kind = 'message' and app.button_order_id(b.payload) is not null
    )
  into v_message_ids, v_order_ids;
  perform app.lock_messages(v_message_ids, v_order_ids);
end $$;
comment on function app.lock_inbound(uuid[], text[], jsonb[]) is
  'Records the events and conversations of the elements of webhooks, given in the order of their '
  'arrival, and locks all that processing them can change';

create function app.process_inbox(p_limit int default 100)
returns int language plpgsql volatile
as $$
declare
  v_ids uuid[];
  v_inbound_ids uuid[];
  v_kinds text[];
  v_numbers int[];
  v_elements jsonb[];
  v_element record;
begin
  v_ids := array(
    select b.id from app.inbound_messages as b where b.processed_at is null
    order by b.received_at, b.id limit p_limit for update skip locked
  );
  if v_ids = '{}' then
    return 0;
  end if;
  -- Each payload is taken apart once.
  select
    array_agg(e.inbound_id order by e.place, e.ord), array_agg(e.kind order by e.place, e.ord),
    array_agg(e.number order by e.place, e.ord), array_agg(e.element order by e.place, e.ord)
  into v_inbound_ids, v_kinds, v_numbers, v_elements
  from (
    select b.id as inbound_id, v.place, e.kind, e.number, e.element, e.ord
    from unnest(v_ids) with ordinality as v (id, place)
    join app.inbound_messages as b on b.id = v.id
    cross join lateral app.inbound_elements(b.payload)
      with ordinality as e (kind, number, element, ord)
  ) as e;
  perform app.lock_inbound(v_inbound_ids, v_kinds, v_elements);
  for v_element in
    select e.inbound_id, e.kind, e.number, e.element
    from unnest(v_inbound_ids, v_kinds, v_numbers, v_elements)
      as e (inbound_id, kind, number, element)
  loop
    perform app.handle_inbound(
      v_element.inbound_id, v_element.kind, v_element.element, v_element.number);
  end loop;
  update app.inbound_messages as b set processed_at = now() where b.id = any (v_ids);
  return cardinality(v_ids);
end $$;
comment on function app.process_inbox(int) is
  'Processes stored webhooks, oldest first; concurrent calls share the work. Returns the number of '
  'processed webhooks. To process one again, set its processed_at to null';
