-- Orders: views, calls of partners and sub-distributors, and transitions by headquarters.

-- What a role may not see is NULL for it (D-4.roles-3): credit and points for sub-distributors, the
-- reason of a release for partners, too. The expression of auth.caller_role() is written out,
-- because the planner would inline the function once a column in each list.
create view api.orders with (security_invoker = true) as
select
  o.id, o.order_number, o.partner_id, o.agent_id, o.routed_to_subdist_id, o.status,
  o.submission_type, o.subtotal, o.discount_amount,
  case when current_setting('role', true) <> 'subdist' then o.point_discount end as point_discount,
  o.grand_total,
  case when current_setting('role', true) <> 'subdist' then o.points_earned end as points_earned,
  case when current_setting('role', true) <> 'subdist' then o.points_used end as points_used,
  case when current_setting('role', true) <> 'subdist' then o.is_eligible_for_points end
    as is_eligible_for_points,
  o.notes,
  case when current_setting('role', true) <> 'subdist' then o.is_over_limit end as is_over_limit,
  case when current_setting('role', true) <> 'subdist' then o.over_limit_reason end
    as over_limit_reason,
  o.submitted_at, o.routed_at, o.last_response_at, o.sla_reminder_sent, o.sla_escalated,
  o.approved_at, o.shipped_at, o.completed_at, o.closed_at, o.status_reason,
  case when current_setting('role', true) <> 'subdist' then o.released_at end as released_at,
  case
    when current_setting('role', true) not in ('partner', 'subdist') then o.release_reason
  end as release_reason,
  o.erp_reference,
  case when current_setting('role', true) <> 'subdist' then o.rules_applied end as rules_applied,
  case when current_setting('role', true) <> 'subdist' then o.due_days end as due_days,
  o.created_at, o.updated_at, o.awaiting, o.awaiting_since,
  app.allowed_actions(
    o.status, o.awaiting, o.is_over_limit and o.released_at is null, current_setting('role', true)
  ) as allowed_actions
from app.orders as o;
comment on view api.orders is
$$Orders: a partner's own, an agent's regions', those routed to a sub-distributor
Columns of credit and points are null for sub-distributors.
Embed order_items(*, products(sku, name)), invoices(*), order_events(*).
Agents of few partners list the newest by newest_orders: here the rows of others are passed.$$;
comment on column api.orders.order_number is 'ORD-YYMMDD-NNNNNN';
comment on column api.orders.subtotal is 'IDR before the quantity discount';
comment on column api.orders.discount_amount is 'IDR of quantity discounts';
comment on column api.orders.point_discount is 'IDR paid with points';
comment on column api.orders.grand_total is 'IDR: subtotal - discount_amount - point_discount';
comment on column api.orders.points_earned is
  'Points promised; they vest when the invoice is paid';
comment on column api.orders.is_over_limit is
  'Exceeds the partner''s credit limit; waits for headquarters unless released_at is set';
comment on column api.orders.over_limit_reason is
  'CREDIT_LIMIT or OVERDUE (credit.max_overdue_days): why it waits; null for sub-distributors';
comment on column api.orders.routed_to_subdist_id is
  'Sub-distributor who serves the order; null: headquarters';
comment on column api.orders.awaiting is
  'Who must act next: PARTNER (a draft), SUBDIST, HEADQUARTERS, or NONE';
comment on column api.orders.awaiting_since is
  'Since when: start of the service-level clock; null for PARTNER and NONE';
comment on column api.orders.allowed_actions is
  'Calls that the caller may make for it now, by the order and the role alone: submit_draft can '
  'still fail for want of stock, ship_order for want of an invoice';
comment on column api.orders.status_reason is 'Why it was cancelled or rejected';
comment on column api.orders.release_reason is
  'Why headquarters released it over the limit; null for partners and sub-distributors';
comment on column api.orders.rules_applied is
  'Configuration in force at submission, with its versions';
comment on column api.orders.due_days is
  'Days from billing to the due date, pinned at submission; null for drafts';

