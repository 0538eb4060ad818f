-- Quoting, drafting, submitting and moving orders: what the order RPCs call.

create function app.calling_partner_id()
returns uuid language plpgsql stable
as $$
declare
  v_id uuid := auth.current_user_id();
begin
  if auth.caller_role() <> 'partner' then
    perform app.fail('NOT_ALLOWED', 'Only partners order');
  elsif v_id is null then
    perform app.fail('UNAUTHENTICATED');
  end if;
  return v_id;
end $$;
comment on function app.calling_partner_id() is 'Id of the calling partner; raises NOT_ALLOWED or UNAUTHENTICATED for anyone else';

create function app.lock_calling_partner()
returns app.partners language plpgsql volatile
as $$
declare
  v_id uuid := app.calling_partner_id();
  v_partner app.partners;
begin
  select * into v_partner from app.partners as p
  where p.id = v_id and p.is_active and p.deleted_at is null
  for no key update;
  if not found then
    perform app.fail('ACCOUNT_INACTIVE');
  end if;
  return v_partner;
end $$;
comment on function app.lock_calling_partner() is
  'The calling partner, locked until the end of the transaction: his orders and redemptions take turns';

-- One lock order for everybody: the partner, then the order.
create function app.lock_order(p_order_id uuid, p_partner_id uuid default null)
returns app.orders language plpgsql volatile
as $$
declare
  v_order app.orders;
begin
  select * into v_order from app.orders as o
  where o.id = p_order_id and (p_partner_id is null or o.partner_id = p_partner_id);
  if not found then
    perform app.fail('NOT_FOUND', 'order');
  end if;
  perform from app.partners as p where p.id = v_order.partner_id for no key update;
  select * into strict v_order from app.orders as o where o.id = p_order_id for no key update;
  return v_order;
end $$;
comment on function app.lock_order(uuid, uuid) is 'The order, locked after its partner; raises NOT_FOUND, also for another partner''s order';

create function app.request_hash(p_request jsonb) returns bytea language sql stable
as $$ select sha256(convert_to(p_request::text, 'UTF8')) $$;
comment on function app.request_hash(jsonb) is 'SHA-256 of a request body in canonical form';

create function app.find_submission(p_partner_id uuid, p_key text, p_hash bytea)
returns uuid language plpgsql stable
as $$
declare
  v_order_id uuid;
  v_hash bytea;
begin
  select o.id, o.request_hash into v_order_id, v_hash
  from app.orders as o where o.partner_id = p_partner_id and o.idempotency_key = p_key;
  if v_hash <> p_hash then
    perform app.fail('IDEMPOTENCY_CONFLICT', left(p_key, 200));
  end if;
  return v_order_id;
end $$;
comment on function app.find_submission(uuid, text, bytea) is
  'The order that this key made, null for a fresh key; raises IDEMPOTENCY_CONFLICT when the body was another';

-- In shadow mode the session has to be open, also for a caller who did not come through the gateway's guard.
create function app.acting_agent(p_partner_id uuid)
returns uuid language plpgsql stable
as $$
declare
  v_agent_id uuid := auth.acting_agent_id();
begin
  if v_agent_id is not null and not exists (
    select from app.agent_sessions as s
    where s.id = auth.session_id() and s.agent_id = v_agent_id and s.impersonated_partner_id = p_partner_id
      and s.ended_at is null and s.expires_at > now() and auth.may_act_for(v_agent_id, p_partner_id)
  ) then
    perform app.fail('SESSION_CLOSED', 'shadow session');
  end if;
  return v_agent_id;
end $$;
comment on function app.acting_agent(uuid) is 'The agent in shadow mode, null without one; raises SESSION_CLOSED when his session has ended';

create function app.insert_lines(p_order_id uuid, p_partner_id uuid, p_lines app.priced_lines)
returns void language plpgsql volatile
as $$
begin
  insert into app.order_items (order_id, partner_id, product_id, quantity, list_price, unit_price, line_total)
  select p_order_id, p_partner_id, l.product_id, l.quantity, l.list_price, l.unit_price, l.quantity * l.unit_price
  from unnest(p_lines.product_ids, p_lines.quantities, p_lines.list_prices, p_lines.unit_prices)
    as l (product_id, quantity, list_price, unit_price);
