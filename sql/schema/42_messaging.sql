-- What the design adds: the outbox (messages owed) and the inbox (what came back).

-- Domains, because a table's own checks are parsed anew by every statement that writes to it.
create domain app.message_status as varchar(10)
constraint message_status_check
check (value in ('PENDING', 'CLAIMED', 'UNKNOWN', 'SENT', 'DELIVERED', 'READ', 'FAILED', 'WITHDRAWN'));
comment on domain app.message_status is
  'PENDING, CLAIMED (leased to a messenger), UNKNOWN (the messenger died, perhaps after sending), SENT (accepted by the provider), DELIVERED, READ, FAILED, WITHDRAWN';

create domain app.message_recipient_type as varchar(10)
constraint message_recipient_type_check check (value in ('PARTNER', 'SUBDIST', 'AGENT'));
comment on domain app.message_recipient_type is 'The table that recipient_id names: partners, sub_distributors or agents';

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
  -- what somebody waits for goes before what informs
  priority smallint not null generated always as (case
    when template = 'sign_in_link' then 0
    when template in (
      'order_routed', 'order_withdrawn', 'order_unrouted', 'order_over_limit', 'sla_reminder', 'sla_manager', 'sla_escalation'
    ) then 1 else 2
  end) stored,
  expires_at timestamptz,
  unknown_since timestamptz,
  repeats int not null default 0,
  refused_id varchar(200)
) with (fillfactor = 70);
create index messages_due_idx on app.messages (priority, position) where status = 'PENDING';
create index messages_recipient_open_idx on app.messages (recipient_id, priority, position)
where status in ('PENDING', 'CLAIMED', 'UNKNOWN');
create index messages_unknown_idx on app.messages (unknown_since) where status = 'UNKNOWN';
create index messages_lease_idx on app.messages (lease_until) where status = 'CLAIMED';
create index messages_expiry_idx on app.messages (expires_at) where status = 'PENDING' and expires_at is not null;
create unique index messages_provider_id_key on app.messages (provider_id) where provider_id is not null;
create index messages_order_idx on app.messages (order_id) where order_id is not null;
comment on table app.messages is 'Outbox: messages owed to people; a row commits with the event that owes it, or not at all';
comment on column app.messages.template is 'Name in app.message_templates()';
comment on column app.messages.recipient_id is 'Partner, sub-distributor or agent; the address is looked up when the message is claimed';
comment on column app.messages.variables is 'Facts of the moment; those of the order are added when the message is claimed';
comment on column app.messages.next_attempt_at is 'Not to be claimed before';
comment on column app.messages.lease_until is 'When a claim lapses: whether it was sent is unknown from then on';
comment on column app.messages.priority is '0: somebody waits at the door; 1: an order waits, or waits no longer; 2: information';
comment on column app.messages.expires_at is 'Worth nothing from then on: withdrawn instead of sent; null: never';
comment on column app.messages.unknown_since is 'Since when it is unknown whether it was sent; a status report settles it, outbox.unknown_wait_seconds end the waiting';
comment on column app.messages.repeats is 'How often it was sent again though an earlier sending may have arrived';
comment on column app.messages.refused_id is
  'Provider''s id (empty: none was given) of a free-form sending that came too late for the reader''s last word; from then on it goes as a template';
comment on column app.messages.position is 'Order in which messages were owed: ids of one millisecond do not tell';
comment on column app.messages.provider_id is 'The provider''s id (WhatsApp: wamid...)';

create table app.inbound_messages (
  id uuid primary key default app.uuid_v7(),
  payload_hash bytea not null constraint inbound_messages_payload_hash_key unique,
  payload jsonb not null,
  received_at timestamptz not null default now(),
  processed_at timestamptz
);
create index inbound_messages_waiting_idx on app.inbound_messages (received_at) where processed_at is null;
comment on table app.inbound_messages is 'Inbox: what the provider sent, as it came; a repeated payload is stored once';

comment on column app.inbound_messages.payload is 'A webhook''s body; cleared of nothing, so that it can be worked on again';

create table app.inbound_events (
  event_key text primary key,
  inbound_message_id uuid not null
  constraint inbound_events_inbound_message_id_fkey references app.inbound_messages (id) on delete cascade,
  outcome varchar(200) not null,
  processed_at timestamptz not null default now()
);
comment on table app.inbound_events is 'Each message that came in, worked on once, however often and in whatever batches the provider delivers it';
comment on column app.inbound_events.event_key is 'The provider''s id of the message (wamid...)';
comment on column app.inbound_events.outcome is 'What it led to';

create table app.conversations (
  number varchar(20) primary key,
  last_inbound_at timestamptz not null
);
comment on table app.conversations is 'When somebody last wrote to us over WhatsApp: for 24 hours he may be answered freely, later by templates only';
comment on column app.conversations.number is 'E.164 with +';
comment on column app.conversations.last_inbound_at is 'By the provider''s clock, never after ours';

alter table app.impersonation_notifications add column message_id uuid
constraint impersonation_notifications_message_id_fkey references app.messages (id) on delete restrict;
create index impersonation_notifications_message_idx on app.impersonation_notifications (message_id);
comment on column app.impersonation_notifications.message_id is 'The outbox row that carries the notice';