-- What api.orders shows a partner of their own order (no reason of a release), for the answers of
-- the calls that submit: the view tests the role thirteen times. A test compares the two.
create function app.own_order(p_order_id uuid) returns api.orders language plpgsql stable
as $$
begin
  return (
    select row(
      o.id, o.order_number, o.partner_id, o.agent_id, o.routed_to_subdist_id, o.status,
      o.submission_type, o.subtotal, o.discount_amount, o.point_discount, o.grand_total,
      o.points_earned, o.points_used, o.is_eligible_for_points, o.notes, o.is_over_limit,
      o.over_limit_reason, o.submitted_at, o.routed_at, o.last_response_at, o.sla_reminder_sent,
      o.sla_escalated, o.approved_at, o.shipped_at, o.completed_at, o.closed_at, o.status_reason,
      o.released_at, null, o.erp_reference, o.rules_applied, o.due_days, o.created_at, o.updated_at,
      o.awaiting, o.awaiting_since,
      app.allowed_actions(
        o.status, o.awaiting, o.is_over_limit and o.released_at is null, 'partner')
    )::api.orders
    from app.orders as o where o.id = p_order_id
  );
end $$;
comment on function app.own_order(uuid) is 'An order as api.orders shows it to its partner';

create view api.order_items with (security_invoker = true) as
select
  i.id, i.order_id, i.partner_id, i.product_id, i.quantity, i.list_price, i.unit_price,
  i.line_total, i.created_at,
  coalesce((
    select sum(c.quantity)::int from app.credit_note_items as c where c.order_item_id = i.id
  ), 0) as returned_quantity
from app.order_items as i;
comment on view api.order_items is
$$Lines of orders, one for each product
Agents and sub-distributors embed them into orders or newest_orders, or name the order.$$;
comment on column api.order_items.list_price is 'IDR a unit before the quantity discount';
comment on column api.order_items.unit_price is 'IDR a unit charged';
comment on column api.order_items.returned_quantity is 'Units that came back';

-- Notes are internal, except the reasons of a rejection or cancellation. Of a response, partners
-- and sub-distributors see the decision, which precedes the note. A release would reveal to a
-- sub-distributor that the order was over the partner's limit: for them it is a routing.
create view api.order_events with (security_invoker = true) as
select
  e.id, e.order_id, e.partner_id,
  case
    when current_setting('role', true) = 'subdist' and e.event = 'RELEASED' then 'ROUTED'
    else e.event
  end::app.order_event as event,
  e.from_status, e.to_status,
  case
    when e.event = 'STATUS' or current_setting('role', true) not in ('partner', 'subdist')
      then e.note
    when e.event = 'RESPONSE' then split_part(e.note, ':', 1)
  end as note,
  e.actor_role, e.created_at,
  case
    when e.actor_role in ('agent', 'admin', 'superadmin') then e.actor_id
    when e.actor_role = 'partner' then nullif(e.actor_id, e.partner_id)
  end as agent_id
from app.order_events as e;
comment on view api.order_events is
$$History of orders: status changes, responses, routing, releases
Partners and sub-distributors see no internal notes: of a response only the decision.
A release over the limit is ROUTED for sub-distributors.
Agents of few partners and sub-distributors list the newest by newest_order_events: in this view the
events of others are passed.$$;
comment on column api.order_events.note is
  'Reason of a change of status, decision and note of a response, reason of a release';

comment on column api.order_events.agent_id is
  'Agent or admin who did it, also for a partner in shadow mode; null: no one of the staff';

-- Relations that PostgREST finds by no foreign key: order_events?select=*,agents(full_name).
create function api.agents(api.order_events) returns setof api.agents
language sql stable rows 1
as $$ select a.* from api.agents as a where a.id = $1.agent_id $$;
comment on function api.agents(api.order_events) is 'The agent or admin of an event, to embed';

create function api.staff(api.order_events) returns setof api.staff
language sql stable rows 1
as $$ select s.* from api.staff as s where s.id = $1.agent_id $$;
comment on function api.staff(api.order_events) is
  'The name of an event''s agent or admin, to embed';

create view api.delivery_contacts with (security_invoker = true) as
select p.id, p.business_name, p.phone, p.address, p.region_id from app.partners as p;
comment on view api.delivery_contacts is
$$Delivery addresses: partners of the orders routed to the calling sub-distributor
Embed it into orders: orders?select=*,delivery_contacts(*).$$;

create type api.order_quote_line as (
  sku text,
  name text,
  quantity int,
  list_price numeric,
  unit_price numeric,
  line_total numeric,
  in_stock boolean,
  display_stock int
);
comment on type api.order_quote_line is
  'A line of a quote: prices in IDR a unit, whether the stock suffices, and units in stock';

