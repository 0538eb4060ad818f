-- The outbox: what messengers and the provider report about claimed and sent messages.

create function app.mark_sent(p_message_ids uuid[], p_provider_ids text[])
returns void language plpgsql volatile
as $$
begin
  -- Lock in the order of the ids, so that two batches cannot deadlock.
  perform from app.messages as m where m.id = any (p_message_ids) order by m.id for no key update;
  update app.messages as m set
    status = 'SENT', sent_at = now(), lease_until = null, unknown_since = null, error_code = null,
    provider_id = s.provider_id,
    variables = case when app.carries_token(m.template) then '{}' else m.variables end
  from unnest(p_message_ids, p_provider_ids) as s (id, provider_id)
  where m.id = s.id and m.status in ('PENDING', 'CLAIMED', 'UNKNOWN')
    -- this attempt was refused meanwhile: the message is pending again, as a template
    and m.refused_id is distinct from s.provider_id;
end $$;
comment on function app.mark_sent(uuid[], text[]) is
  'Marks messages as accepted by the provider under these ids of it; a repeat changes nothing';

create function app.message_sent(p_message_id uuid, p_provider_id text)
returns void language plpgsql volatile
as $$
begin
  perform app.mark_sent(
    array[p_message_id], array[app.require_text('provider_id', p_provider_id, 200)]);
  if not exists (select from app.messages as m where m.id = p_message_id) then
    perform app.fail('NOT_FOUND', 'message');
  end if;
end $$;
comment on function app.message_sent(uuid, text) is
  'Marks a message as accepted by the provider; a repeat changes nothing';

-- Unknown ids are returned instead of raised, so that one wrong id does not fail the whole batch.
create function app.messages_sent(p_sent jsonb)
returns json language plpgsql volatile
as $$
declare
  v_ids uuid[];
  v_provider_ids text[];
begin
  perform app.require_set('sent', p_sent, 1000);
  if exists (
    select from jsonb_array_elements(p_sent) as e
    where jsonb_typeof(e -> 'message_id') is distinct from 'string'
      or jsonb_typeof(e -> 'provider_id') is distinct from 'string'
      or e ->> 'message_id' !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
      or length(e ->> 'provider_id') not between 1 and 200
  ) then
    perform app.fail('INVALID_ARGUMENT',
      'sent must be [{"message_id": "...", "provider_id": "..."}, ...]');
  end if;
  select array_agg((e ->> 'message_id')::uuid), array_agg(e ->> 'provider_id')
  into v_ids, v_provider_ids
  from jsonb_array_elements(p_sent) as e;
  perform app.mark_sent(v_ids, v_provider_ids);
  return json_build_object('unknown_ids', coalesce((
    select json_agg(distinct s.id) from unnest(v_ids) as s (id)
    where not exists (select from app.messages as m where m.id = s.id)
  ), '[]'));
end $$;
comment on function app.messages_sent(jsonb) is
  'Marks [{"message_id", "provider_id"}], at most 1000, as accepted by the provider; returns '
  '{"unknown_ids": [...]}. A repeat changes nothing';

-- These codes concern every message, not one recipient: invalid token or rights, blocked or unpaid
-- account, spam limit, templates that do not match or are paused. Headquarters is notified by
-- e-mail, because WhatsApp itself is failing; once an hour for each code.
create function app.report_delivery_failure(p_error_code text)
returns void language plpgsql volatile
as $$
begin
  if p_error_code !~ (
      '^(0|3|10|190|2[0-9]{2}|368|131005|131031|131042|131045|131048'
      '|13200[0-9]|1320[1-6][0-9]|13313[0-9])$')
    or not pg_try_advisory_xact_lock(hashtext('app.report_delivery_failure'))
    or exists (
      select from app.messages as m
      where m.template = 'messenger_trouble' and m.variables ->> 'error_code' = p_error_code
        and m.created_at > now() - interval '1 hour'
    )
  then
    return;
  end if;
  perform app.notify_headquarters('messenger_trouble', null, jsonb_build_object(
      'error_code', p_error_code,
      'since', app.format_moment(now(), 'Asia/Jakarta')
    ), 'EMAIL');
end $$;
comment on function app.report_delivery_failure(text) is
  'Notifies headquarters of a provider error that concerns every message, at most once an hour for '
  'each code';

