-- How messengers take messages and say what became of them. At least once; a lapsed lease is taken again.

create function app.claim_messages(p_max int, p_lease_seconds int)
returns table (
  id uuid, template text, channel app.notification_channel_enum, recipient_type text, recipient_name text, recipient text, body text,
  variables jsonb, buttons text[], order_id uuid, attempts int, lease_until timestamptz
)
language plpgsql volatile set search_path = ''
as $$
begin
  if p_max is null or p_max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max is from 1 to 1000');
  elsif p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    perform app.fail('INVALID_ARGUMENT', 'lease_seconds is from 1 to 3600');
  end if;
  return query
  with due as (
    select m.id from app.messages as m
    where (m.status = 'PENDING' and m.next_attempt_at <= now()) or (m.status = 'CLAIMED' and m.lease_until <= now())
    order by m.position
    limit p_max
    for update skip locked
  ),
  claimed as (
    update app.messages as m set
      status = 'CLAIMED', attempts = m.attempts + 1, lease_until = now() + make_interval(secs => p_lease_seconds)
    from due as d where m.id = d.id
    returning m.*
  )
  select
    c.id, c.template::text, c.channel, c.recipient_type::text,
    case c.recipient_type
      when 'PARTNER' then (select p.business_name from app.partners as p where p.id = c.recipient_id)
      when 'SUBDIST' then (select s.business_name from app.sub_distributors as s where s.id = c.recipient_id)
      else (select a.full_name from app.agents as a where a.id = c.recipient_id)
    end::text,
    app.recipient_address(c.recipient_type, c.recipient_id, c.channel),
    app.render_message(c.template, v.variables), v.variables, t.buttons, c.order_id, c.attempts, c.lease_until
  from claimed as c
  join app.message_templates() as t on t.template = c.template
  cross join lateral (select coalesce(app.order_variables(c.order_id), '{}') || c.variables as variables) as v
  order by c.position;
end $$;
comment on function app.claim_messages(int, int) is 'Leases due messages, oldest first, with their text and address as of now';

create function app.message_sent(p_message_id uuid, p_provider_id text)
returns void language plpgsql volatile set search_path = ''
as $$
begin
  update app.messages as m set
    status = 'SENT', sent_at = now(), lease_until = null, error_code = null,
    provider_id = app.require_text('provider_id', p_provider_id, 200),
    -- a sign-in token is worth nothing to anyone but its reader
    variables = case when m.template = 'sign_in_link' then '{}' else m.variables end
  where m.id = p_message_id and m.status in ('PENDING', 'CLAIMED');
  if not found and not exists (
    select from app.messages as m where m.id = p_message_id and m.status in ('SENT', 'DELIVERED', 'READ', 'FAILED')
  ) then
    perform app.fail('NOT_FOUND', 'message');
  end if;
end $$;
comment on function app.message_sent(uuid, text) is 'The provider took the message; said twice, it does no harm';

create function app.message_failed(p_message_id uuid, p_error_code text, p_retry boolean)
returns void language plpgsql volatile set search_path = ''
as $$
declare
  v_message app.messages;
  v_again boolean;
begin
  select * into v_message from app.messages as m where m.id = p_message_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'message');
  elsif v_message.status not in ('PENDING', 'CLAIMED', 'SENT') then
    return;
  end if;
  v_again := coalesce(p_retry, false) and v_message.attempts < 8;
  update app.messages as m set
    status = case when v_again then 'PENDING' else 'FAILED' end,
    error_code = left(app.optional_text('error_code', p_error_code, 1000), 100),
    lease_until = null,
    -- 2, 4, 8 ... seconds, at most an hour, each somewhat off so that a crowd does not come back together
    next_attempt_at = now() + make_interval(secs => least(3600, power(2, v_message.attempts)) * (0.75 + random() / 2))
  where m.id = p_message_id;
  if not v_again and v_message.template = 'order_routed' then
    perform app.escalate_now(v_message.order_id, 'Pesan WhatsApp ke sub-distributor gagal: ' || coalesce(p_error_code, '-'));
  end if;
  if not v_again and v_message.channel = 'WHATSAPP'
    and app.recipient_address(v_message.recipient_type, v_message.recipient_id, 'EMAIL') is not null
  then
    insert into app.messages (template, channel, recipient_type, recipient_id, order_id, variables)
    values (v_message.template, 'EMAIL', v_message.recipient_type, v_message.recipient_id, v_message.order_id, v_message.variables);
  end if;
end $$;
comment on function app.message_failed(uuid, text, boolean) is
  'Sending failed: tried again with growing pauses, at most 8 times; failed for good over WhatsApp, it goes out by e-mail';

-- Statuses come in any order, and more than once: a later stage is never taken back by an earlier one.
create function app.message_status(p_provider_id text, p_status text, p_at timestamptz)
returns void language plpgsql volatile set search_path = ''
as $$
declare
  v_message app.messages;
  v_status text := upper(p_status);
begin
  if v_status is null or v_status not in ('SENT', 'DELIVERED', 'READ', 'FAILED') then
    perform app.fail('INVALID_ARGUMENT', 'status is sent, delivered, read or failed');
  end if;
  select * into v_message from app.messages as m where m.provider_id = p_provider_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'message');
  end if;
  if v_status = 'FAILED' then
    if v_message.status = 'SENT' then
      perform app.message_failed(v_message.id, 'reported failed', false);
    end if;
  elsif array_position(array['SENT', 'DELIVERED', 'READ'], v_status)
    > array_position(array['SENT', 'DELIVERED', 'READ'], v_message.status::text)
  then
    update app.messages as m set status = v_status, delivered_at = coalesce(m.delivered_at, p_at, now()) where m.id = v_message.id;
  end if;
end $$;
comment on function app.message_status(text, text, timestamptz) is 'What the provider reports of a message; out of order and repeated reports do no harm';

create function app.inbound_message(p_payload jsonb)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid;
begin
  if jsonb_typeof(p_payload) is distinct from 'object' then
    perform app.fail('INVALID_ARGUMENT', 'payload is an object');
  end if;
  insert into app.inbound_messages (payload_hash, payload) values (app.request_hash(p_payload), p_payload)
  on conflict (payload_hash) do nothing
  returning id into v_id;
  return json_build_object('stored', v_id is not null);
end $$;
comment on function app.inbound_message(jsonb) is 'Stores what a provider sent, once; it is worked on later';

create function app.tg_messages__impersonation_notice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update app.impersonation_notifications as n set
    status = case when new.status = 'FAILED' then 'FAILED' else 'SENT' end::app.notification_status_enum,
    sent_at = coalesce(n.sent_at, new.sent_at)
  where n.message_id = new.id;
  return null;
end $$;
create trigger _200_impersonation_notice after update on app.messages
for each row when (
  new.template = 'order_placed_for_you' and old.status <> new.status and new.status in ('SENT', 'DELIVERED', 'READ', 'FAILED')
)
execute function app.tg_messages__impersonation_notice();