end $$;
comment on function app.insert_lines(uuid, uuid, app.priced_lines) is 'Writes priced lines to an order, in product order';

create function app.submit_order(p_items jsonb, p_points int, p_notes text, p_idempotency_key text)
returns uuid language plpgsql volatile
as $$
declare
  v_key text := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_hash bytea := app.request_hash(jsonb_build_array('submit_order', p_items, coalesce(p_points, 0), p_notes));
  v_notes text := app.optional_text('notes', p_notes, 2000);
  v_partner app.partners := app.lock_calling_partner();
  v_agent_id uuid := app.acting_agent(v_partner.id);
  v_order_id uuid := app.find_submission(v_partner.id, v_key, v_hash);
  v_lines app.priced_lines;
  v_discount numeric := 0;
  v_rules jsonb;
begin
  if v_order_id is not null then
    return v_order_id;
  end if;
  v_lines := app.price_lines(p_items, v_partner.tier, now());
  v_rules := app.submission_rules(v_partner.tier);
  if p_points <> 0 then
    v_discount := app.point_discount(p_points, v_partner.point_balance, v_lines.line_total, v_rules);
  end if;
  insert into app.orders (
    partner_id, agent_id, submission_type, status, subtotal, discount_amount, point_discount, grand_total, points_used,
    notes, idempotency_key, request_hash, rules_applied
  ) values (
    v_partner.id, v_agent_id, case when v_agent_id is null then 'SELF' else 'AGENT_ASSISTED' end::app.submission_type_enum,
    'SUBMITTED', v_lines.subtotal, v_lines.subtotal - v_lines.line_total, v_discount, v_lines.line_total - v_discount,
    coalesce(p_points, 0), v_notes, v_key, v_hash, v_rules
  ) returning id into v_order_id;
  perform app.insert_lines(v_order_id, v_partner.id, v_lines);
  return v_order_id;
end $$;
comment on function app.submit_order(jsonb, int, text, text) is 'Makes and submits an order of the calling partner; idempotent by key';

create function app.save_draft(p_items jsonb, p_notes text)
returns uuid language plpgsql volatile
as $$
declare
  v_notes text := app.optional_text('notes', p_notes, 2000);
  v_partner app.partners := app.lock_calling_partner();
  v_agent_id uuid := app.acting_agent(v_partner.id);
  v_lines app.priced_lines := app.price_lines(p_items, v_partner.tier, now());
  v_order_id uuid;
begin
  insert into app.orders (partner_id, agent_id, submission_type, subtotal, discount_amount, grand_total, notes)
  values (
    v_partner.id, v_agent_id, case when v_agent_id is null then 'SELF' else 'AGENT_ASSISTED' end::app.submission_type_enum,
    v_lines.subtotal, v_lines.subtotal - v_lines.line_total, v_lines.line_total, v_notes
  ) returning id into v_order_id;
  perform app.insert_lines(v_order_id, v_partner.id, v_lines);
  return v_order_id;
end $$;
comment on function app.save_draft(jsonb, text) is 'Keeps lines as a DRAFT of the calling partner; prices are those of today and freeze only at submission';

create function app.submit_draft(p_order_id uuid, p_points int, p_idempotency_key text)
returns uuid language plpgsql volatile
as $$
declare
  v_key text := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_hash bytea := app.request_hash(jsonb_build_array('submit_draft', p_order_id, coalesce(p_points, 0)));
  v_partner app.partners := app.lock_calling_partner();
  v_agent_id uuid := app.acting_agent(v_partner.id);
  v_found uuid := app.find_submission(v_partner.id, v_key, v_hash);
  v_order app.orders;
  v_lines app.priced_lines;
  v_discount numeric := 0;
  v_rules jsonb;
