-- Outbox and inbox, for the messenger and headquarters.

create view api.messages with (security_invoker = true) as
select
  m.id, m.template, m.channel, m.recipient_type, m.recipient_id, m.order_id, m.status, m.attempts, m.next_attempt_at, m.provider_id,
  m.error_code, m.sent_at, m.delivered_at, m.created_at, m.priority, m.expires_at, m.unknown_since, m.repeats
from app.messages as m;
comment on view api.messages is 'Outbox: messages owed and what became of them';
comment on column api.messages.error_code is 'Why it failed: dead letters are those with status FAILED';
comment on column api.messages.repeats is 'How often it was sent again though an earlier sending may have arrived';

create function api.claim_messages(max int default 10, lease_seconds int default 60)
returns table (
  id uuid, template text, channel text, recipient_type text, recipient_name text, recipient text, body text, variables jsonb,
  buttons jsonb, order_id uuid, attempts int, lease_until timestamptz, template_body text, window_open boolean
)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select m.id, m.template, m.channel::text, m.recipient_type, m.recipient_name, m.recipient, m.body, m.variables, m.buttons, m.order_id,
    m.attempts, m.lease_until, m.template_body, m.window_open
  from app.claim_messages(claim_messages.max, claim_messages.lease_seconds) as m
$$;
comment on function api.claim_messages(int, int) is $$Lease due messages for sending: urgent ones first, each recipient's in their order
buttons is [{"title", "payload"}]; template_body is the text with the names of its variables; window_open says that the reader wrote within a day and WhatsApp takes a free-form message. What is not reported within lease_seconds is unknown, and waits for the provider's report before it is sent again. Errors: INVALID_ARGUMENT 400.$$;

create function api.message_sent(message_id uuid, provider_id text) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.message_sent(message_sent.message_id, message_sent.provider_id) $$;
comment on function api.message_sent(uuid, text) is 'Report that the provider accepted a message, under its own id. Errors: NOT_FOUND 404';

create function api.messages_sent(sent jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.messages_sent(messages_sent.sent) $$;
comment on function api.messages_sent(jsonb) is $$Report that the provider accepted these messages, a batch in one call
sent is [{"message_id", "provider_id"}, ...], at most 1000. Returns {"unknown_ids": [...]}. Errors: INVALID_ARGUMENT 400.$$;

create function api.message_failed(message_id uuid, error_code text, retry boolean) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.message_failed(message_failed.message_id, message_failed.error_code, message_failed.retry) $$;
comment on function api.message_failed(uuid, text, boolean) is 'Report that sending failed, and whether trying again makes sense. Errors: NOT_FOUND 404';

create function api.message_status(
  provider_id text, status text, at timestamptz default null, message_id uuid default null, error_code text default null
)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.message_status(message_status.provider_id, message_status.status, app.optional_timestamp('at', message_status.at),
    message_status.message_id, app.optional_text('error_code', message_status.error_code, 1000))
$$;
comment on function api.message_status(text, text, timestamptz, uuid, text) is $$Report what the provider says of a message: sent, delivered, read, failed
message_id, our own id as the provider gives it back, settles a message whose sending was never confirmed. Repeated and reordered reports do no harm. Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.process_inbox(max int default 100) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if process_inbox.max is null or process_inbox.max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max is from 1 to 1000');
  end if;
  return app.process_inbox(process_inbox.max);
end $$;
comment on function api.process_inbox(int) is $$Work on stored webhooks: taps answer orders, texts go to the region's agents, statuses to their messages
Returns how many there were. Errors: INVALID_ARGUMENT 400.$$;

create function api.inbound_message(payload jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.inbound_message(inbound_message.payload) $$;
comment on function api.inbound_message(jsonb) is 'Store what a provider sent, once. Errors: INVALID_ARGUMENT 400';

grant select on api.messages to admin;
grant execute on function
  api.claim_messages(int, int),
  api.message_sent(uuid, text),
  api.messages_sent(jsonb),
  api.message_failed(uuid, text, boolean),
  api.message_status(text, text, timestamptz, uuid, text),
  api.inbound_message(jsonb),
  api.process_inbox(int)
to messenger;
