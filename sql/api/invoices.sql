-- Invoices and payments, and what corrects them.

create view api.invoices with (security_invoker = true) as
select
  i.id, i.order_id, i.partner_id, i.invoice_number, i.amount, i.amount_paid, i.amount_credited,
  i.amount_written_off, i.amount_due, i.refund_due, i.status, i.due_date,
  case when i.status in ('UNPAID', 'PARTIAL') then app.days_overdue(i.due_date) else 0 end
    as days_overdue,
  i.paid_at, i.issue_reason, i.cancelled_at, i.cancel_reason, i.written_off_at, i.write_off_reason,
  i.created_at, i.updated_at
from app.invoices as i;
comment on view api.invoices is
$$Invoices, one or several of an order; points of an order vest when its invoices are PAID
Embed invoice_payments(*), invoice_credits(*, credit_notes(*)).
Agents of few partners list the newest by newest_invoices and the first due by
earliest_due_invoices, or name partners or an open status: here the invoices of others are
passed.$$;
comment on column api.invoices.amount_paid is 'IDR paid, less reversals and refunds';
comment on column api.invoices.amount_credited is 'IDR credited for returned goods';
comment on column api.invoices.amount_written_off is 'IDR given up by headquarters';
comment on column api.invoices.amount_due is
  'IDR: amount - amount_credited - amount_written_off - amount_paid, at least 0; 0 when CANCELLED';
comment on column api.invoices.refund_due is
  'IDR paid beyond what is billed; of a cancelled invoice all that was paid';
comment on column api.invoices.paid_at is
  'Date of the payment, credit or write-off that settled the invoice';
comment on column api.invoices.days_overdue is
  'Days (Jakarta) since the due date of an open invoice, else 0; overdue_invoices finds such fast';

create view api.invoice_payments with (security_invoker = true) as
select
  y.id, y.invoice_id, y.partner_id, y.kind, y.amount, y.payment_method, y.reference_number,
  case when current_setting('role', true) <> 'partner' or y.kind <> 'PAYMENT' then y.notes end
    as notes,
  y.reverses_payment_id, y.paid_at, y.created_at
from app.invoice_payments as y;
comment on view api.invoice_payments is
$$Payments received, with their reversals and the refunds
Agents of few partners list the newest by newest_payments, or name partners or invoices: here the
payments of others are passed.$$;
comment on column api.invoice_payments.kind is
  'PAYMENT; REVERSAL: takes back reverses_payment_id; REFUND: money paid back';
comment on column api.invoice_payments.amount is 'IDR; negative for reversals and refunds';
comment on column api.invoice_payments.reverses_payment_id is
  'The payment that a REVERSAL takes back';
comment on column api.invoice_payments.notes is
  'Reason of a reversal or a refund; of a payment the remark of headquarters, null for partners';

create view api.credit_notes with (security_invoker = true) as
select
  c.id, c.order_id, c.partner_id, c.credit_note_number, c.amount, c.points_returned, c.reason,
  c.created_at
from app.credit_notes as c;
comment on view api.credit_notes is
$$Returned goods, one credit note for each return
Embed credit_note_items(*, order_items(*)), invoice_credits(*).
Agents of few partners list the newest by newest_credit_notes, or name partners or orders: here the
credit notes of others are passed.$$;
comment on column api.credit_notes.credit_note_number is 'CN-YYMMDD-NNNNNN';
comment on column api.credit_notes.amount is 'IDR credited';
comment on column api.credit_notes.points_returned is
  'Points that had paid for the goods and came back';

create view api.credit_note_items with (security_invoker = true) as
select
  l.id, l.credit_note_id, l.order_item_id, l.partner_id, l.quantity, l.amount, l.created_at
from app.credit_note_items as l;
comment on view api.credit_note_items is 'Lines of credit notes: the returned units';
comment on column api.credit_note_items.amount is
  'IDR credited: the units at unit_price, less their share of the point discount';

create view api.invoice_credits with (security_invoker = true) as
select u.id, u.invoice_id, u.credit_note_id, u.partner_id, u.amount, u.created_at
from app.invoice_credits as u;
comment on view api.invoice_credits is 'Which invoices a credit note lowers';
comment on column api.invoice_credits.amount is 'IDR credited to the invoice';

create type api.paid_invoice as (
  id uuid,
  invoice_number text,
  amount numeric,
  amount_paid numeric,
  amount_due numeric,
  status app.invoice_status_enum
);
comment on type api.paid_invoice is 'The invoice of a recorded payment; amounts in IDR';

create type api.recorded_payment as (
  payment_id uuid,
  duplicate boolean,
  amount numeric,
  reference_number text,
  paid_at timestamptz,
  is_reversed boolean,
  invoice api.paid_invoice
);
comment on type api.recorded_payment is
  'What record_payment returns: the payment (IDR), whether it was recorded before, its invoice';

create function api.record_payment(
  invoice_id uuid, amount numeric, payment_method text default null,
  reference_number text default null, paid_at timestamptz default null, notes text default null,
  idempotency_key text default null
)
returns api.recorded_payment
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select json_populate_record(null::api.recorded_payment, app.record_payment(
    record_payment.invoice_id, record_payment.amount, record_payment.payment_method,
    record_payment.reference_number, record_payment.paid_at, record_payment.notes,
    record_payment.idempotency_key))
$$;
comment on function api.record_payment(uuid, numeric, text, text, timestamptz, text, text) is
$$Record a payment of an invoice, in full or in part
amount is IDR; paid_at is now unless given. reference_number or idempotency_key is required.
The same reference_number on the same invoice counts once, regardless of case and spaces, unless
its payment was reversed; a repeat, also of the key, is answered with "duplicate": true.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, INVOICE_CLOSED 409, PAYMENT_REFERENCE_REUSED 409,
IDEMPOTENCY_CONFLICT 409, PAYMENT_EXCEEDS_DUE 422.$$;