begin
  if v_found is not null then
    return v_found;
  end if;
  v_order := app.lock_order(p_order_id, v_partner.id);
  if v_order.status <> 'DRAFT' then
    perform app.fail('ILLEGAL_TRANSITION', format('%s: %s to SUBMITTED', v_order.order_number, v_order.status));
  end if;
  -- The prices of the draft's day do not count: those of the moment of submission do.
  v_lines := app.price_lines((
    select jsonb_agg(jsonb_build_object('sku', p.sku, 'quantity', i.quantity))
    from app.order_items as i join app.products as p on p.id = i.product_id
    where i.order_id = v_order.id
  ), v_partner.tier, now());
  update app.order_items as i
  set list_price = l.list_price, unit_price = l.unit_price, line_total = i.quantity * l.unit_price
  from unnest(v_lines.product_ids, v_lines.list_prices, v_lines.unit_prices) as l (product_id, list_price, unit_price)
  where i.order_id = v_order.id and i.product_id = l.product_id;
  v_rules := app.submission_rules(v_partner.tier);
  if p_points <> 0 then
    v_discount := app.point_discount(p_points, v_partner.point_balance, v_lines.line_total, v_rules);
  end if;
  update app.orders as o set
    status = 'SUBMITTED', subtotal = v_lines.subtotal, discount_amount = v_lines.subtotal - v_lines.line_total,
    point_discount = v_discount, grand_total = v_lines.line_total - v_discount, points_used = coalesce(p_points, 0),
    agent_id = v_agent_id,
    submission_type = case when v_agent_id is null then 'SELF' else 'AGENT_ASSISTED' end::app.submission_type_enum,
    idempotency_key = v_key, request_hash = v_hash, rules_applied = v_rules
  where o.id = v_order.id;
  return v_order.id;
end $$;
comment on function app.submit_draft(uuid, int, text) is 'Submits a DRAFT of the calling partner at the prices of now; idempotent by key';

create function app.quote_order(p_items jsonb, p_points int)
returns json language plpgsql stable
as $$
declare
  v_id uuid := app.calling_partner_id();
  v_partner app.partners;
  v_lines app.priced_lines;
  v_discount numeric := 0;
  v_rules jsonb;
  v_grand_total numeric;
  v_over numeric;
begin
  select * into v_partner from app.partners as p
  where p.id = v_id and p.is_active and p.deleted_at is null;
  if not found then
    perform app.fail('ACCOUNT_INACTIVE');
  end if;
  perform app.acting_agent(v_id);
  v_lines := app.price_lines(p_items, v_partner.tier, now());
  v_rules := app.submission_rules(v_partner.tier);
  if p_points <> 0 then
    v_discount := app.point_discount(p_points, v_partner.point_balance, v_lines.line_total, v_rules);
  end if;
  v_grand_total := v_lines.line_total - v_discount;
  v_over := v_partner.credit_used + v_grand_total - v_partner.credit_limit;
  return json_build_object(
    'lines', (
      select json_agg(json_build_object(
        'sku', l.sku, 'name', l.name, 'quantity', l.quantity, 'list_price', l.list_price, 'unit_price', l.unit_price,
        'line_total', l.quantity * l.unit_price, 'in_stock', l.quantity <= l.display_stock, 'display_stock', l.display_stock
      ) order by l.sku)
      from unnest(v_lines.skus, v_lines.names, v_lines.quantities, v_lines.list_prices, v_lines.unit_prices,
        v_lines.display_stocks) as l (sku, name, quantity, list_price, unit_price, display_stock)
    ),
    'subtotal', v_lines.subtotal,
    'discount_amount', v_lines.subtotal - v_lines.line_total,
    'point_discount', v_discount,
    'grand_total', v_grand_total,
    'points_used', coalesce(p_points, 0),
    'points_promised', app.promised_points(v_grand_total, v_partner.tier, v_rules),
    'credit_limit', v_partner.credit_limit,
    'credit_left', greatest(v_partner.credit_limit - v_partner.credit_used, 0),
    'is_over_limit', v_grand_total > 0 and v_over > 0
  );
