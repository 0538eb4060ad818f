-- Outbox and inbox, for the messenger and headquarters.

create view api.messages with (security_invoker = true) as
select
  m.id, m.template, m.channel, m.recipient_type, m.recipient_id, m.order_id, m.status, m.attempts,
  m.next_attempt_at, m.provider_id, m.error_code, m.sent_at, m.delivered_at, m.created_at,
  m.priority, m.expires_at, m.unknown_since, m.repeats, m.request_id
from app.messages as m;
comment on view api.messages is 'Outbox: messages and their delivery status';
comment on column api.messages.error_code is
  'Why sending failed; messages that failed for good have status FAILED';
comment on column api.messages.repeats is
  'How often it was sent again although an earlier attempt may have been delivered';

create function api.claim_messages(
  max int default 10, lease_seconds int default 60, only_channel text default null
)
returns table (
  id uuid, template text, channel text, recipient_type text, recipient_name text, recipient text,
  body text, variables jsonb, buttons jsonb, order_id uuid, attempts int, lease_until timestamptz,
  template_body text, window_open boolean, request_id text
)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select m.id, m.template, m.channel::text, m.recipient_type, m.recipient_name, m.recipient, m.body,
    m.variables, m.buttons, m.order_id, m.attempts, m.lease_until, m.template_body, m.window_open,
    m.request_id
  from app.claim_messages(
    claim_messages.max, claim_messages.lease_seconds, claim_messages.only_channel) as m
$$;
comment on function api.claim_messages(int, int, text) is
$$Lease due messages for sending: urgent ones first, those of one recipient in order
max is 1 to 1000, lease_seconds 1 to 3600. only_channel is WHATSAPP or EMAIL; without it, both.
buttons is [{"title", "payload"}]; template_body is the text with the names of its variables.
window_open: the recipient wrote within a day, so WhatsApp accepts a free-form message.
request_id: X-Request-Id of the request that enqueued it, for the logs; null: a job did.
A message that is not reported within lease_seconds becomes UNKNOWN: it is sent again only if the
provider does not report it for outbox.unknown_wait_seconds.
Errors: INVALID_ARGUMENT 400.$$;

create function api.message_sent(message_id uuid, provider_id text) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.message_sent(message_sent.message_id, message_sent.provider_id) $$;
comment on function api.message_sent(uuid, text) is
$$Report that the provider accepted a message, with the provider's id
A repeat changes nothing.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.messages_sent(sent jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.messages_sent(messages_sent.sent) $$;
comment on function api.messages_sent(jsonb) is
$$Report that the provider accepted a batch of messages
sent is [{"message_id", "provider_id"}, ...], at most 1000 entries.
Returns {"unknown_ids": [...]}: the ids of no message. A repeat changes nothing.
Errors: INVALID_ARGUMENT 400.$$;

create function api.message_failed(message_id uuid, error_code text, retry boolean) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.message_failed(
    message_failed.message_id, message_failed.error_code, message_failed.retry)
$$;
comment on function api.message_failed(uuid, text, boolean) is
$$Report that sending a message failed, and whether a retry makes sense
Retries wait longer each time, until the message expires: by default outbox.expiry_hours after it
was enqueued. A WhatsApp message that fails for good is sent by e-mail.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.release_messages(message_ids jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.release_messages(release_messages.message_ids) $$;
comment on function api.release_messages(jsonb) is
$$Give claimed messages back unsent: they are due at once, and the claim does not count
message_ids are at most 1000; release only what this messenger holds, before its lease ends.
Returns {"released": n}; what is not claimed any more is left as it is.
Errors: INVALID_ARGUMENT 400.$$;

create function api.message_status(
  provider_id text, status text, at timestamptz default null, message_id uuid default null,
  error_code text default null
)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.message_status(message_status.provider_id, message_status.status,
    app.optional_timestamp('at', message_status.at), message_status.message_id,
    app.optional_text('error_code', message_status.error_code, 1000))
$$;
comment on function api.message_status(text, text, timestamptz, uuid, text) is
$$Report the provider's status of a message: sent, delivered, read or failed
message_id is the hub's id, as the provider returns it; it settles a message whose sending was never
confirmed. Statuses may be repeated and arrive in any order.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.process_inbox(max int default 100) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if process_inbox.max is null or process_inbox.max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max is from 1 to 1000');
  end if;
  return app.process_inbox(process_inbox.max);
end $$;
comment on function api.process_inbox(int) is
$$Process stored webhooks, oldest first
Button replies answer orders, texts go to the agents of the sender's region, statuses update their
messages. max is 1 to 1000. Returns the number of processed webhooks.
Errors: INVALID_ARGUMENT 400.$$;

create function api.inbound_message(payload jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.inbound_message(inbound_message.payload) $$;
comment on function api.inbound_message(jsonb) is
$$Store a webhook of the provider, once
payload is the body of the webhook, a JSON object.
Returns {"stored": true}, or false for a repeated payload.
Errors: INVALID_ARGUMENT 400.$$;

create function api.inbound_messages(payloads jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.store_webhooks(inbound_messages.payloads) $$;
comment on function api.inbound_messages(jsonb) is
$$Store webhooks of the provider, each once
payloads are the bodies of at most 100 webhooks, in the order in which they arrived.
Returns {"stored": n}: those that were not stored before.
Errors: INVALID_ARGUMENT 400.$$;

grant select on api.messages to admin;
grant execute on function
  api.claim_messages(int, int, text),
  api.message_sent(uuid, text),
  api.messages_sent(jsonb),
  api.message_failed(uuid, text, boolean),
  api.release_messages(jsonb),
  api.message_status(text, text, timestamptz, uuid, text),
  api.inbound_message(jsonb),
  api.inbound_messages(jsonb),
  api.process_inbox(int)
to messenger;
