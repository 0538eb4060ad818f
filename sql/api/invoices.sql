-- Invoices and payments.

create view api.invoices with (security_invoker = true) as
select
  i.id, i.order_id, i.partner_id, i.invoice_number, i.amount, i.amount_paid,
  i.amount - i.amount_paid as amount_due, i.status, i.due_date,
  case when i.status in ('UNPAID', 'PARTIAL') then app.days_overdue(i.due_date) else 0 end
    as days_overdue,
  i.paid_at, i.cancelled_at, i.cancel_reason, i.created_at, i.updated_at
from app.invoices as i;
comment on view api.invoices is 'Invoices; points of an order vest when its invoices are PAID';
comment on column api.invoices.amount_due is 'IDR: amount - amount_paid';
comment on column api.invoices.days_overdue is
  'Days (Jakarta) since the due date of an open invoice, else 0; overdue_invoices finds such fast';

create view api.invoice_payments with (security_invoker = true) as
select
  y.id, y.invoice_id, y.partner_id, y.amount, y.payment_method, y.reference_number, y.notes,
  y.paid_at, y.created_at
from app.invoice_payments as y;
comment on view api.invoice_payments is 'Payments received';

create function api.record_payment(
  invoice_id uuid, amount numeric, payment_method text default null,
  reference_number text default null, paid_at timestamptz default null, notes text default null
)
returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.record_payment(record_payment.invoice_id, record_payment.amount,
    record_payment.payment_method, record_payment.reference_number, record_payment.paid_at,
    record_payment.notes)
$$;
comment on function api.record_payment(uuid, numeric, text, text, timestamptz, text) is
$$Record a payment of an invoice, in full or in part
amount is IDR; paid_at is now unless given.
The same reference_number on the same invoice counts once; a repeat is answered with
"duplicate": true.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, INVOICE_CLOSED 409, PAYMENT_REFERENCE_REUSED 409,
PAYMENT_EXCEEDS_DUE 422.$$;

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
$$Cancel an invoice: nothing is due on it any more, and points that vested with it go back
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, INVOICE_CLOSED 409.$$;

grant select on api.invoices, api.invoice_payments to partner, agent, admin;
grant execute on function
  api.record_payment(uuid, numeric, text, text, timestamptz, text),
  api.cancel_invoice(uuid, text)
to admin;
