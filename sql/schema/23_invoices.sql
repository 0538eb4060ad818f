-- Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices, their payments, and what corrects them.

create sequence app.invoice_number_seq maxvalue 999999 cycle;

create function app.next_invoice_number() returns varchar language sql volatile
as $$
  select 'INV-' || to_char(now() at time zone 'Asia/Jakarta', 'YYMMDD') || '-'
    || lpad(nextval('app.invoice_number_seq')::text, 6, '0')
$$;
comment on function app.next_invoice_number() is
  'Next invoice number, INV-YYMMDD-NNNNNN; numbers can have gaps';

create function app.refund_due(
  p_status app.invoice_status_enum, p_billed numeric, p_paid numeric
)
returns numeric language sql immutable
as $$
  select case when p_status = 'CANCELLED' then p_paid else greatest(0, p_paid - p_billed) end
$$;
comment on function app.refund_due(app.invoice_status_enum, numeric, numeric) is
  'IDR to be refunded of an invoice, of which p_billed is left after credits and write-offs';

create table app.invoices (
  id uuid primary key default app.uuid_v7(),
  order_id uuid not null,
  invoice_number varchar(30) not null
  default app.next_invoice_number() constraint invoices_invoice_number_key unique,
  amount numeric(15, 2) not null constraint invoices_amount_check check (amount > 0),
  amount_paid numeric(15, 2) not null default 0,
  status app.invoice_status_enum not null default 'UNPAID',
  due_date timestamptz not null,
  paid_at timestamptz,
  created_by uuid constraint invoices_created_by_fkey references app.agents (id) on delete restrict,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- The composite key below implies it; PostgREST finds the relation to partners by it.
  partner_id uuid not null
  constraint invoices_partner_id_fkey references app.partners (id) on delete restrict,
  cancelled_at timestamptz,
  cancel_reason varchar(500),
  last_reminder_day int,
  amount_credited app.amount not null default 0,
  amount_written_off app.amount not null default 0,
  issue_reason varchar(500),
  written_off_at timestamptz,
  write_off_reason varchar(500),
  amount_due numeric(15, 2) generated always as (
    case
      when status = 'CANCELLED' then 0
      else greatest(0, amount - amount_credited - amount_written_off - amount_paid)
    end
  ) stored,
  refund_due numeric(15, 2) generated always as (
    app.refund_due(status, amount - amount_credited - amount_written_off, amount_paid)
  ) stored,
  refund_due_since timestamptz,
  constraint invoices_order_id_fkey foreign key (order_id, partner_id)
  references app.orders (id, partner_id) on delete restrict,
  constraint invoices_id_partner_id_key unique (id, partner_id),
  constraint invoices_amount_paid_check check (amount_paid between 0 and amount),
  constraint invoices_amount_forgiven_check
  check (amount_credited + amount_written_off <= amount),
  constraint invoices_status_check check (
    case status
      when 'UNPAID' then amount_paid = 0 and amount_credited + amount_written_off < amount
      when 'PARTIAL'
        then amount_paid > 0 and amount_credited + amount_written_off + amount_paid < amount
      when 'PAID' then amount_credited + amount_written_off + amount_paid >= amount
      else true
    end
  ),
  constraint invoices_refund_due_since_check
  check ((refund_due > 0) = (refund_due_since is not null)),
  constraint invoices_paid_at_check check (status <> 'PAID' or paid_at is not null),
  constraint invoices_cancelled_check check ((status = 'CANCELLED') = (cancelled_at is not null)),
  constraint invoices_written_off_check check (
    (amount_written_off > 0) = (written_off_at is not null)
    and (written_off_at is null) = (write_off_reason is null)
  )
) with (autovacuum_vacuum_scale_factor = 0.02);
-- Partners are unequal. An average one has few invoices where partners are many, and PostgreSQL
-- would read and sort all of the largest one's for a page: let it expect 1,000 at least. Under row
-- security it does not look at how frequent a status is, but divides by the number of statuses. A
-- sample finds two, so all invoices would seem unpaid, and walking all of a partner's as cheap as
-- the index of the unpaid ones whenever many dead entries are in that.
alter table app.invoices
alter column partner_id set (n_distinct = -0.001), alter column status set (n_distinct = 8);
create index idx_invoices_order on app.invoices (order_id);
create index idx_invoices_status on app.invoices (status);
create index idx_invoices_due on app.invoices (due_date);
create index idx_invoices_unpaid on app.invoices (due_date) where status in ('UNPAID', 'PARTIAL');
-- what awaits headquarters
create index invoices_refund_due_idx on app.invoices (refund_due_since) where refund_due > 0;
create index invoices_created_idx on app.invoices (created_at);
create index invoices_partner_idx on app.invoices (partner_id, created_at);
create index invoices_partner_due_idx on app.invoices (partner_id, due_date);
create index invoices_partner_unpaid_idx on app.invoices (partner_id, due_date)
where status in ('UNPAID', 'PARTIAL');
create index invoices_reminder_idx on app.invoices (coalesce(last_reminder_day, -1000), due_date)
where status in ('UNPAID', 'PARTIAL');
comment on table app.invoices is
  'What a partner owes for an order, in one or several parts, issued on approval or by '
  'headquarters. amount never changes; amount_paid, amount_credited and the status follow from '
  'invoice_payments and invoice_credits';