-- Lock the order before the message, as withdraw_offer does, to avoid a deadlock.
create function app.lock_offered_order(p_message_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform from app.orders as o
  where o.id = (
    select m.order_id from app.messages as m
    where m.id = p_message_id and m.template in ('order_routed', 'order_delivery_due')
  )
  for no key update;
end $$;
comment on function app.lock_offered_order(uuid) is
  'Locks the order that a message offers to a sub-distributor; does nothing for other messages';

create function app.message_failed(
  p_message_id uuid, p_error_code text, p_retry boolean, p_by_provider boolean default false
)
returns void language plpgsql volatile
as $$
declare
  v_message app.messages;
  v_will_retry boolean;
  v_mail_ids uuid[];
begin
  perform app.lock_offered_order(p_message_id);
  select * into v_message from app.messages as m where m.id = p_message_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'message');
  elsif v_message.status not in ('PENDING', 'CLAIMED', 'UNKNOWN')
    and not (p_by_provider and v_message.status = 'SENT')
  then
    -- Only the provider can report a sent message as failed. A messenger's report is outdated:
    -- another messenger has sent the message since.
    return;
  end if;
  -- 131047: the recipient has not written for a day, so WhatsApp refused the free-form message
  -- (their last message may have been reported late). The message goes out again as a template,
  -- which WhatsApp never refuses with this code.
  if p_error_code = '131047' and v_message.channel = 'WHATSAPP' and v_message.refused_id is null
  then
    update app.messages as m set
      status = 'PENDING', error_code = p_error_code, lease_until = null, unknown_since = null,
      next_attempt_at = now(), refused_id = coalesce(v_message.provider_id, ''), provider_id = null
    where m.id = p_message_id;
    return;
  end if;
  -- By age, so that an outage of a day loses no message. A person who waits for a token gets it by
  -- e-mail after a few attempts.
  v_will_retry := coalesce(p_retry, false)
    -- the reaper withdraws what expires by itself
    and (
      v_message.expires_at is not null
      or now() < v_message.created_at
        + make_interval(hours => app.config_int('outbox.expiry_hours'))
    )
    and not (
      v_message.channel = 'WHATSAPP' and app.carries_token(v_message.template)
      and v_message.attempts >= app.config_int('outbox.max_attempts')
    );
  update app.messages as m set
    status = case when v_will_retry then 'PENDING' else 'FAILED' end,
    error_code = left(app.optional_text('error_code', p_error_code, 1000), 100),
    lease_until = null, unknown_since = null,
    variables = case
      when not v_will_retry and app.carries_token(m.template) then '{}' else m.variables
    end,
    -- exponential back-off from 2 seconds to an hour, with jitter
    next_attempt_at = now() + make_interval(
      secs => least(3600, power(2, least(v_message.attempts, 20))) * (0.75 + random() / 2))
  where m.id = p_message_id;
  if v_message.channel = 'WHATSAPP' then
    perform app.report_delivery_failure(p_error_code);
  end if;
  if not v_will_retry and v_message.template in ('order_routed', 'order_delivery_due') and exists (
    -- it is still the recipient's turn, and they have not answered since
    select from app.orders as o
    where o.id = v_message.order_id and o.routed_to_subdist_id = v_message.recipient_id
      and o.awaiting = 'SUBDIST' and o.awaiting_since <= v_message.created_at
  ) then
    perform app.escalate_now(v_message.order_id,
      'Pesan WhatsApp ke sub-distributor gagal: ' || coalesce(p_error_code, '-'));
  end if;
  if not v_will_retry and v_message.channel = 'WHATSAPP'
    and (v_message.expires_at > now()) is not false
    and app.recipient_address(v_message.recipient_type, v_message.recipient_id, 'EMAIL') is not null
  then
    v_mail_ids := app.enqueue_messages(
      v_message.template, v_message.recipient_type, array[v_message.recipient_id],
      v_message.order_id, v_message.variables, 'EMAIL', v_message.expires_at);
    if v_message.template like '%\_for\_you' then
      perform app.mail_impersonation_notice(p_message_id, v_mail_ids[1]);
    end if;
  end if;
