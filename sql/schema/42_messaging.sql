-- The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1.

-- Domains, because every statement that writes to a table parses that table's own checks again.
create domain app.message_status as varchar(10)
constraint message_status_check
check (value in (
  'HELD', 'PENDING', 'CLAIMED', 'UNKNOWN', 'SENT', 'DELIVERED', 'READ', 'FAILED', 'WITHDRAWN'
));
comment on domain app.message_status is
  'HELD (for headquarters, while no admin is active), PENDING, CLAIMED (leased to a messenger), '
  'UNKNOWN (the lease expired, perhaps after sending), SENT (accepted by the provider), '
  'DELIVERED, READ, FAILED, WITHDRAWN';

create domain app.message_recipient_type as varchar(10)
constraint message_recipient_type_check check (value in ('PARTNER', 'SUBDIST', 'AGENT'));
comment on domain app.message_recipient_type is
  'Table that recipient_id refers to: partners, sub_distributors or agents';

create table app.messages (
  id uuid primary key default app.uuid_v7(),
  template varchar(60) not null,
  channel app.notification_channel_enum not null default 'WHATSAPP',
  recipient_type app.message_recipient_type not null,
  recipient_id uuid not null,
  order_id uuid constraint messages_order_id_fkey references app.orders (id) on delete restrict,
  variables jsonb not null default '{}',
  status app.message_status not null default 'PENDING',
  attempts int not null default 0,
  next_attempt_at timestamptz not null default now(),
  lease_until timestamptz,
  provider_id varchar(200),
  error_code varchar(100),
  sent_at timestamptz,
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  position bigint not null generated always as identity,
  priority smallint not null,
  expires_at timestamptz,
  unknown_since timestamptz,
  repeats int not null default 0,
  refused_id varchar(200),
  request_id varchar(64) default nullif(current_setting('hub.request_id', true), '')
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

-- A lane is the queue of one recipient, channel and priority. Its key is a hash, because ids of
-- recipients are ordered by age, and a claim that starts at a random key shall reach every lane
-- alike. Two recipients with the same hash share a lane, which delays them but loses no order.
create function app.message_lane(p_recipient_id uuid) returns bigint
language sql immutable parallel safe
as $$ select uuid_hash_extended(p_recipient_id, 0) $$;
comment on function app.message_lane(uuid) is
  'Key of the queues of this recipient, of which there is one for each channel and priority';

-- The channel first: a claim of one channel never visits the lanes of the other, however many wait.
create index messages_due_idx
on app.messages (channel, priority, position) where status = 'PENDING';
create index messages_lane_idx
on app.messages (channel, priority, app.message_lane(recipient_id), position)
where status = 'PENDING';
-- never two in flight: a claim that races with an enqueuer fails here
create unique index messages_in_flight_key
on app.messages (channel, priority, app.message_lane(recipient_id))
where status in ('CLAIMED', 'UNKNOWN');
-- the moments at which app.reap_messages must look: end of the lease, start of the wait, expiry
create index messages_reap_idx
on app.messages (status, coalesce(lease_until, unknown_since, expires_at))
where status in ('CLAIMED', 'UNKNOWN') or (status = 'PENDING' and expires_at is not null);
create unique index messages_provider_id_key on app.messages (provider_id)
where provider_id is not null;
-- The template is part of it for lists of one: those of others are passed in the index.
create index messages_created_idx on app.messages (created_at, template);
create index messages_failed_idx on app.messages (created_at) where status = 'FAILED';
create index messages_held_idx on app.messages (position) where status = 'HELD';
create index messages_order_idx on app.messages (order_id);
comment on table app.messages is
  'Outbox: messages to send; a row commits in the same transaction as its event';
comment on column app.messages.template is
  'Name of a template in app.message_templates() [pii: none]';
comment on column app.messages.recipient_id is
  'Partner, sub-distributor or agent; the address is looked up when the message is claimed. Of a '
  'HELD message the nil UUID';
comment on column app.messages.variables is
  'Values known when the message was enqueued; those of the order are added when it is claimed '
  '[pii: content]';
comment on column app.messages.next_attempt_at is 'Earliest time of the next claim';
comment on column app.messages.lease_until is
  'End of the claim; afterwards it is unknown whether the message was sent';
comment on column app.messages.priority is
  '0: someone is waiting for it; 1: it starts or ends work on an order; 2: information. '
  'Set from app.message_priority(template)';
comment on column app.messages.expires_at is
  'When the message becomes useless and is withdrawn instead of sent; null: never';
comment on column app.messages.unknown_since is
  'Since when it is unknown whether the message was sent; a status report or '
  'outbox.unknown_wait_seconds ends this state';
comment on column app.messages.repeats is
  'How often the message was sent again although an earlier one may have arrived';
comment on column app.messages.refused_id is
  'Provider''s id (empty: none was given) of a free-form message that was refused because the '
  'recipient''s last message was too long ago; further attempts use the template [pii: contact]';
comment on column app.messages.request_id is
  'X-Request-Id of the request that enqueued the message; null: a job did [pii: none]';
comment on column app.messages.position is
  'Order in which messages were enqueued; ids of the same millisecond do not show it';
comment on column app.messages.provider_id is
  'The provider''s id (WhatsApp: wamid...) [pii: contact]';
comment on column app.messages.recipient_type is '[pii: none]';
comment on column app.messages.status is '[pii: none]';
comment on column app.messages.error_code is '[pii: none]';

create table app.inbound_messages (
  id uuid primary key default app.uuid_v7(),
  payload_hash bytea not null constraint inbound_messages_payload_hash_key unique,
  payload jsonb,
  received_at timestamptz not null default now(),
  processed_at timestamptz,
  constraint inbound_messages_payload_check
  check (payload is not null or processed_at is not null)
);
create index inbound_messages_waiting_idx on app.inbound_messages (received_at)
where processed_at is null;
create index inbound_messages_kept_idx on app.inbound_messages (received_at)
where payload is not null;
comment on table app.inbound_messages is
  'Inbox: webhooks as the provider sent them; a repeated payload is stored once';
comment on column app.inbound_messages.payload is
  'Body of the webhook, unchanged, so that it can be processed again; null after '
  'retention.webhook_days [pii: content]';
comment on column app.inbound_messages.payload_hash is
  'SHA-256 of the body; kept for ever, so that a webhook is stored once for ever [pii: none]';

create table app.inbound_events (
  event_key text primary key,
  inbound_message_id uuid not null
  constraint inbound_events_inbound_message_id_fkey
  references app.inbound_messages (id) on delete cascade,
  outcome varchar(200) not null,
  processed_at timestamptz not null default now()
);
create index inbound_events_message_idx on app.inbound_events (inbound_message_id);
comment on table app.inbound_events is
  'Inbound messages that were processed: each once, however often and in whatever batches the '
  'provider delivers it [pii: none]';
comment on column app.inbound_events.event_key is
  'SHA-256 of the provider''s id of the message, which itself contains the sender''s number; kept '
  'for ever';
comment on column app.inbound_events.outcome is 'Result of processing';

create table app.conversations (
  number varchar(64) primary key,
  last_inbound_at timestamptz not null,
  hour_began_at timestamptz,
  hour_hashes bytea[] not null default '{}'
);
create index conversations_last_inbound_idx on app.conversations (last_inbound_at);
comment on table app.conversations is
  'Last inbound WhatsApp message per number: for 24 hours free-form replies are allowed, '
  'afterwards templates only';
comment on column app.conversations.number is
  'E.164 with +, or the provider''s user id of a sender without a number [pii: contact]';
comment on column app.conversations.hour_began_at is
  'When the present hour of forwarded texts began; null: none was forwarded';
comment on column app.conversations.hour_hashes is
  'SHA-256 of each text that was forwarded in that hour [pii: key]';
comment on column app.conversations.last_inbound_at is
  'By the provider''s clock, but never later than the hub''s';

alter table app.impersonation_notifications add column message_id uuid
constraint impersonation_notifications_message_id_fkey
references app.messages (id) on delete restrict;
create index impersonation_notifications_message_idx
on app.impersonation_notifications (message_id);
comment on column app.impersonation_notifications.message_id is
  'Message in the outbox that carries the notification';

create table app.purged_provider_ids (
  provider_hash bytea primary key
);
comment on table app.purged_provider_ids is
  'SHA-256 of the provider''s ids of messages that were purged or erased: no other message may '
  'have one of them. An id itself contains the recipient''s number [pii: none]';

create table app.messages_period (
  is_single boolean primary key default true
  constraint messages_period_is_single_check check (is_single),
  purged_until timestamptz not null default '-infinity'
);
insert into app.messages_period default values;
comment on table app.messages_period is 'Which messages were purged; one row';
comment on column app.messages_period.purged_until is
  'Settled messages that were enqueued before this time are gone';