comment on column app.invoices.amount is 'IDR billed';
comment on column app.invoices.amount_paid is
  'IDR: sum of invoice_payments.amount, payments less reversals and refunds';
comment on column app.invoices.due_date is
  'Approval plus invoice.due_days.<tier> days, unless headquarters chose another date';
comment on column app.invoices.paid_at is
  'Date of the payment, credit or write-off that settled the invoice; its points vest from then on';
comment on column app.invoices.created_by is
  'Admin who approved the order or issued the invoice, null when a job did';
comment on column app.invoices.last_reminder_day is
  'Days from the due date (below 0: before it) of the last reminder; null: there was none';
comment on column app.invoices.partner_id is
  'The order''s partner, repeated for row security and distribution by partner';
comment on column app.invoices.amount_credited is
  'IDR: sum of invoice_credits.amount, the returned goods. Of a cancelled invoice: what had been '
  'credited to it';
comment on column app.invoices.amount_written_off is 'IDR that headquarters has given up, once';
comment on column app.invoices.issue_reason is
  'Why headquarters issued it, null when it was issued on approval [pii: text]';
comment on column app.invoices.amount_due is 'IDR that the partner still owes';
comment on column app.invoices.refund_due is
  'IDR paid beyond what is billed; of a cancelled invoice all that was paid';
comment on column app.invoices.refund_due_since is
  'Since when something is to be refunded, the start of headquarters'' clock; a partial refund or '
  'further returned goods do not start it again';
comment on column app.invoices.invoice_number is '[pii: none]';
comment on column app.invoices.cancel_reason is '[pii: text]';
comment on column app.invoices.write_off_reason is '[pii: text]';

-- Compares references of payments: people type them with spaces and in capitals, or without.
create function app.reference_key(p_reference text) returns text language sql immutable
as $$ select upper(regexp_replace(p_reference, '\s', '', 'g')) $$;
comment on function app.reference_key(text) is
  'A reference without spaces and case, as references are compared';

create table app.invoice_payments (
  id uuid primary key default app.uuid_v7(),
  invoice_id uuid not null,
  amount numeric(15, 2) not null,
  payment_method varchar(50),
  reference_number varchar(100)
  constraint invoice_payments_reference_number_check
  check (reference_number = btrim(reference_number) and reference_number <> ''),
  notes text constraint invoice_payments_notes_check check (length(notes) <= 2000),
  recorded_by uuid
  constraint invoice_payments_recorded_by_fkey references app.agents (id) on delete restrict,
  paid_at timestamptz not null,
  created_at timestamptz not null default now(),
  partner_id uuid not null,
  kind varchar(10) not null default 'PAYMENT'
  constraint invoice_payments_kind_check check (kind in ('PAYMENT', 'REVERSAL', 'REFUND')),
  reverses_payment_id uuid
  constraint invoice_payments_reverses_payment_id_fkey
  references app.invoice_payments (id) on delete restrict,
  reference_key text generated always as (app.reference_key(reference_number)) stored,
  reference_use int not null default 0,
  constraint invoice_payments_invoice_id_fkey foreign key (invoice_id, partner_id)
  references app.invoices (id, partner_id) on delete restrict,
  constraint invoice_payments_amount_check
  check ((kind = 'PAYMENT') = (amount > 0) and amount <> 0),
  constraint invoice_payments_reversal_check
  check ((kind = 'REVERSAL') = (reverses_payment_id is not null)),
  constraint invoice_payments_reference_key
  unique (invoice_id, reference_key, kind, reference_use)
);
create unique index invoice_payments_reversed_key on app.invoice_payments (reverses_payment_id)
where reverses_payment_id is not null;
alter table app.invoice_payments alter column partner_id set (n_distinct = -0.005);
create index invoice_payments_created_idx on app.invoice_payments (created_at);
create index invoice_payments_partner_idx on app.invoice_payments (partner_id, created_at);
comment on table app.invoice_payments is
  'Payments received for an invoice, never above what is due, with their reversals and the '
  'refunds; append-only';
comment on column app.invoice_payments.amount is
  'IDR received; negative when it is reversed or refunded';
comment on column app.invoice_payments.payment_method is
  'Method of payment, such as transfer, cash or giro [pii: payment]';
comment on column app.invoice_payments.reference_number is
  'Number of the proof of transfer; it counts once per invoice, unless its payment was reversed '
  '[pii: payment]';
comment on column app.invoice_payments.notes is
  'Remark of the recorder; of a reversal or a refund its reason [pii: text]';