end $$;
comment on function app.quote_order(jsonb, int) is 'What submit_order would come to; writes nothing';

-- Every move of an order by a person: locks, sets the state; the triggers of app.orders judge and act.
create function app.move_order(
  p_order_id uuid, p_to app.order_status_enum, p_reason text default null, p_partner_id uuid default null
)
returns uuid language plpgsql volatile
as $$
declare
  v_order app.orders := app.lock_order(p_order_id, p_partner_id);
begin
  if v_order.status = p_to then
    perform app.fail('ILLEGAL_TRANSITION', format('%s is %s', v_order.order_number, v_order.status));
  end if;
  update app.orders as o set status = p_to, status_reason = coalesce(p_reason, o.status_reason) where o.id = p_order_id;
  return p_order_id;
end $$;
comment on function app.move_order(uuid, app.order_status_enum, text, uuid) is
  'Brings an order to a state; raises NOT_FOUND, ILLEGAL_TRANSITION';

-- Hands an open order to a sub-distributor, or with null to headquarters, and starts the clock anew.
create function app.assign_order(p_order_id uuid, p_subdist_id uuid, p_event text, p_note text)
returns void language plpgsql volatile
as $$
declare
  v_order app.orders;
  v_before uuid := (select o.routed_to_subdist_id from app.orders as o where o.id = p_order_id);
begin
  update app.orders as o set
    routed_to_subdist_id = p_subdist_id, routed_at = case when p_subdist_id is not null then now() end, last_response_at = null
  where o.id = p_order_id
  returning * into v_order;
  perform app.record_event(v_order, p_event, v_order.status, p_note);
  if v_before <> p_subdist_id or (v_before is not null and p_subdist_id is null) then
    perform app.withdraw_offer(p_order_id, v_before, 'dialihkan');
  end if;
  if p_subdist_id is not null then
    perform app.enqueue_message('order_routed', 'SUBDIST', p_subdist_id, p_order_id);
  else
    perform app.tell_headquarters('order_unrouted', p_order_id,
      jsonb_build_object('reason', 'tidak ada sub-distributor aktif di wilayahnya'));
  end if;
end $$;
comment on function app.assign_order(uuid, uuid, text, text) is
  'Routes an open order to this sub-distributor (null: to headquarters) with a fresh clock; tells the new and the old one';

create function app.release_order(p_order_id uuid, p_reason text)
returns uuid language plpgsql volatile
as $$
declare
  v_reason text := app.require_text('reason', p_reason, 500);
  v_order app.orders := app.lock_order(p_order_id);
begin
  if v_order.status <> 'SUBMITTED' or not v_order.is_over_limit or v_order.released_at is not null then
    perform app.fail('NOT_RELEASABLE', v_order.order_number);
  end if;
  update app.orders as o set released_at = now(), released_by = auth.current_agent_id(), release_reason = v_reason
  where o.id = p_order_id;
  perform app.assign_order(p_order_id, (
    select app.nearest_subdist(p.region_id) from app.partners as p where p.id = v_order.partner_id
  ), 'RELEASED', v_reason);
  return p_order_id;
end $$;
comment on function app.release_order(uuid, text) is 'Lets an over-limit order through and routes it; raises NOT_RELEASABLE';

create function app.reroute_order(p_order_id uuid, p_subdist_id uuid)
returns uuid language plpgsql volatile
as $$
declare
  v_order app.orders := app.lock_order(p_order_id);
  v_status app.subdist_status_enum;
begin
  if v_order.status not in ('SUBMITTED', 'PROCESSING') or (v_order.is_over_limit and v_order.released_at is null) then
    perform app.fail('NOT_ROUTABLE', v_order.order_number);
  end if;
  -- Not locked: a suspension under way waits for this order's partner. What slips through, the sweep hands over.
  select s.status into v_status from app.sub_distributors as s where s.id = p_subdist_id;
  if not found then
    perform app.fail('NOT_FOUND', 'sub-distributor');
  elsif v_status <> 'ACTIVE' then
    perform app.fail('SUBDIST_UNAVAILABLE');
  end if;
  perform app.assign_order(p_order_id, p_subdist_id, 'ROUTED', null);
  return p_order_id;
