-- Phase 3, step 4 (M-7.3-4): the log of escalations.

create table app.sla_escalation_logs (
  id uuid primary key default app.uuid_v7(),
  order_id uuid not null
  constraint sla_escalation_logs_order_id_fkey references app.orders (id) on delete restrict,
  escalation_level app.escalation_level_enum not null,
  notified_to uuid not null,
  notified_type app.notified_type_enum not null,
  triggered_at timestamptz not null default now(),
  acknowledged_at timestamptz,
  clock_started_at timestamptz not null,
  due_at timestamptz not null,
  reason varchar(500),
  region_id uuid
  constraint sla_escalation_logs_region_id_fkey references app.regions (id) on delete restrict,
  acknowledged_by uuid
  constraint sla_escalation_logs_acknowledged_by_fkey references app.agents (id) on delete restrict,
  constraint sla_escalation_logs_once_key
  unique (order_id, escalation_level, notified_to, clock_started_at)
);
create index idx_sla_order on app.sla_escalation_logs (order_id);
create index sla_escalation_logs_triggered_idx on app.sla_escalation_logs (triggered_at);
create index sla_escalation_logs_region_idx
on app.sla_escalation_logs (region_id, triggered_at);
comment on table app.sla_escalation_logs is
  'Escalations of late orders: one row per level, recipient and clock';
comment on column app.sla_escalation_logs.notified_to is
  'Id of the sub-distributor (SUBDIST) or the agent (AGENT, ADMIN)';
comment on column app.sla_escalation_logs.triggered_at is 'When the escalation was triggered';
comment on column app.sla_escalation_logs.clock_started_at is
  'Start of the clock that expired: orders.awaiting_since';
comment on column app.sla_escalation_logs.due_at is 'When the escalation was due';
comment on column app.sla_escalation_logs.reason is
  'Reason of an early escalation, null when the hours expired [pii: text]';
comment on column app.sla_escalation_logs.region_id is
  'Present region of the order''s partner, whose agents see the escalation; null: none, or the '
  'partner is deleted. Kept by trigger, so that row security needs no join';

create table app.task_escalations (
  subject_id uuid not null,
  clock_started_at timestamptz not null,
  escalation_level app.escalation_level_enum not null
  constraint task_escalations_level_check check (escalation_level <> 'MANAGER'),
  due_at timestamptz not null,
  triggered_at timestamptz not null default now(),
  primary key (subject_id, clock_started_at, escalation_level)
);
comment on table app.task_escalations is
  'Escalations of what awaits headquarters beside orders: one row per level and clock';
comment on column app.task_escalations.subject_id is
  'Redemption, order that is not billed, or invoice with a refund due';
comment on column app.task_escalations.clock_started_at is 'Since when it was waiting';
comment on column app.task_escalations.due_at is 'When the escalation was due';

create table app.unbilled_orders (
  order_id uuid primary key
  constraint unbilled_orders_order_id_fkey references app.orders (id) on delete restrict,
  unbilled_since timestamptz not null default now()
);
comment on table app.unbilled_orders is
  'Approved, shipped and completed orders that live invoices do not bill in full, for the queue of '
  'headquarters. Kept by trigger from the invoices, so that submissions write nothing for it';
