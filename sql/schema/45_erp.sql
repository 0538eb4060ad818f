-- The exchange with the ERP: progress of each stream, quarantined rows, cancellations to pass on.

create table app.erp_streams (
  stream text primary key
  constraint erp_streams_stream_check check (stream ~ '^[a-z][a-z0-9_:.-]{0,59}$'),
  cursor jsonb,
  updated_at timestamptz not null default now(),
  last_succeeded_at timestamptz,
  last_failed_at timestamptz,
  failing_since timestamptz,
  last_error varchar(1000),
  notified_at timestamptz,
  last_remarks varchar(1000),
  last_remarked_at timestamptz,
  constraint erp_streams_failure_check
  check (failing_since is null or (last_failed_at is not null and last_error is not null)),
  constraint erp_streams_remarks_check
  check ((last_remarks is null) = (last_remarked_at is null))
);
comment on table app.erp_streams is
  'Exchanges with the ERP (products, stock, payments, orders): the progress and health of each '
  '[pii: none]';
comment on column app.erp_streams.cursor is
  'Where to continue reading, in the ERP''s own terms; stored in the transaction of the data '
  'that it covers';
comment on column app.erp_streams.updated_at is 'When data or a cursor last arrived';
comment on column app.erp_streams.failing_since is
  'First failure since the last success; null: the last report was a success';
comment on column app.erp_streams.notified_at is
  'When headquarters was notified of the running outage; null: there is none, or it is too short '
  'so far';

comment on column app.erp_streams.last_remarks is
  'What the last successful run that had remarks remarked, such as rows that were skipped; later '
  'runs without remarks keep it';
comment on column app.erp_streams.last_remarked_at is 'When those remarks were reported';

create table app.erp_quarantine (
  stream text,
  key text constraint erp_quarantine_key_check check (length(key) <= 300),
  payload jsonb not null,
  reason varchar(200) not null,
  as_of timestamptz not null default now(),
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  times int not null default 1,
  constraint erp_quarantine_pkey primary key (stream, key)
);
create index erp_quarantine_key_idx on app.erp_quarantine (key);
comment on table app.erp_quarantine is
  'Rows of the ERP that could not be applied. A row leaves when a later row of its key is '
  'applied; a stock row also when its product is created';
comment on column app.erp_quarantine.key is
  'SKU; for a payment its invoice and reference number [pii: content]';
comment on column app.erp_quarantine.payload is
  'The ERP''s row; one of more than 10000 characters is stored as text, truncated to that length '
  '[pii: content]';
comment on column app.erp_quarantine.as_of is
  'Time that the row describes; an older row does not replace it';
comment on column app.erp_quarantine.times is 'How often the row arrived';
comment on column app.erp_quarantine.stream is '[pii: none]';
comment on column app.erp_quarantine.reason is '[pii: none]';

create table app.erp_cancellations (
  order_id uuid primary key,
  partner_id uuid not null,
  outcome varchar(10)
  constraint erp_cancellations_outcome_check check (outcome in ('CANCELLED', 'REFUSED')),
  note varchar(500),
  created_at timestamptz not null default now(),
  settled_at timestamptz,
  constraint erp_cancellations_settled_check check ((outcome is null) = (settled_at is null)),
  constraint erp_cancellations_order_id_fkey foreign key (order_id, partner_id)
  references app.orders (id, partner_id) on delete restrict
);
create index erp_cancellations_pending_idx
on app.erp_cancellations (created_at) where outcome is null;
comment on table app.erp_cancellations is
  'Orders that were cancelled or rejected after approval, when the ERP had them or may have had '
  'them; each waits until the ERP confirms or refuses';
comment on column app.erp_cancellations.outcome is
  'The ERP''s answer; null: no answer yet [pii: none]';
comment on column app.erp_cancellations.note is 'Reason of a refusal [pii: text]';

-- Finds what the ERP acknowledged since its last report of stock: that report does not include it.
create index orders_erp_acknowledged_idx on app.orders (erp_acknowledged_at)
where erp_acknowledged_at is not null;
