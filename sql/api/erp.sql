-- The exchange with the ERP.

create view api.erp_quarantine with (security_invoker = true) as
select
  a.stream || ':' || a.key as id, a.stream, a.key, a.payload, a.reason, a.as_of, a.first_seen_at,
  a.last_seen_at, a.times
from app.erp_quarantine as a;
comment on view api.erp_quarantine is
$$Rows of the ERP that the hub could not import, each with its reason
The stock level of an unknown SKU is applied when its product arrives.
Any other row leaves the list when the ERP sends it in a form that can be imported.$$;

create function api.erp_stream(stream text) returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_stream(erp_stream.stream) $$;
comment on function api.erp_stream(text) is
$$Return the stored cursor of a stream and the current time
Returns {"stream", "cursor", "read_at", "updated_at", "interval_minutes", "erp_kind"}; an adapter of
another ERP than erp_kind stops.
Call it before reading stock in the ERP, and pass read_at to erp_apply_stock with the levels.
Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_apply_stock(
  levels jsonb, read_at timestamptz default null, stream text default 'stock',
  cursor jsonb default null, complete boolean default true
)
returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.erp_apply_stock(erp_apply_stock.levels, erp_apply_stock.read_at,
    erp_apply_stock.stream, erp_apply_stock.cursor, erp_apply_stock.complete)
$$;
comment on function api.erp_apply_stock(jsonb, timestamptz, text, jsonb, boolean) is
$$Import stock levels from the ERP, keeping reservations
levels is [{"sku": "...", "quantity": 12}, ...] in units, at most 100000 entries.
read_at is the time at which the first level was read, by the hub's clock: take it from erp_stream.
Units of orders that the ERP has acknowledged since read_at are subtracted from the levels.
cursor is stored in the same transaction. complete: this is the last part of a run.
Returns {"applied": n, "outdated": n, "unknown_skus": [...], "out_of_range_skus": [...]}.
Outdated levels are skipped, because a later reading is already stored; levels of unknown SKUs are
quarantined until their product arrives.
Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_apply_products(
  products jsonb, stream text default 'products', cursor jsonb default null
)
returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.erp_apply_products(erp_apply_products.products, erp_apply_products.stream,
    erp_apply_products.cursor)
$$;
comment on function api.erp_apply_products(jsonb, text, jsonb) is
$$Import products from the ERP, inserting or updating by SKU
products is [{"sku", "name", "base_price", "retail_price", "description", "brand", "category",
"is_active", "is_free", "set_aside"}, ...], at most 10000 entries; prices are IDR a unit.
A row with set_aside is quarantined, and its text is the reason: the ERP itself is not sure of it.
A base_price of 0 is quarantined unless is_free states that it is intended.
cursor is stored in the same transaction.
Returns {"applied": n, "set_aside": [{"sku", "reason"}]}: the number of changed products, and the
rows that were quarantined because they are not valid products.
Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_pending_orders(max int default 100) returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_pending_orders(erp_pending_orders.max) $$;
comment on function api.erp_pending_orders(int) is
$$List approved orders that the ERP has not acknowledged, oldest first, with lines and invoices
max is 1 to 1000.
Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_ack_order(order_id uuid, erp_reference text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_ack_order(erp_ack_order.order_id, erp_ack_order.erp_reference) $$;
comment on function api.erp_ack_order(uuid, text) is
$$Acknowledge an order: the ERP has it, and its stock figure counts the units from now on
A repeat with the same reference changes nothing.
An order that was cancelled meanwhile is accepted and listed by erp_pending_cancellations.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409, ERP_REFERENCE_CONFLICT 409.$$;

create function api.erp_pending_cancellations(max int default 100) returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_pending_cancellations(erp_pending_cancellations.max) $$;
comment on function api.erp_pending_cancellations(int) is
$$List orders cancelled or rejected after approval that the ERP has to undo, oldest first
max is 1 to 1000. Returns [{"order_id", "order_number", "erp_reference", "status", "reason",
"closed_at"}, ...].
Where erp_reference is null the ERP may still have the order: search it by order_number, and answer
CANCELLED if the ERP does not have it.
Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_ack_cancellation(order_id uuid, outcome text, note text default null)
returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.erp_ack_cancellation(erp_ack_cancellation.order_id, erp_ack_cancellation.outcome,
    erp_ack_cancellation.note)
$$;
comment on function api.erp_ack_cancellation(uuid, text, text) is
$$Report that the ERP has undone an order (CANCELLED) or cannot undo it (REFUSED)
A refusal notifies headquarters once. The first outcome is final.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.erp_apply_payments(
  payments jsonb, stream text default 'payments', cursor jsonb default null,
  complete jsonb default null
)
returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.erp_apply_payments(erp_apply_payments.payments, erp_apply_payments.stream,
    erp_apply_payments.cursor, erp_apply_payments.complete)
$$;
comment on function api.erp_apply_payments(jsonb, text, jsonb, jsonb) is
$$Record payments from the ERP, answering each with APPLIED, DUPLICATE or an error code
payments is [{"invoice_number", "amount", "reference_number", "paid_at", "payment_method",
"notes"}, ...], at most 1000 entries; amounts are IDR.
complete is an array of invoice numbers: the rows are all payments that the ERP has for them, with a
negative amount where it reverses one.
cursor is stored in the same transaction.
Returns [{"invoice_number", "reference_number", "result", "details"}, ...].
Refused payments are quarantined. Payments that were taken back in the ERP, because it reverses them
or no longer lists them, are answered TAKEN_BACK; headquarters is notified of each once.
Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_report(
  stream text, ok boolean, detail text default null, notify boolean default false,
  remarks text default null
)
returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.erp_report(erp_report.stream, erp_report.ok, erp_report.detail, erp_report.notify,
    erp_report.remarks)
$$;
comment on function api.erp_report(text, boolean, text, boolean, text) is
$$Report that a run of a stream succeeded, or why it failed
notify: headquarters is notified of this failure at once, because someone has to correct the data.
remarks (at most 1000 characters) is what people should know of a run, such as skipped rows;
job_health shows the last until other remarks replace it.
Streams that are late or keep failing show in job_health; headquarters is notified once an outage.
Errors: INVALID_ARGUMENT 400.$$;

grant select on api.erp_quarantine to admin;
grant execute on function
  api.erp_stream(text),
  api.erp_apply_stock(jsonb, timestamptz, text, jsonb, boolean),
  api.erp_apply_products(jsonb, text, jsonb),
  api.erp_pending_orders(int),
  api.erp_ack_order(uuid, text),
  api.erp_pending_cancellations(int),
  api.erp_ack_cancellation(uuid, text, text),
  api.erp_apply_payments(jsonb, text, jsonb, jsonb),
  api.erp_report(text, boolean, text, boolean, text)
to erp;
