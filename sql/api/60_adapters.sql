-- What agents, the ERP adapter and messengers call.

create function api.start_shadow_session(partner_id uuid) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.start_shadow_session(start_shadow_session.partner_id) $$;
comment on function api.start_shadow_session(uuid) is $$Act for a partner of one's region: returns a short-lived token with his rights
Orders made with it are AGENT_ASSISTED, audited under the agent's name, and the partner is told. Errors: NOT_ALLOWED 403, NOT_FOUND 404.$$;

create function api.end_shadow_session() returns int
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.end_shadow_session() $$;
comment on function api.end_shadow_session() is 'Close one''s open shadow sessions; their tokens are dead at once. Returns how many there were';

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

create function api.claim_messages(max int default 10, lease_seconds int default 60)
returns table (
  id uuid, template text, channel text, recipient_type text, recipient_name text, recipient text, body text, variables jsonb,
  buttons jsonb, order_id uuid, attempts int, lease_until timestamptz, template_body text, window_open boolean
)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select m.id, m.template, m.channel::text, m.recipient_type, m.recipient_name, m.recipient, m.body, m.variables, m.buttons, m.order_id,
    m.attempts, m.lease_until, m.template_body, m.window_open
  from app.claim_messages(claim_messages.max, claim_messages.lease_seconds) as m
$$;
comment on function api.claim_messages(int, int) is $$Lease due messages for sending: urgent ones first, each recipient's in their order
buttons is [{"title", "payload"}]; template_body is the text with the names of its variables; window_open says that the reader wrote within a day and WhatsApp takes a free-form message. What is not reported within lease_seconds is unknown, and waits for the provider's report before it is sent again. Errors: INVALID_ARGUMENT 400.$$;

create function api.message_sent(message_id uuid, provider_id text) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.message_sent(message_sent.message_id, message_sent.provider_id) $$;
comment on function api.message_sent(uuid, text) is 'Report that the provider accepted a message, under its own id. Errors: NOT_FOUND 404';

create function api.messages_sent(sent jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.messages_sent(messages_sent.sent) $$;
comment on function api.messages_sent(jsonb) is $$Report that the provider accepted these messages, a batch in one call
sent is [{"message_id", "provider_id"}, ...], at most 1000. Returns {"unknown_ids": [...]}. Errors: INVALID_ARGUMENT 400.$$;

create function api.message_failed(message_id uuid, error_code text, retry boolean) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.message_failed(message_failed.message_id, message_failed.error_code, message_failed.retry) $$;
comment on function api.message_failed(uuid, text, boolean) is 'Report that sending failed, and whether trying again makes sense. Errors: NOT_FOUND 404';

create function api.message_status(
  provider_id text, status text, at timestamptz default null, message_id uuid default null, error_code text default null
)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.message_status(message_status.provider_id, message_status.status, app.optional_moment('at', message_status.at),
    message_status.message_id, app.optional_text('error_code', message_status.error_code, 1000))
$$;
comment on function api.message_status(text, text, timestamptz, uuid, text) is $$Report what the provider says of a message: sent, delivered, read, failed
message_id, our own id as the provider gives it back, settles a message whose sending was never confirmed. Repeated and reordered reports do no harm. Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

create function api.process_inbox(max int default 100) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if process_inbox.max is null or process_inbox.max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max is from 1 to 1000');
  end if;
  return app.process_inbox(process_inbox.max);
end $$;
comment on function api.process_inbox(int) is $$Work on stored webhooks: taps answer orders, texts go to the region's agents, statuses to their messages
Returns how many there were. Errors: INVALID_ARGUMENT 400.$$;

create function api.inbound_message(payload jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.inbound_message(inbound_message.payload) $$;
comment on function api.inbound_message(jsonb) is 'Store what a provider sent, once. Errors: INVALID_ARGUMENT 400';

grant execute on function api.start_shadow_session(uuid), api.end_shadow_session() to agent, admin;
grant execute on function
  api.erp_stream(text), api.erp_apply_stock(jsonb, timestamptz, text, jsonb, boolean), api.erp_apply_products(jsonb, text, jsonb),
  api.erp_pending_orders(int), api.erp_ack_order(uuid, text), api.erp_pending_cancellations(int),
  api.erp_ack_cancellation(uuid, text, text), api.erp_apply_payments(jsonb, text, jsonb), api.erp_report(text, boolean, text)
to erp;
grant execute on function
  api.claim_messages(int, int), api.message_sent(uuid, text), api.messages_sent(jsonb), api.message_failed(uuid, text, boolean),
  api.message_status(text, text, timestamptz, uuid, text), api.inbound_message(jsonb), api.process_inbox(int)
to messenger;
