-- Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards.

create table app.point_transactions (
  id uuid primary key default app.uuid_v7(),
  partner_id uuid not null
  constraint point_transactions_partner_id_fkey references app.partners (id) on delete restrict,
  order_id uuid
  constraint point_transactions_order_id_fkey references app.orders (id) on delete restrict,
  invoice_id uuid
  constraint point_transactions_invoice_id_fkey references app.invoices (id) on delete restrict,
  type app.point_tx_type_enum not null,
  points int not null constraint point_transactions_points_check check (points <> 0),
  multiplier numeric(10, 2),
  description varchar(500),
  created_by uuid
  constraint point_transactions_created_by_fkey references app.agents (id) on delete restrict,
  created_at timestamptz not null default now(),
  credit_note_id uuid
  constraint point_transactions_credit_note_id_fkey
  references app.credit_notes (id) on delete restrict,
  constraint point_transactions_earned_check
  check (type <> 'EARNED' or (invoice_id is not null and order_id is not null and points > 0)),
  constraint point_transactions_spent_check
  check (type not in ('REDEEMED', 'EXPIRED') or points < 0),
  constraint point_transactions_expired_check check (type <> 'EXPIRED' or created_by is not null)
);
create index point_transactions_invoice_idx on app.point_transactions (invoice_id)
where invoice_id is not null;
create index point_transactions_note_idx on app.point_transactions (credit_note_id)
where credit_note_id is not null;
create index point_transactions_created_idx on app.point_transactions (created_at);
create index point_transactions_partner_idx on app.point_transactions (partner_id, created_at);
create index point_transactions_order_idx on app.point_transactions (order_id)
where order_id is not null;
comment on table app.point_transactions is
  'Ledger of points, append-only; partners.point_balance is its sum';
comment on column app.point_transactions.order_id is 'Order that earned or used the points';
comment on column app.point_transactions.invoice_id is
  'EARNED: the paid invoice that made the points vest; ADJUSTED: the invoice whose correction '
  'changed what the order has earned. Set on every row of earned points';
comment on column app.point_transactions.credit_note_id is
  'Return that gave back points used for the order';
comment on column app.point_transactions.points is
  'Signed points: positive to the partner, negative from the partner';
comment on column app.point_transactions.multiplier is
  'Tier multiplier at submission, on EARNED rows';
comment on column app.point_transactions.created_by is 'Admin behind an ADJUSTED or EXPIRED row';

create table app.redemption_catalog (
  id uuid primary key default app.uuid_v7(),
  name app.label not null,
  description text,
  image_url app.url,
  points_required int not null
  constraint redemption_catalog_points_required_check check (points_required > 0),
  stock_available int not null default 0
  constraint redemption_catalog_stock_available_check check (stock_available >= 0),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table app.redemption_catalog is
  'Rewards that partners can redeem points for [pii: none]';
comment on column app.redemption_catalog.stock_available is 'Units left';

create table app.redemptions (
  id uuid primary key default app.uuid_v7(),
  partner_id uuid not null
  constraint redemptions_partner_id_fkey references app.partners (id) on delete restrict,
  catalog_item_id uuid not null
  constraint redemptions_catalog_item_id_fkey references app.redemption_catalog (id),
  points_spent int not null constraint redemptions_points_spent_check check (points_spent > 0),
  status app.redemption_status_enum not null default 'PENDING',
  created_at timestamptz not null default now(),
  shipped_at timestamptz,
  idempotency_key varchar(200),
  agent_id uuid constraint redemptions_agent_id_fkey references app.agents (id) on delete restrict
);
create index redemptions_agent_idx on app.redemptions (agent_id) where agent_id is not null;
-- what awaits headquarters
create index redemptions_pending_idx on app.redemptions (created_at) where status = 'PENDING';
create index redemptions_created_idx on app.redemptions (created_at);
create index redemptions_reward_idx on app.redemptions (catalog_item_id, partner_id);
create index redemptions_partner_idx on app.redemptions (partner_id, created_at);
create unique index redemptions_idempotency_key on app.redemptions (partner_id, idempotency_key)
where idempotency_key is not null;
comment on table app.redemptions is
  'Redeemed rewards; a cancellation returns the points and the unit of stock';
comment on column app.redemptions.points_spent is 'Points charged at redemption';
comment on column app.redemptions.agent_id is
  'Agent who redeemed in shadow mode, null when the partner did';
comment on column app.redemptions.idempotency_key is
  'Caller''s key, unique per partner: the same key returns the same redemption [pii: key]';

alter table app.point_transactions add column redemption_id uuid
constraint point_transactions_redemption_id_fkey references app.redemptions (id) on delete restrict;
create index point_transactions_redemption_idx on app.point_transactions (redemption_id)
where redemption_id is not null;
comment on column app.point_transactions.redemption_id is
  'Redemption that spent the points or returned them';
comment on column app.point_transactions.description is '[pii: text]';

create table app.point_queue (
  invoice_id uuid primary key
  constraint point_queue_invoice_id_fkey references app.invoices (id) on delete restrict,
  enqueued_at timestamptz not null default now(),
  attempts int not null default 0,
  next_attempt_at timestamptz not null default now(),
  failed_at timestamptz,
  last_error varchar(1000)
);
create index point_queue_due_idx on app.point_queue (next_attempt_at);
create index point_queue_failed_idx on app.point_queue (failed_at) where failed_at is not null;
comment on table app.point_queue is
  'Paid invoices whose points have not vested yet; filled in the payment''s transaction, emptied '
  'by jobs.process_point_queue() [pii: none]';
comment on column app.point_queue.attempts is
  'Failed attempts, alone or in a batch; from the first on the invoice is processed alone';
comment on column app.point_queue.next_attempt_at is
  'Not before this time; after a failure 1 to 60 minutes later';
comment on column app.point_queue.last_error is 'Error of the last failure of the invoice alone';
