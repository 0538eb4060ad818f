-- Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines.

create sequence app.order_number_seq maxvalue 999999 cycle;

-- The date is Jakarta's. The counter cycles after a million numbers, so a number repeats only on a
-- day with more than a million orders; the unique constraint refuses it then.
create function app.next_order_number() returns varchar language sql volatile
as $$
  select to_char(now() at time zone 'Asia/Jakarta', '"ORD-"YYMMDD"-"')
    || lpad(nextval('app.order_number_seq')::text, 6, '0')
$$;
comment on function app.next_order_number() is
  'Next order number, ORD-YYMMDD-NNNNNN; numbers can have gaps';

create domain app.over_limit_reason as varchar(20)
constraint over_limit_reason_check check (value in ('CREDIT_LIMIT', 'OVERDUE'));
comment on domain app.over_limit_reason is
  'Why an order waits for a release. CREDIT_LIMIT: it exceeds the credit limit; OVERDUE: an '
  'invoice has been overdue for more than credit.max_overdue_days';

create table app.orders (
  id uuid primary key default app.uuid_v7(),
  order_number varchar(20) not null
  default app.next_order_number() constraint orders_order_number_key unique,
  partner_id uuid not null
  constraint orders_partner_id_fkey references app.partners (id) on delete restrict,
  agent_id uuid constraint orders_agent_id_fkey references app.agents (id) on delete restrict,
  routed_to_subdist_id uuid
  constraint orders_routed_to_subdist_id_fkey references app.sub_distributors (id),
  status app.order_status_enum not null default 'DRAFT',
  submission_type app.submission_type_enum not null default 'SELF',
  subtotal app.amount not null default 0,
  discount_amount app.amount not null default 0,
  point_discount app.amount not null default 0,
  grand_total app.amount not null default 0,
  points_earned app.whole_number not null default 0,
  points_used app.whole_number not null default 0,
  is_eligible_for_points boolean not null default true,
  notes app.notes,
  is_over_limit boolean not null default false,
  submitted_at timestamptz,
  routed_at timestamptz,
  last_response_at timestamptz,
  sla_reminder_sent boolean not null default false,
  sla_escalated boolean not null default false,
  approved_at timestamptz,
  completed_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- columns beyond the dictionary of M-3.3-1
  shipped_at timestamptz,
  closed_at timestamptz,
  status_reason varchar(500),
  released_at timestamptz,
  released_by uuid constraint orders_released_by_fkey references app.agents (id) on delete restrict,
  release_reason varchar(500),
  erp_reference varchar(100),
  erp_acknowledged_at timestamptz,
  idempotency_key varchar(200),
  request_hash bytea,
  rules_applied jsonb,
  over_limit_reason app.over_limit_reason,
  due_days int,
  sla_manager_notified boolean not null default false,
  awaiting app.awaiting_enum not null default 'PARTNER',
  awaiting_since timestamptz,
  constraint orders_id_partner_id_key unique (id, partner_id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- Whose turn it is (D-3.awaiting-1). A stored column instead of a generated one, which every
-- statement would parse again: submissions write it, tg_orders__derive_turn derives it on updates,
-- and app.check_order compares.
create function app.order_awaiting(
  p_status app.order_status_enum, p_routed_to_subdist_id uuid, p_last_response_at timestamptz
)
returns app.awaiting_enum language sql immutable
as $$
  select case
    -- The first result sets the type. A cast of the whole case would prevent inlining, and the
    -- function would be planned again in each transaction.
    when p_status = 'DRAFT' then 'PARTNER'::app.awaiting_enum
    when p_status not in ('SUBMITTED', 'PROCESSING', 'APPROVED') then 'NONE'
    when p_routed_to_subdist_id is null then 'HEADQUARTERS'
    when p_status = 'PROCESSING' and p_last_response_at is not null then 'HEADQUARTERS'
    else 'SUBDIST'
  end
$$;
comment on function app.order_awaiting(app.order_status_enum, uuid, timestamptz) is
  'Who must act next on an order with this status, sub-distributor and last answer of theirs';

-- One check for what concerns several columns, for the same reason: each would be parsed again by
-- every statement. It raises what a check of the table would raise, under the rule's own name.
-- Tests for null instead of comparisons of two of them: each operator of an expression is looked up
-- in each transaction, with the right to call it, and a test for null is none.
create function app.check_order(p_order app.orders) returns boolean language plpgsql immutable
as $$
begin
  if p_order.grand_total
    <> p_order.subtotal - p_order.discount_amount - p_order.point_discount
  then
    perform app.violate_check('orders', 'orders_total_parts_check');
  end if;
  if (case p_order.submission_type
    when 'AGENT_ASSISTED' then p_order.agent_id is null else p_order.agent_id is not null
  end) then
    perform app.violate_check('orders', 'orders_submission_check');
  end if;
  if (p_order.routed_to_subdist_id is null and p_order.routed_at is not null)
    or (p_order.routed_to_subdist_id is not null and p_order.routed_at is null)
  then
    perform app.violate_check('orders', 'orders_clock_check');
  end if;
  if p_order.submitted_at is null then
    if p_order.status not in ('DRAFT', 'REJECTED', 'CANCELLED') then
      perform app.violate_check('orders', 'orders_submitted_check');
    end if;
  end if;
  if p_order.is_over_limit and p_order.released_at is null
    and p_order.routed_to_subdist_id is not null
  then
    perform app.violate_check('orders', 'orders_over_limit_route_check');
  end if;
  if (p_order.released_at is null and p_order.release_reason is not null)
    or (p_order.released_at is not null and p_order.release_reason is null)
  then
    perform app.violate_check('orders', 'orders_release_check');
  end if;
  if (p_order.erp_reference is null and p_order.erp_acknowledged_at is not null)
    or (p_order.erp_reference is not null and p_order.erp_acknowledged_at is null)
  then
    perform app.violate_check('orders', 'orders_erp_check');
  end if;
  if (p_order.idempotency_key is null and p_order.request_hash is not null)
    or (p_order.idempotency_key is not null and p_order.request_hash is null)
  then
    perform app.violate_check('orders', 'orders_idempotency_check');
  end if;
  if p_order.awaiting <> app.order_awaiting(
      p_order.status, p_order.routed_to_subdist_id, p_order.last_response_at)
    or (case
      when p_order.awaiting in ('SUBDIST', 'HEADQUARTERS') then p_order.awaiting_since is null
      else p_order.awaiting_since is not null
    end)
  then
    perform app.violate_check('orders', 'orders_awaiting_check');
  end if;
  return true;
end $$;
comment on function app.check_order(app.orders) is
  'True if the columns of an order agree with each other; raises check_violation naming the rule';
alter table app.orders add constraint orders_row_check check (app.check_order(orders));
-- Partners are unequal. While an average one has few orders, PostgreSQL would check the keys of
-- lines and events by walking the orders of the partner, all of the largest one's: let it expect
-- 1,000.
alter table app.orders alter column partner_id set (n_distinct = -0.001);
create index idx_orders_partner on app.orders (partner_id);
create index idx_orders_status on app.orders (status);
create index idx_orders_submitted on app.orders (submitted_at);
create index idx_orders_subdist on app.orders (routed_to_subdist_id);
create index idx_orders_sla on app.orders (routed_at, sla_reminder_sent);
create index idx_orders_pending on app.orders (submitted_at) where status = 'SUBMITTED';
create index idx_orders_sla_pending on app.orders (routed_at)
where status in ('SUBMITTED', 'PROCESSING') and sla_reminder_sent = false;
create unique index orders_idempotency_key on app.orders (partner_id, idempotency_key)
where idempotency_key is not null;
-- Lists begin with the newest row and read these indexes, and those of the other tables, backwards.
-- A descending index would take each new row at its beginning, where a full page is split into two
-- halves that stay so; an ascending one takes it at its end, without a descent, and fills pages.
create index orders_partner_created_idx on app.orders (partner_id, created_at);
-- Without an index in the order of a list, PostgREST evaluates the embedded lists of every row.
create index orders_created_idx on app.orders (created_at);
create index orders_open_created_idx on app.orders (created_at)
where status in ('SUBMITTED', 'PROCESSING');
-- The open orders of a partner with a long history.
create index orders_open_partner_idx on app.orders (partner_id, created_at)
where status in ('SUBMITTED', 'PROCESSING');
create index orders_open_routed_idx on app.orders (routed_at)
where status in ('SUBMITTED', 'PROCESSING');
create index orders_subdist_created_idx on app.orders (routed_to_subdist_id, created_at);
create index orders_subdist_partner_idx on app.orders (routed_to_subdist_id, partner_id);
create index orders_open_subdist_idx on app.orders (routed_to_subdist_id, created_at)
where status in ('SUBMITTED', 'PROCESSING');
create index orders_open_subdist_routed_idx on app.orders (routed_to_subdist_id, routed_at)
where status in ('SUBMITTED', 'PROCESSING');
-- Orders that wait for someone: what is late, the queue of headquarters, and what a suspension
-- hands over.
create index orders_awaiting_idx on app.orders (awaiting, awaiting_since)
include (id, routed_to_subdist_id, sla_reminder_sent, sla_manager_notified, sla_escalated)
where awaiting_since is not null;
create index orders_agent_idx on app.orders (agent_id) where agent_id is not null;
create index orders_erp_pending_idx on app.orders (approved_at)
where status in ('APPROVED', 'SHIPPED', 'COMPLETED') and erp_reference is null;
comment on table app.orders is
  'Orders of partners; their status moves by the transition functions only';
comment on column app.orders.order_number is
  'Number that people use: ORD-YYMMDD-NNNNNN [pii: none]';
comment on column app.orders.agent_id is
  'Agent who placed the order in shadow mode, null when the partner did';
comment on column app.orders.routed_to_subdist_id is
  'Sub-distributor who serves the order; null: headquarters must act';
comment on column app.orders.subtotal is
  'IDR: sum of quantity x list_price, before the quantity discount';
comment on column app.orders.discount_amount is 'IDR: subtotal less the sum of the line totals';
comment on column app.orders.point_discount is
  'IDR paid with points: points_used x loyalty.point_value_rupiah at submission';
comment on column app.orders.grand_total is 'IDR: subtotal - discount_amount - point_discount';
comment on column app.orders.points_earned is
  'Points promised at submission; they vest when the invoices are paid';
comment on column app.orders.points_used is
  'Points redeemed at submission; they are returned if the order is rejected or cancelled';
comment on column app.orders.is_eligible_for_points is
  'True when grand_total reached order.minimum_threshold at submission';
comment on column app.orders.is_over_limit is
  'True when the order took credit_used past credit_limit; it is not routed until an admin '
  'releases it';
comment on column app.orders.over_limit_reason is
  'Why is_over_limit is true, null when it is not [pii: none]';
comment on column app.orders.routed_at is
  'When the order was routed to its present sub-distributor';
comment on column app.orders.last_response_at is
  'Last response of the present sub-distributor, null until they answer; also the time of a '
  'DECLINE that left the order without one';
comment on column app.orders.sla_reminder_sent is
  'True when the reminder of the running clock was sent: after sla.reminder_hours to the '
  'sub-distributor, after sla.approval_hours to admins';
comment on column app.orders.sla_escalated is
  'True when the running clock was escalated to headquarters';
comment on column app.orders.sla_manager_notified is
  'True when the region''s agents were notified of the running clock';
comment on column app.orders.awaiting is
  'Who must act next; follows from status, routed_to_subdist_id and last_response_at';
comment on column app.orders.awaiting_since is
  'Start of the running clock. SUBDIST: the latest of routed_at, last_response_at and approved_at; '
  'HEADQUARTERS: when their turn began; null for PARTNER and NONE';
comment on column app.orders.closed_at is 'When the order was REJECTED or CANCELLED';
comment on column app.orders.status_reason is 'Reason of the rejection or cancellation [pii: text]';
comment on column app.orders.released_at is 'When an admin released an over-limit order';
comment on column app.orders.erp_reference is
  'The ERP''s reference, set when the ERP acknowledges the order; its stock includes the order '
  'from then on [pii: none]';
comment on column app.orders.idempotency_key is
  'Caller''s key of the submission, unique per partner [pii: key]';
comment on column app.orders.request_hash is
  'SHA-256 of the submission''s body: the same key with another body is refused [pii: key]';
comment on column app.orders.rules_applied is
  'Configs at submission: {key: {"value": ..., "version": n}} [pii: none]';
comment on column app.orders.due_days is
  'Days from billing to the due date, from invoice.due_days.<tier> at submission; null: not '
  'submitted';
comment on column app.orders.notes is '[pii: text]';
comment on column app.orders.release_reason is '[pii: text]';

create domain app.quantity as int constraint quantity_check check (value > 0);
comment on domain app.quantity is 'Units of a product in an order, at least one';

create table app.order_items (
  id uuid primary key default app.uuid_v7(),
  order_id uuid not null,
  product_id uuid not null
  constraint order_items_product_id_fkey references app.products (id),
  quantity app.quantity not null,
  unit_price app.amount not null,
  line_total numeric(15, 2) not null,
  created_at timestamptz not null default now(),
  partner_id uuid not null,
  list_price numeric(15, 2) not null,
  constraint order_items_line_total_check check (line_total = quantity * unit_price),
  constraint order_items_list_price_check check (list_price >= unit_price),
  -- partner_id, which follows from order_id, is part of the index so that an embedding, which joins
  -- on both, needs no second index.
  constraint order_items_product_key unique (order_id, partner_id, product_id),
  constraint order_items_order_id_fkey foreign key (order_id, partner_id)
  references app.orders (id, partner_id) on delete cascade
);
create index order_items_created_idx on app.order_items (created_at);
create index order_items_partner_idx on app.order_items (partner_id, created_at);
comment on table app.order_items is
  'Lines of an order, one per product; frozen once the order is submitted';
comment on column app.order_items.unit_price is
  'IDR charged per unit: the discount price from min_qty_discount units on';
comment on column app.order_items.line_total is 'IDR: quantity x unit_price';
comment on column app.order_items.list_price is 'IDR per unit before the quantity discount';
comment on column app.order_items.partner_id is
  'The order''s partner, repeated for row security and distribution by partner';

create domain app.order_event as varchar(20)
constraint order_event_check check (value in ('STATUS', 'RESPONSE', 'ROUTED', 'RELEASED'));
comment on domain app.order_event is
  'STATUS: the status changed; RESPONSE: the sub-distributor answered; ROUTED: routed or '
  're-routed; RELEASED: an over-limit order was released';

create table app.order_events (
  id bigint generated always as identity primary key,
  order_id uuid not null,
  partner_id uuid not null,
  event app.order_event not null,
  from_status app.order_status_enum,
  to_status app.order_status_enum not null,
  note varchar(500),
  actor_id uuid,
  actor_role varchar(30) not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint order_events_order_id_fkey foreign key (order_id, partner_id)
  references app.orders (id, partner_id) on delete restrict
);
create index order_events_order_idx on app.order_events (order_id, partner_id, id);
create index order_events_created_idx on app.order_events (created_at);
create index order_events_partner_idx on app.order_events (partner_id, created_at);
comment on table app.order_events is
  'History of each order: what happened and who did it. Append-only; STATUS rows hold every '
  'status of the order';
comment on column app.order_events.from_status is 'Status before; null when the order was created';
comment on column app.order_events.actor_role is
  'Database role of the caller, "system" for jobs [pii: none]';
comment on column app.order_events.event is '[pii: none]';
comment on column app.order_events.note is '[pii: text]';