create function api.issue_invoice(
  order_id uuid, amount numeric, due_date timestamptz default null, reason text default null,
  idempotency_key text default null
)
returns api.invoices
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_invoice api.invoices;
begin
  v_id := app.issue_invoice(issue_invoice.order_id, issue_invoice.amount,
    issue_invoice.due_date, issue_invoice.reason, issue_invoice.idempotency_key);
  select * into strict v_invoice from api.invoices as i where i.id = v_id;
  return v_invoice;
end $$;
comment on function api.issue_invoice(uuid, numeric, timestamptz, text, text) is
$$Bill an approved order again or in parts, at most what is not billed
amount is IDR; due_date follows from the partner's days to pay unless given. reason and
idempotency_key are required: the same key with the same body returns the same invoice.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, NOT_BILLABLE 409, IDEMPOTENCY_CONFLICT 409,
INVOICE_EXCEEDS_ORDER 422.$$;

create function api.cancel_invoice(invoice_id uuid, reason text) returns api.invoices
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_invoice api.invoices;
begin
  perform app.cancel_invoice(cancel_invoice.invoice_id, cancel_invoice.reason);
  select * into strict v_invoice from api.invoices as i where i.id = cancel_invoice.invoice_id;
  return v_invoice;
end $$;
comment on function api.cancel_invoice(uuid, text) is
$$Cancel an invoice, also after shipping: the order is to be billed again by issue_invoice
Points that vested with it go back, and what was paid is due to the partner. A repeat with the
same reason returns the invoice.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, INVOICE_CLOSED 409.$$;

create function api.reverse_payment(payment_id uuid, reason text) returns api.invoice_payments
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_payment api.invoice_payments;
begin
  v_id := app.reverse_payment(reverse_payment.payment_id, reverse_payment.reason);
  select * into strict v_payment from api.invoice_payments as y where y.id = v_id;
  return v_payment;
end $$;
comment on function api.reverse_payment(uuid, text) is
$$Take back a payment that was recorded by mistake or did not arrive; returns the negative row
The true payment may use the same reference. A repeat with the same reason returns the same row.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, PAYMENT_REVERSED 409, PAYMENT_NOT_REVERSIBLE 409.$$;

create function api.record_refund(
  invoice_id uuid, amount numeric, reference_number text default null,
  reason text default null, idempotency_key text default null
)
returns api.invoice_payments
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_payment api.invoice_payments;
begin
  v_id := app.record_refund(record_refund.invoice_id, record_refund.amount,
    record_refund.reference_number, record_refund.reason, record_refund.idempotency_key);
  select * into strict v_payment from api.invoice_payments as y where y.id = v_id;
  return v_payment;
end $$;
comment on function api.record_refund(uuid, numeric, text, text, text) is
$$Record money paid back to the partner, at most refund_due of the invoice
amount is IDR, more than 0. reason is required, and reference_number or idempotency_key: a repeat
returns the same refund.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, PAYMENT_REFERENCE_REUSED 409,
IDEMPOTENCY_CONFLICT 409, REFUND_EXCEEDS_DUE 422.$$;

create function api.write_off(invoice_id uuid, reason text) returns api.invoices
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_invoice api.invoices;
begin
  perform app.write_off(write_off.invoice_id, write_off.reason);
  select * into strict v_invoice from api.invoices as i where i.id = write_off.invoice_id;
  return v_invoice;
end $$;
comment on function api.write_off(uuid, text) is
$$Give up all that is due on an invoice, such as a fee that the bank kept: the invoice is PAID
Once per invoice and at most invoice.write_off_max. A repeat with the same reason returns the
invoice.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, INVOICE_CLOSED 409, ALREADY_WRITTEN_OFF 409,
WRITE_OFF_TOO_LARGE 422.$$;

create function api.return_items(
  order_id uuid, items jsonb, reason text default null, idempotency_key text default null
)
returns api.credit_notes
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_note api.credit_notes;
begin
  v_id := app.return_items(return_items.order_id, return_items.items, return_items.reason,
    return_items.idempotency_key);
  select * into strict v_note from api.credit_notes as c where c.id = v_id;
  return v_note;
end $$;
comment on function api.return_items(uuid, jsonb, text, text) is
$$Take goods of a shipped order back: a credit note lowers its invoices, used points come back
items is [{"sku": "...", "quantity": 2}, ...], at most what was shipped and not returned.
reason and idempotency_key are required: the same key with the same body returns the same credit
note. Stock follows with the next level of the ERP.
Errors: INVALID_ITEMS 400, INVALID_ARGUMENT 400, NOT_FOUND 404, NOT_RETURNABLE 409,
IDEMPOTENCY_CONFLICT 409, UNKNOWN_SKU 422, TOO_MANY_LINES 422, RETURN_EXCEEDS_SHIPPED 422.$$;

grant select on
  api.invoices, api.invoice_payments, api.credit_notes, api.credit_note_items,
  api.invoice_credits
to partner, agent, admin;
grant execute on function
  api.record_payment(uuid, numeric, text, text, timestamptz, text, text),
  api.issue_invoice(uuid, numeric, timestamptz, text, text),
  api.cancel_invoice(uuid, text),
  api.reverse_payment(uuid, text),
  api.record_refund(uuid, numeric, text, text, text),
  api.write_off(uuid, text),
  api.return_items(uuid, jsonb, text, text)
to admin;
