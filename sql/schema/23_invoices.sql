-- Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices and their payments.

create sequence app.invoice_number_seq maxvalue 999999 cycle;

create function app.next_invoice_number() returns varchar language sql volatile
as $$
  select 'INV-' || to_char(now() at time zone 'Asia/Jakarta', 'YYMMDD') || '-'
    || lpad(nextval('app.invoice_number_seq')::text, 6, '0')
$$;
comment on function app.next_invoice_number() is
  'Next invoice number, INV-YYMMDD-NNNNNN; numbers can have gaps';

create table app.invoices (
  id uuid primary key default app.uuid_v7(),
  order_id uuid not null,
  invoice_number varchar(30) not null
  default app.next_invoice_number() constraint invoices_invoice_number_key unique,
  amount numeric(15, 2) not null constraint invoices_amount_check check (amount >= 0),
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
  constraint invoices_order_id_fkey foreign key (order_id, partner_id)
  references app.orders (id, partner_id) on delete restrict,
  constraint invoices_id_partner_id_key unique (id, partner_id),
  constraint invoices_amount_paid_check check (amount_paid between 0 and amount),
  constraint invoices_status_check check (
    case status
      when 'UNPAID' then amount_paid = 0
      when 'PARTIAL' then amount_paid > 0 and amount_paid < amount
      when 'PAID' then amount_paid = amount
      else true
    end
  ),
  constraint invoices_paid_at_check check (status <> 'PAID' or paid_at is not null),
  constraint invoices_cancelled_check check ((status = 'CANCELLED') = (cancelled_at is not null))
);
create index idx_invoices_order on app.invoices (order_id);
create index idx_invoices_status on app.invoices (status);
create index idx_invoices_due on app.invoices (due_date);
create index idx_invoices_unpaid on app.invoices (due_date) where status in ('UNPAID', 'PARTIAL');
create index invoices_created_idx on app.invoices (created_at desc);
create index invoices_partner_idx on app.invoices (partner_id, created_at desc);
create index invoices_partner_unpaid_idx on app.invoices (partner_id, due_date)
where status in ('UNPAID', 'PARTIAL');
create index invoices_reminder_idx on app.invoices (coalesce(last_reminder_day, -1000), due_date)
where status in ('UNPAID', 'PARTIAL');
comment on table app.invoices is
  'What a partner owes for an order, issued on approval. amount_paid and status follow from '
  'invoice_payments';
comment on column app.invoices.amount is 'IDR billed';
comment on column app.invoices.amount_paid is 'IDR: sum of invoice_payments.amount';
comment on column app.invoices.due_date is 'Approval plus invoice.due_days.<tier> days';
comment on column app.invoices.paid_at is
  'When the invoice became PAID; its points vest from then on';
comment on column app.invoices.created_by is 'Admin who approved the order, null when a job did';
comment on column app.invoices.last_reminder_day is
  'Days from the due date (below 0: before it) of the last reminder; null: there was none';
comment on column app.invoices.partner_id is
  'The order''s partner, repeated for row security and distribution by partner';

create table app.invoice_payments (
  id uuid primary key default app.uuid_v7(),
  invoice_id uuid not null,
  amount numeric(15, 2) not null constraint invoice_payments_amount_check check (amount > 0),
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
  constraint invoice_payments_invoice_id_fkey foreign key (invoice_id, partner_id)
  references app.invoices (id, partner_id) on delete restrict,
  constraint invoice_payments_reference_key unique (invoice_id, reference_number)
);
create index invoice_payments_created_idx on app.invoice_payments (created_at desc);
create index invoice_payments_partner_idx on app.invoice_payments (partner_id, created_at desc);
comment on table app.invoice_payments is
  'Payments received for an invoice; append-only, never above what is due';
comment on column app.invoice_payments.amount is 'IDR received';
comment on column app.invoice_payments.payment_method is
  'Method of payment, such as transfer, cash or giro';
comment on column app.invoice_payments.reference_number is
  'Number of the proof of transfer; it counts once per invoice';
comment on column app.invoice_payments.recorded_by is
  'Admin who recorded the payment, null when the ERP did';
comment on column app.invoice_payments.paid_at is
  'When the money arrived, as stated by the recorder';
comment on column app.invoice_payments.partner_id is
  'The invoice''s partner, repeated for row security and distribution by partner';