end $$;
comment on function app.message_failed(uuid, text, boolean, boolean) is
  'Records that sending failed: retried with growing delays until the message expires, then sent '
  'by e-mail if it was for WhatsApp. A free-form message refused as late (131047) is sent again as '
  'a template';

create function app.release_messages(p_message_ids jsonb)
returns json language plpgsql volatile
as $$
declare
  v_ids uuid[];
  v_count int;
begin
  if jsonb_typeof(p_message_ids) is distinct from 'array'
    or jsonb_array_length(p_message_ids) > 1000
    or exists (
      select from jsonb_array_elements(p_message_ids) as e
      where jsonb_typeof(e) <> 'string'
        or e #>> '{}' !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    )
  then
    perform app.fail('INVALID_ARGUMENT', 'message_ids must be an array of at most 1000 ids');
  end if;
  v_ids := array(select (e #>> '{}')::uuid from jsonb_array_elements(p_message_ids) as e);
  perform from app.messages as m where m.id = any (v_ids) order by m.id for no key update;
  update app.messages as m set
    status = 'PENDING', lease_until = null, attempts = m.attempts - 1, next_attempt_at = now()
  where m.id = any (v_ids) and m.status = 'CLAIMED';
  get diagnostics v_count = row_count;
  return json_build_object('released', v_count);
end $$;
comment on function app.release_messages(jsonb) is
  'Gives claimed messages back: they are due at once, and the claim does not count as an attempt';

-- Statuses arrive in any order and repeatedly: an earlier stage never replaces a later one, and a
-- failed message stays failed. A report that carries the hub's id settles a message whose sending
-- was never confirmed.
create function app.message_status(
  p_provider_id text, p_status text, p_at timestamptz, p_message_id uuid default null,
  p_error_code text default null
)
returns void language plpgsql volatile
as $$
declare
  v_provider_id text;
  v_message app.messages;
  v_status text := upper(p_status);
  v_stages constant text[] := array['SENT', 'DELIVERED', 'READ'];
begin
  v_provider_id := app.require_text('provider_id', p_provider_id, 200);
  if v_status is null or v_status not in ('SENT', 'DELIVERED', 'READ', 'FAILED') then
    perform app.fail('INVALID_ARGUMENT', 'status must be sent, delivered, read or failed');
  end if;
  if v_status = 'FAILED' then
    perform app.lock_offered_order(coalesce(
      (select m.id from app.messages as m where m.provider_id = v_provider_id), p_message_id));
  end if;
  select * into v_message from app.messages as m
  where m.provider_id = v_provider_id for no key update;
  if not found then
    select * into v_message from app.messages as m where m.id = p_message_id for no key update;
    if v_message.refused_id = v_provider_id then
      return;
    elsif v_message.provider_id is null then
      -- raises NOT_FOUND if the hub's id is unknown, too
      perform app.message_sent(p_message_id, v_provider_id);
      select * into strict v_message from app.messages as m where m.id = p_message_id;
    elsif v_message.provider_id <> v_provider_id then
      -- The status of an earlier attempt: the message was sent again since.
      return;
    end if;
  end if;
  if v_status = 'FAILED' then
    if v_message.status = 'SENT' then
      perform app.message_failed(
        v_message.id, coalesce(p_error_code, 'FAILED'), false, true);
    end if;
  elsif array_position(v_stages, v_status) > array_position(v_stages, v_message.status::text) then
    update app.messages as m set
      status = v_status, delivered_at = coalesce(m.delivered_at, p_at, now())
    where m.id = v_message.id;
  end if;
end $$;
comment on function app.message_status(text, text, timestamptz, uuid, text) is
  'Applies the provider''s status of a message, found by the provider''s id or the hub''s id; '
  'repeated and reordered statuses are safe';

create function app.tg_messages__impersonation_notice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update app.impersonation_notifications as n set
    status = case
      when new.status = 'FAILED' then 'FAILED' else 'SENT'
    end::app.notification_status_enum,
    sent_at = coalesce(n.sent_at, new.sent_at)
  where n.message_id = new.id;
  return null;
end $$;
create trigger _200_impersonation_notice after update on app.messages
for each row when (
  new.template like '%\_for\_you' and old.status <> new.status
  and new.status in ('SENT', 'DELIVERED', 'READ', 'FAILED')
)
execute function app.tg_messages__impersonation_notice();