create type api.order_quote as (
  lines api.order_quote_line[],
  subtotal numeric,
  discount_amount numeric,
  point_discount numeric,
  grand_total numeric,
  points_used int,
  points_promised int,
  due_days int,
  credit_limit numeric,
  credit_left numeric,
  is_over_limit boolean,
  over_limit_reason text
);
comment on type api.order_quote is
  'What quote_order returns: lines, totals and credit in IDR, points, days to pay';

create function api.quote_order(items jsonb, points int default 0) returns api.order_quote
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select json_populate_record(
    null::api.order_quote, app.quote_order(quote_order.items, quote_order.points))
$$;
comment on function api.quote_order(jsonb, int) is
$$Quote an order: lines, totals, credit left and points promised; writes nothing
items is [{"sku": "...", "quantity": 2}, ...], with no other keys; points is the number of points to
use. due_days is the number of days to pay after the order is billed.
Errors: INVALID_ITEMS 400, UNKNOWN_SKU 422, TOO_MANY_LINES 422, POINTS_INSUFFICIENT 422,
POINTS_EXCEED_TOTAL 422.$$;

create function api.save_draft(items jsonb, notes text default null) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_order api.orders;
begin
  v_id := app.save_draft(save_draft.items, save_draft.notes);
  select * into strict v_order from api.orders as o where o.id = v_id;
  return v_order;
end $$;
comment on function api.save_draft(jsonb, text) is
$$Save an order as a draft, without reserving stock or credit
items is as in quote_order.
Errors: INVALID_ITEMS 400, UNKNOWN_SKU 422, TOO_MANY_LINES 422.$$;

create function api.update_draft(order_id uuid, items jsonb, notes text default null)
returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.update_draft(update_draft.order_id, update_draft.items, update_draft.notes);
  select * into strict v_order from api.orders as o where o.id = update_draft.order_id;
  return v_order;
end $$;
comment on function api.update_draft(uuid, jsonb, text) is
$$Replace the lines and notes of a draft, at current prices
items and notes replace what is stored: a line is removed by leaving it out.
Errors: INVALID_ITEMS 400, INVALID_ARGUMENT 400, NOT_FOUND 404, ORDER_FROZEN 409, UNKNOWN_SKU 422,
TOO_MANY_LINES 422.$$;

create function api.submit_order(
  items jsonb, points int default 0, notes text default null, idempotency_key text default null,
  expected_total numeric default null
)
returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  v_id := app.submit_order(
    submit_order.items, submit_order.points, submit_order.notes, submit_order.idempotency_key,
    submit_order.expected_total);
  return app.own_order(v_id);
end $$;
comment on function api.submit_order(jsonb, int, text, text, numeric) is
$$Submit an order at current prices: reserve stock, use credit, route it to a sub-distributor
items is [{"sku": "...", "quantity": 2}, ...]; points is the number of points to use.
idempotency_key is required: the same key with the same body returns the same order.
expected_total is the grand_total (IDR) that the partner saw. A higher one is refused: details is
the new quote as JSON text, and the key stays free. A lower one is charged.
Errors: INVALID_ITEMS 400, INVALID_ARGUMENT 400, CREDIT_LIMIT_EXCEEDED 402, INVOICE_OVERDUE 402,
PRICE_CHANGED 409, OUT_OF_STOCK 409, IDEMPOTENCY_CONFLICT 409, UNKNOWN_SKU 422,
TOO_MANY_LINES 422, POINTS_INSUFFICIENT 422, POINTS_EXCEED_TOTAL 422.$$;

create function api.submit_draft(
  order_id uuid, points int default 0, idempotency_key text default null,
  expected_total numeric default null
)
returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  v_id := app.submit_draft(
    submit_draft.order_id, submit_draft.points, submit_draft.idempotency_key,
    submit_draft.expected_total);
  return app.own_order(v_id);
end $$;
comment on function api.submit_draft(uuid, int, text, numeric) is
$$Submit a draft at current prices
idempotency_key is required: the same key returns the same order. expected_total is as in
submit_order.
Errors: those of submit_order, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.cancel_order(order_id uuid, reason text default null) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.cancel_order(cancel_order.order_id, cancel_order.reason);
  select * into strict v_order from api.orders as o where o.id = cancel_order.order_id;
  return v_order;
end $$;
comment on function api.cancel_order(uuid, text) is
$$Cancel the caller's own order before it is shipped: release stock, credit and used points
Errors: NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.respond_order(order_id uuid, decision text, note text default null)
returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.respond_order(respond_order.order_id, auth.current_subdist_id(),
    respond_order.decision, respond_order.note);
  select * into strict v_order from api.orders as o where o.id = respond_order.order_id;
  return v_order;
