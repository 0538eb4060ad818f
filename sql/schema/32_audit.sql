-- Phase 3, step 3 (M-7.3-3): the audit trail.

create table app.audit_logs (
  id uuid not null default app.uuid_v7(),
  actor_id uuid,
  actor_type app.actor_type_enum not null,
  target_id uuid,
  target_type varchar(63) not null,
  action varchar(50) not null,
  old_value jsonb,
  new_value jsonb,
  ip_address varchar(45),
  created_at timestamptz not null,
  actor_role varchar(63) not null,
  on_behalf_of uuid,
  request_id varchar(64),
  constraint audit_logs_pkey primary key (id, created_at)
) partition by range (created_at);
create index idx_audit_actor on app.audit_logs (actor_id, actor_type);
create index idx_audit_created on app.audit_logs (created_at);
create index audit_logs_target_idx on app.audit_logs (target_id, created_at);
-- A list of one kind of change: what does not match is passed in the index, not in the table.
create index audit_logs_type_idx
on app.audit_logs (target_type, created_at, action, actor_role);
-- Takes rows of a month without a partition; jobs.make_partitions() creates partitions in advance.
create table app.audit_logs_default partition of app.audit_logs default;
comment on table app.audit_logs is
  'Audit trail: who changed what, with old and new values. Append-only, in monthly partitions '
  '(UTC), filled from audit_buffer every minute; PII is masked';
comment on column app.audit_logs.actor_id is 'Actor; in shadow mode the agent';
comment on column app.audit_logs.target_id is 'Id of the changed row';
comment on column app.audit_logs.target_type is 'Table of the changed row [pii: none]';
comment on column app.audit_logs.action is
  'INSERT, UPDATE or DELETE; EXPORT: everything about a person was read [pii: none]';
comment on column app.audit_logs.old_value is
  'Values before: the changed columns; on DELETE the whole row [pii: masked]';
comment on column app.audit_logs.new_value is
  'Values after: the changed columns; on INSERT the whole row [pii: masked]';
comment on column app.audit_logs.ip_address is
  'Caller''s address as a trusted proxy reported it (config auth.trusted_proxies) [pii: address]';
comment on column app.audit_logs.created_at is
  'When the change was made, not when it was moved to this table';
comment on column app.audit_logs.actor_role is 'Database role of the caller [pii: none]';
comment on column app.audit_logs.request_id is
  'X-Request-Id of the request that made the change, which is also in the logs of all programs '
  '[pii: none]';
comment on column app.audit_logs.on_behalf_of is 'Partner for whom an agent acted in shadow mode';

-- One row per statement: narrow to write, expanded into audit_logs later. A submission is one row.
create table app.audit_buffer (
  id bigint generated always as identity primary key,
  -- text without a limit: what the buffer moves to has limits, and each one is a function call
  target_type text not null,
  action text not null,
  -- json, not jsonb: stored as it is, parsed by the job that moves it on
  old_rows json,
  new_rows json,
  -- the rows themselves: copied, where making JSON of them would cost every submission 45 µs
  order_rows app.orders[],
  line_rows app.order_items[],
  claims json,
  actor_role text not null,
  -- as received: the address in it is found by the job that moves the row on
  forwarded_for text,
  created_at timestamptz not null default clock_timestamp(),
  request_id text default nullif(current_setting('hub.request_id', true), '')
)
-- Rows live for a minute: compressing them costs more than the space that it saves.
with (toast_tuple_target = 8160);
comment on table app.audit_buffer is
  'Changes that wait to be moved to audit_logs, committed with the change itself. Private: PII '
  'is not masked yet';
comment on column app.audit_buffer.old_rows is
  'Array of the rows before the change, in the order of new_rows [pii: content]';
comment on column app.audit_buffer.new_rows is 'Array of the rows after the change [pii: content]';
comment on column app.audit_buffer.order_rows is
  'With the lines of a submitted order: the order, which was inserted with them [pii: content]';
comment on column app.audit_buffer.line_rows is 'Inserted lines of orders [pii: content]';
comment on column app.audit_buffer.forwarded_for is
  'The end of the header X-Forwarded-For; auth.forwarded_address() finds the address in it '
  '[pii: address]';
comment on column app.audit_buffer.claims is
  'The caller''s claims; app.actor_of() derives the actor from them [pii: none]';
comment on column app.audit_buffer.target_type is '[pii: none]';
comment on column app.audit_buffer.action is '[pii: none]';
comment on column app.audit_buffer.actor_role is '[pii: none]';
comment on column app.audit_buffer.request_id is '[pii: none]';