end $$;
comment on function app.reroute_order(uuid, uuid) is
  'Hands an open order to this sub-distributor and restarts the clock; raises NOT_ROUTABLE, NOT_FOUND, SUBDIST_UNAVAILABLE';

-- A suspended sub-distributor answers no more: his open orders go on to the next.
create function app.hand_over_orders(p_subdist_id uuid)
returns int language plpgsql volatile
as $$
declare
  v_id uuid;
  v_order app.orders;
  v_count int := 0;
begin
  for v_id in
    select o.id from app.orders as o
    where o.routed_to_subdist_id = p_subdist_id and o.status in ('SUBMITTED', 'PROCESSING') order by o.partner_id, o.id
  loop
    v_order := app.lock_order(v_id);
    if v_order.routed_to_subdist_id = p_subdist_id and v_order.status in ('SUBMITTED', 'PROCESSING') then
      perform app.assign_order(v_id, (
        select app.nearest_subdist(p.region_id) from app.partners as p where p.id = v_order.partner_id
      ), 'ROUTED', 'suspended');
      v_count := v_count + 1;
    end if;
  end loop;
  return v_count;
end $$;
comment on function app.hand_over_orders(uuid) is 'Routes the open orders of a sub-distributor anew; returns how many';

create function app.tg_sub_distributors__hand_over() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.hand_over_orders(new.id);
  return null;
end $$;
create trigger _200_hand_over after update on app.sub_distributors
for each row when (old.status = 'ACTIVE' and new.status = 'SUSPENDED') execute function app.tg_sub_distributors__hand_over();

create function app.respond_order(p_order_id uuid, p_subdist_id uuid, p_decision text, p_note text)
returns uuid language plpgsql volatile
as $$
declare
  v_note text := app.optional_text('note', p_note, 480); -- the history keeps it in 500, with the decision before it
  v_order app.orders;
  v_from app.order_status_enum;
begin
  if p_decision is null or p_decision not in ('ACCEPT', 'PROGRESS', 'DECLINE') then
    perform app.fail('INVALID_ARGUMENT', 'decision is ACCEPT, PROGRESS or DECLINE');
  end if;
  if not exists (select from app.sub_distributors as s where s.id = p_subdist_id and s.status = 'ACTIVE') then
    perform app.fail('ACCOUNT_INACTIVE');
  end if;
  select * into v_order from app.orders as o
  where o.id = p_order_id and o.routed_to_subdist_id = p_subdist_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'order');
  elsif v_order.status not in ('SUBMITTED', 'PROCESSING') then
    perform app.fail('ILLEGAL_TRANSITION', format('%s is %s', v_order.order_number, v_order.status));
  end if;
  v_from := v_order.status;
  if p_decision = 'DECLINE' then
    update app.orders as o set
      routed_to_subdist_id = null, routed_at = null, last_response_at = now()
    where o.id = p_order_id returning * into v_order;
    perform app.tell_headquarters('order_unrouted', p_order_id,
      jsonb_build_object('reason', 'ditolak sub-distributor' || coalesce(': ' || v_note, '')));
  else
    update app.orders as o set
      status = case p_decision when 'ACCEPT' then 'PROCESSING' else o.status::text end::app.order_status_enum,
      last_response_at = now()
    where o.id = p_order_id returning * into v_order;
  end if;
  perform app.record_event(v_order, 'RESPONSE', v_from, p_decision || coalesce(': ' || v_note, ''), p_subdist_id);
  return p_order_id;
end $$;
comment on function app.respond_order(uuid, uuid, text, text) is
  'The sub-distributor''s answer; restarts the clock. ACCEPT starts PROCESSING, DECLINE hands the order to headquarters';