comment on column app.invoice_payments.recorded_by is
  'Admin who recorded the payment, null when the ERP did';
comment on column app.invoice_payments.paid_at is
  'When the money arrived, as stated by the recorder; of a reversal or a refund when it was booked';
comment on column app.invoice_payments.partner_id is
  'The invoice''s partner, repeated for row security and distribution by partner';
comment on column app.invoice_payments.kind is
  'PAYMENT: money received; REVERSAL: a payment recorded by mistake; REFUND: money paid back '
  '[pii: none]';
comment on column app.invoice_payments.reverses_payment_id is
  'The payment that a REVERSAL takes back; each at most once';
comment on column app.invoice_payments.reference_key is
  'reference_number without spaces and case [pii: key]';
comment on column app.invoice_payments.reference_use is
  'How many payments of the invoice with this reference had been reversed before: the same '
  'reference counts again after each reversal';

create sequence app.credit_note_number_seq maxvalue 999999 cycle;

create function app.next_credit_note_number() returns varchar language sql volatile
as $$
  select 'CN-' || to_char(now() at time zone 'Asia/Jakarta', 'YYMMDD') || '-'
    || lpad(nextval('app.credit_note_number_seq')::text, 6, '0')
$$;
comment on function app.next_credit_note_number() is
  'Next number of a credit note, CN-YYMMDD-NNNNNN; numbers can have gaps';

create table app.credit_notes (
  id uuid primary key default app.uuid_v7(),
  order_id uuid not null,
  partner_id uuid not null,
  credit_note_number varchar(30) not null
  default app.next_credit_note_number() constraint credit_notes_credit_note_number_key unique,
  amount app.amount not null,
  points_returned app.whole_number not null,
  reason varchar(500) not null,
  created_by uuid
  constraint credit_notes_created_by_fkey references app.agents (id) on delete restrict,
  created_at timestamptz not null default now(),
  constraint credit_notes_order_id_fkey foreign key (order_id, partner_id)
  references app.orders (id, partner_id) on delete restrict,
  constraint credit_notes_id_partner_id_key unique (id, partner_id)
);
-- As for orders: a key is checked by its index, not among the partner's rows.
alter table app.credit_notes alter column partner_id set (n_distinct = -0.001);
create index credit_notes_order_idx on app.credit_notes (order_id);
create index credit_notes_created_idx on app.credit_notes (created_at);
create index credit_notes_partner_idx on app.credit_notes (partner_id, created_at);
comment on table app.credit_notes is
  'Goods that came back, one credit note for each return; append-only';
comment on column app.credit_notes.amount is 'IDR credited: the sum of its items';
comment on column app.credit_notes.points_returned is
  'Points that had paid for the returned goods and came back';
comment on column app.credit_notes.credit_note_number is '[pii: none]';
comment on column app.credit_notes.reason is '[pii: text]';

create table app.credit_note_items (
  id uuid primary key default app.uuid_v7(),
  credit_note_id uuid not null,
  order_item_id uuid not null
  constraint credit_note_items_order_item_id_fkey
  references app.order_items (id) on delete restrict,
  partner_id uuid not null,
  quantity app.quantity not null,
  amount app.amount not null,
  created_at timestamptz not null default now(),
  constraint credit_note_items_credit_note_id_fkey foreign key (credit_note_id, partner_id)
  references app.credit_notes (id, partner_id) on delete restrict,
  constraint credit_note_items_item_key unique (credit_note_id, order_item_id)
);
create index credit_note_items_item_idx on app.credit_note_items (order_item_id);
create index credit_note_items_partner_idx
on app.credit_note_items (partner_id, created_at);
comment on table app.credit_note_items is 'The returned units of each line; append-only';
comment on column app.credit_note_items.quantity is 'Units returned';
comment on column app.credit_note_items.amount is
  'IDR: unit_price of the units, less their share of the point discount';

create table app.invoice_credits (
  id uuid primary key default app.uuid_v7(),
  invoice_id uuid not null,
  credit_note_id uuid not null,
  partner_id uuid not null,
  amount numeric(15, 2) not null constraint invoice_credits_amount_check check (amount > 0),
  created_at timestamptz not null default now(),
  constraint invoice_credits_invoice_id_fkey foreign key (invoice_id, partner_id)
  references app.invoices (id, partner_id) on delete restrict,
  constraint invoice_credits_credit_note_id_fkey foreign key (credit_note_id, partner_id)
  references app.credit_notes (id, partner_id) on delete restrict
);
create index invoice_credits_invoice_idx on app.invoice_credits (invoice_id);
create index invoice_credits_note_idx on app.invoice_credits (credit_note_id);
create index invoice_credits_partner_idx on app.invoice_credits (partner_id, created_at);
comment on table app.invoice_credits is
  'Which invoices a credit note lowers, and by how much. The part of a cancelled invoice is free '
  'again and goes to the next invoice of the order; append-only';
comment on column app.invoice_credits.amount is 'IDR credited to the invoice';
