-- Partners who were deleted or erased.

create table app.partner_removals (
  id uuid primary key default app.uuid_v7(),
  partner_id uuid not null
  constraint partner_removals_partner_id_fkey references app.partners (id) on delete restrict,
  kind varchar(10) not null
  constraint partner_removals_kind_check check (kind in ('DELETED', 'ERASED')),
  reason varchar(500) not null,
  agent_id uuid
  constraint partner_removals_agent_id_fkey references app.agents (id) on delete restrict,
  created_at timestamptz not null default now(),
  transaction_id xid8 not null default pg_current_xact_id(),
  constraint partner_removals_kind_key unique (partner_id, kind)
);
create index partner_removals_transaction_idx on app.partner_removals (transaction_id);
create index partner_removals_created_idx on app.partner_removals (created_at);
comment on table app.partner_removals is
  'Who deleted a partner or erased their personal data, when and why; append-only';
comment on column app.partner_removals.kind is
  'DELETED: hidden, as deleted_at says; ERASED: their personal data was removed, too [pii: none]';
comment on column app.partner_removals.agent_id is 'Admin who did it; null: psql';
comment on column app.partner_removals.transaction_id is
  'Transaction of the removal: only in that of an erasure do append-only tables let their free '
  'text be removed';
comment on column app.partner_removals.reason is '[pii: text]';

-- In clear: an erasure searches stored webhooks and messages for them, as they were received.
create table app.partner_former_contacts (
  partner_id uuid not null
  constraint partner_former_contacts_partner_id_fkey references app.partners (id) on delete cascade,
  replaced_at timestamptz not null default clock_timestamp(),
  phone varchar(20),
  email varchar(255) not null,
  business_name varchar(255) not null,
  primary key (partner_id, replaced_at)
);
create index partner_former_contacts_replaced_idx on app.partner_former_contacts (replaced_at);
comment on table app.partner_former_contacts is
  'Numbers, addresses and names under which partners were known before a change, so that '
  'erase_partner finds what was stored under them. Kept no longer than webhooks and messages';
comment on column app.partner_former_contacts.replaced_at is 'When they were replaced';
comment on column app.partner_former_contacts.phone is '[pii: contact]';
comment on column app.partner_former_contacts.email is '[pii: contact]';
comment on column app.partner_former_contacts.business_name is '[pii: name]';