end $$;
comment on function api.respond_order(uuid, text, text) is
$$Answer an order routed to the calling sub-distributor: their turn ends or their clock restarts
decision is ACCEPT (processing starts), PROGRESS (still in progress) or DECLINE (back to
headquarters). An APPROVED order takes PROGRESS and DECLINE.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.release_order(order_id uuid, reason text) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.release_order(release_order.order_id, release_order.reason);
  select * into strict v_order from api.orders as o where o.id = release_order.order_id;
  return v_order;
end $$;
comment on function api.release_order(uuid, text) is
$$Release an order over the credit limit, with a reason, and route it
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, NOT_RELEASABLE 409.$$;

create function api.approve_order(order_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.approve_order(approve_order.order_id);
  select * into strict v_order from api.orders as o where o.id = approve_order.order_id;
  return v_order;
end $$;
comment on function api.approve_order(uuid) is
$$Approve an order that awaits headquarters and issue its invoice
The order is PROCESSING and its present sub-distributor has answered, or it has none.
Errors: NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.reject_order(order_id uuid, reason text) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.reject_order(reject_order.order_id, reject_order.reason);
  select * into strict v_order from api.orders as o where o.id = reject_order.order_id;
  return v_order;
end $$;
comment on function api.reject_order(uuid, text) is
$$Reject an order before it is shipped, with a reason: release stock, credit and used points
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.reroute_order(order_id uuid, subdist_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.reroute_order(reroute_order.order_id, reroute_order.subdist_id);
  select * into strict v_order from api.orders as o where o.id = reroute_order.order_id;
  return v_order;
end $$;
comment on function api.reroute_order(uuid, uuid) is
$$Route an order that is not shipped to another sub-distributor; restarts the service-level clock
In PROCESSING the new sub-distributor answers before the order can be approved.
Errors: NOT_FOUND 404, NOT_ROUTABLE 409, SUBDIST_UNAVAILABLE 409.$$;

create function api.ship_order(order_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.ship_order(ship_order.order_id);
  select * into strict v_order from api.orders as o where o.id = ship_order.order_id;
  return v_order;
end $$;
comment on function api.ship_order(uuid) is
$$Mark an approved order as shipped, once it is billed in full
Headquarters marks any order, sub-distributors those routed to them.
Errors: NOT_FOUND 404, ILLEGAL_TRANSITION 409, NOT_BILLED 409.$$;

create function api.complete_order(order_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_order api.orders;
begin
  perform app.complete_order(complete_order.order_id);
  select * into strict v_order from api.orders as o where o.id = complete_order.order_id;
  return v_order;
end $$;
comment on function api.complete_order(uuid) is
$$Mark a shipped order as delivered and complete, while it is billed in full
Headquarters marks any order, sub-distributors those routed to them.
Errors: NOT_FOUND 404, ILLEGAL_TRANSITION 409, NOT_BILLED 409.$$;

grant select on api.orders, api.order_items, api.order_events to partner, agent, admin, subdist;
-- allowed_actions is evaluated as the caller.
grant execute on function
  app.allowed_actions(app.order_status_enum, app.awaiting_enum, boolean, text),
  app.order_allows(text, app.order_status_enum, app.awaiting_enum, boolean),
  app.is_legal_transition(app.order_status_enum, app.order_status_enum)
to partner, agent, admin, subdist;
grant select on api.delivery_contacts to subdist;
grant execute on function api.agents(api.order_events) to admin;
grant execute on function api.staff(api.order_events) to agent, admin;
grant execute on function
  api.quote_order(jsonb, int),
  api.save_draft(jsonb, text),
  api.update_draft(uuid, jsonb, text),
  api.submit_order(jsonb, int, text, text, numeric),
  api.submit_draft(uuid, int, text, numeric),
  api.cancel_order(uuid, text)
to partner;
grant execute on function
  api.respond_order(uuid, text, text),
  api.ship_order(uuid),
  api.complete_order(uuid)
to subdist;
grant execute on function
  api.release_order(uuid, text),
  api.approve_order(uuid),
  api.reject_order(uuid, text),
  api.reroute_order(uuid, uuid),
  api.ship_order(uuid),
  api.complete_order(uuid)
to admin;
