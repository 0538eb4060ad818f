-- The exchange with the ERP: progress of each stream, rows in quarantine, cancellations to pass on.

create table app.erp_streams (
  stream text primary key constraint erp_streams_stream_check check (stream ~ '^[a-z][a-z0-9_:.-]{0,59}$'),
  cursor jsonb,
  updated_at timestamptz not null default now(),
  last_succeeded_at timestamptz,
  last_failed_at timestamptz,
  failing_since timestamptz,
  last_error varchar(1000),
  notified_at timestamptz,
  constraint erp_streams_failure_check check (failing_since is null or (last_failed_at is not null and last_error is not null))
);
comment on table app.erp_streams is 'What the hub exchanges with the ERP: products, stock, payments, orders; how far it has come and how it fares';
comment on column app.erp_streams.cursor is 'Where to go on reading, in the ERP''s own terms; stored in the transaction of the data that it covers';
comment on column app.erp_streams.updated_at is 'When data or a cursor last came';
comment on column app.erp_streams.failing_since is 'First failure since the last success; null: the last report was a success';
comment on column app.erp_streams.notified_at is 'When headquarters were told of the outage that lasts; null: there is none, or it is too young';

create table app.erp_quarantine (
  stream text,
  key text constraint erp_set_aside_key_check check (length(key) <= 300),
  payload jsonb not null,
  reason varchar(200) not null,
  as_of timestamptz not null default now(),
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  times int not null default 1,
  constraint erp_set_aside_pkey primary key (stream, key)
);
create index erp_set_aside_key_idx on app.erp_quarantine (key);
comment on table app.erp_quarantine is
  'Rows of the ERP that could not be taken over. They leave it when a later row of the same key can be, stock also when its product comes';
comment on column app.erp_quarantine.key is 'SKU; of a payment, invoice and reference number';
comment on column app.erp_quarantine.payload is 'The row as the ERP gave it; one of more than 10000 characters as a text that is cut there';
comment on column app.erp_quarantine.as_of is 'The moment of which the row speaks: an older reading does not replace it';
comment on column app.erp_quarantine.times is 'How often it came';

create table app.erp_cancellations (
  order_id uuid primary key,
  partner_id uuid not null,
  outcome varchar(10) constraint erp_cancellations_outcome_check check (outcome in ('CANCELLED', 'REFUSED')),
  note varchar(500),
  created_at timestamptz not null default now(),
  settled_at timestamptz,
  constraint erp_cancellations_settled_check check ((outcome is null) = (settled_at is null)),
  constraint erp_cancellations_order_id_fkey foreign key (order_id, partner_id)
  references app.orders (id, partner_id) on delete restrict
);
create index erp_cancellations_pending_idx on app.erp_cancellations (created_at) where outcome is null;
comment on table app.erp_cancellations is
  'Orders that died after approval, when the ERP had them or may have: each waits here until the ERP has undone it or said no';
comment on column app.erp_cancellations.outcome is 'What the ERP answered; null: it has not been asked, or has not answered';
comment on column app.erp_cancellations.note is 'Why it refused';

-- What the ERP took over since a moment: a reading of its stock from before does not count these units.
create index orders_erp_acknowledged_idx on app.orders (erp_acknowledged_at) where erp_acknowledged_at is not null;
