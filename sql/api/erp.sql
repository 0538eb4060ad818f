-- The exchange with the ERP.

create view api.erp_quarantine with (security_invoker = true) as
select a.stream, a.key, a.payload, a.reason, a.as_of, a.first_seen_at, a.last_seen_at, a.times from app.erp_quarantine as a;
comment on view api.erp_quarantine is $$What the ERP told and the hub could not take over
A level of an unknown SKU is applied when its product comes; the others leave the list when the ERP tells them in a form that can be taken over.$$;

create function api.erp_stream(stream text) returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_stream(erp_stream.stream) $$;
comment on function api.erp_stream(text) is $$Where to go on reading the ERP, and the moment from which on a reading counts
Returns {"stream", "cursor", "read_at", "updated_at", "interval_minutes"}. Ask before reading stock, and give read_at back with the levels. Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_apply_stock(
  levels jsonb, read_at timestamptz default null, stream text default 'stock', cursor jsonb default null, complete boolean default true
) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.erp_apply_stock(erp_apply_stock.levels, erp_apply_stock.read_at, erp_apply_stock.stream, erp_apply_stock.cursor,
    erp_apply_stock.complete)
$$;
comment on function api.erp_apply_stock(jsonb, timestamptz, text, jsonb, boolean) is $$Take over stock levels from the ERP; reservations stay, and so does what the ERP took over since read_at
levels is [{"sku": "...", "quantity": 12}, ...], at most 100000; read_at is a moment of the hub before the first level was read (erp_stream tells it); complete: these are the last levels of a run. cursor is stored with the levels. Returns {"applied": n, "outdated": n, "unknown_skus": [...], "out_of_range_skus": [...]}: outdated are those of which a later reading is here; unknown ones are set aside until their product comes. Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_apply_products(products jsonb, stream text default 'products', cursor jsonb default null) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_apply_products(erp_apply_products.products, erp_apply_products.stream, erp_apply_products.cursor) $$;
comment on function api.erp_apply_products(jsonb, text, jsonb) is $$Take over products from the ERP, inserting or updating by SKU
products is [{"sku", "name", "base_price", "retail_price", "description", "brand", "category", "is_active"}, ...], at most 10000. cursor is stored with them. Returns {"applied": n, "set_aside": [{"sku", "reason"}]}: the rows that changed, and those of which no product can be made. Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_pending_orders(max int default 100) returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_pending_orders(erp_pending_orders.max) $$;
comment on function api.erp_pending_orders(int) is 'List approved orders that the ERP has not acknowledged, oldest first, with lines and invoices';

create function api.erp_ack_order(order_id uuid, erp_reference text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_ack_order(erp_ack_order.order_id, erp_ack_order.erp_reference) $$;
comment on function api.erp_ack_order(uuid, text) is $$Say that the ERP has taken an order over; its stock figure counts the units from now on
Said twice with the same reference it changes nothing. One that was cancelled meanwhile is accepted, and stands in erp_pending_cancellations. Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409, ERP_REFERENCE_CONFLICT 409.$$;

create function api.erp_pending_cancellations(max int default 100) returns json
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_pending_cancellations(erp_pending_cancellations.max) $$;
comment on function api.erp_pending_cancellations(int) is $$List orders that died after approval and are to be undone in the ERP, oldest first
[{"order_id", "order_number", "erp_reference", "status", "reason", "closed_at"}, ...]. Where erp_reference is null the ERP may have it all the same, under order_number: look, and answer CANCELLED if it has not. Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_ack_cancellation(order_id uuid, outcome text, note text default null) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_ack_cancellation(erp_ack_cancellation.order_id, erp_ack_cancellation.outcome, erp_ack_cancellation.note) $$;
comment on function api.erp_ack_cancellation(uuid, text, text) is $$Say that the ERP has undone an order (CANCELLED), or cannot (REFUSED): then headquarters is told, once
The first answer stands. Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.erp_apply_payments(payments jsonb, stream text default 'payments', cursor jsonb default null) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_apply_payments(erp_apply_payments.payments, erp_apply_payments.stream, erp_apply_payments.cursor) $$;
comment on function api.erp_apply_payments(jsonb, text, jsonb) is $$Book payments that the ERP knows, answering each with APPLIED, DUPLICATE or the code of its refusal
payments is [{"invoice_number", "amount", "reference_number", "paid_at", "payment_method", "notes"}, ...], at most 1000. cursor is stored with them. Returns [{"invoice_number", "reference_number", "result", "details"}, ...]; what is refused is set aside. Errors: INVALID_ARGUMENT 400.$$;

create function api.erp_report(stream text, ok boolean, detail text default null) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.erp_report(erp_report.stream, erp_report.ok, erp_report.detail) $$;
comment on function api.erp_report(text, boolean, text) is $$Say that a run of a stream succeeded, or why it failed
Streams that are late or keep failing show in job_health, and headquarters is told once. Errors: INVALID_ARGUMENT 400.$$;

grant select on api.erp_quarantine to admin;
grant execute on function
  api.erp_stream(text),
  api.erp_apply_stock(jsonb, timestamptz, text, jsonb, boolean),
  api.erp_apply_products(jsonb, text, jsonb),
  api.erp_pending_orders(int),
  api.erp_ack_order(uuid, text),
  api.erp_pending_cancellations(int),
  api.erp_ack_cancellation(uuid, text, text),
  api.erp_apply_payments(jsonb, text, jsonb),
  api.erp_report(text, boolean, text)
to erp;
