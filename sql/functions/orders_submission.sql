-- Quotes, drafts and submissions of orders.

-- One statement, so that an order's promise, point discount and pinned rules come from the same
-- configs, even while headquarters changes them.
create function app.submission_rules(p_tier app.tier_enum) returns jsonb language sql stable
as $$
  select app.config_snapshot(array[
    'loyalty.multiplier.' || lower(p_tier::text), 'loyalty.rupiah_per_point',
    'loyalty.point_value_rupiah', 'order.minimum_threshold', 'credit.over_limit_policy'
  ])
$$;
comment on function app.submission_rules(app.tier_enum) is
  'The current configs that decide an order of this tier, as orders.rules_applied pins them';

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
  'The order that this key submitted, null for a new key; raises IDEMPOTENCY_CONFLICT if the '
  'body differed';

create function app.insert_lines(p_order_id uuid, p_partner_id uuid, p_lines app.priced_lines)
returns void language plpgsql volatile
as $$
begin
  insert into app.order_items (
    order_id, partner_id, product_id, quantity, list_price, unit_price, line_total
  )
  select
    p_order_id, p_partner_id, l.product_id, l.quantity, l.list_price, l.unit_price,
    l.quantity * l.unit_price
  from unnest(p_lines.product_ids, p_lines.quantities, p_lines.list_prices, p_lines.unit_prices)
    as l (product_id, quantity, list_price, unit_price);
end $$;
comment on function app.insert_lines(uuid, uuid, app.priced_lines) is
  'Inserts priced lines of an order, in product order';

create function app.submit_order(p_items jsonb, p_points int, p_notes text, p_idempotency_key text)
returns uuid language plpgsql volatile
as $$
declare
  v_key text := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_hash bytea := app.request_hash(
    jsonb_build_array('submit_order', p_items, coalesce(p_points, 0), p_notes));
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
    v_discount := app.point_discount(
      p_points, v_partner.point_balance, v_lines.line_total, v_rules);
  end if;
  insert into app.orders (
    partner_id, agent_id, submission_type, status, subtotal, discount_amount,
    point_discount, grand_total, points_used,
    notes, idempotency_key, request_hash, rules_applied
  ) values (
    v_partner.id, v_agent_id,
    case when v_agent_id is null then 'SELF' else 'AGENT_ASSISTED' end::app.submission_type_enum,
    'SUBMITTED', v_lines.subtotal, v_lines.subtotal - v_lines.line_total,
    v_discount, v_lines.line_total - v_discount, coalesce(p_points, 0),
    v_notes, v_key, v_hash, v_rules
  ) returning id into v_order_id;
  perform app.insert_lines(v_order_id, v_partner.id, v_lines);
  return v_order_id;
end $$;
comment on function app.submit_order(jsonb, int, text, text) is
  'Creates and submits an order of the calling partner, idempotent by key; returns its id';

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
  insert into app.orders (
    partner_id, agent_id, submission_type, subtotal, discount_amount, grand_total, notes
  ) values (
    v_partner.id, v_agent_id,
    case when v_agent_id is null then 'SELF' else 'AGENT_ASSISTED' end::app.submission_type_enum,
    v_lines.subtotal, v_lines.subtotal - v_lines.line_total, v_lines.line_total, v_notes
  ) returning id into v_order_id;
  perform app.insert_lines(v_order_id, v_partner.id, v_lines);
  return v_order_id;
end $$;
comment on function app.save_draft(jsonb, text) is
  'Stores lines as a DRAFT of the calling partner at current prices, which change until '
  'submission; returns the order''s id';

create function app.submit_draft(p_order_id uuid, p_points int, p_idempotency_key text)
returns uuid language plpgsql volatile
as $$
declare
  v_key text := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_hash bytea := app.request_hash(
    jsonb_build_array('submit_draft', p_order_id, coalesce(p_points, 0)));
  v_partner app.partners := app.lock_calling_partner();
  v_agent_id uuid := app.acting_agent(v_partner.id);
  v_existing_id uuid := app.find_submission(v_partner.id, v_key, v_hash);
  v_order app.orders;
  v_lines app.priced_lines;
  v_discount numeric := 0;
  v_rules jsonb;
begin
  if v_existing_id is not null then
    return v_existing_id;
  end if;
  v_order := app.lock_order(p_order_id, v_partner.id);
  if v_order.status <> 'DRAFT' then
    perform app.fail('ILLEGAL_TRANSITION',
      format('%s: %s to SUBMITTED', v_order.order_number, v_order.status));
  end if;
  -- The prices at submission count, not those at the time of the draft.
  v_lines := app.price_lines((
    select jsonb_agg(jsonb_build_object('sku', p.sku, 'quantity', i.quantity))
    from app.order_items as i join app.products as p on p.id = i.product_id
    where i.order_id = v_order.id
  ), v_partner.tier, now());
  update app.order_items as i
  set
    list_price = l.list_price, unit_price = l.unit_price, line_total = i.quantity * l.unit_price
  from unnest(v_lines.product_ids, v_lines.list_prices, v_lines.unit_prices)
    as l (product_id, list_price, unit_price)
  where i.order_id = v_order.id and i.product_id = l.product_id;
  v_rules := app.submission_rules(v_partner.tier);
  if p_points <> 0 then
    v_discount := app.point_discount(
      p_points, v_partner.point_balance, v_lines.line_total, v_rules);
  end if;
  update app.orders as o set
    status = 'SUBMITTED', subtotal = v_lines.subtotal,
    discount_amount = v_lines.subtotal - v_lines.line_total, point_discount = v_discount,
    grand_total = v_lines.line_total - v_discount, points_used = coalesce(p_points, 0),
    agent_id = v_agent_id,
    submission_type = case
      when v_agent_id is null then 'SELF' else 'AGENT_ASSISTED'
    end::app.submission_type_enum,
    idempotency_key = v_key, request_hash = v_hash, rules_applied = v_rules
  where o.id = v_order.id;
  return v_order.id;
end $$;
comment on function app.submit_draft(uuid, int, text) is
  'Submits a DRAFT of the calling partner at current prices, idempotent by key; returns its id';

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
  v_excess numeric;
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
    v_discount := app.point_discount(
      p_points, v_partner.point_balance, v_lines.line_total, v_rules);
  end if;
  v_grand_total := v_lines.line_total - v_discount;
  v_excess := v_partner.credit_used + v_grand_total - v_partner.credit_limit;
  return json_build_object(
    'lines', (
      select json_agg(json_build_object(
        'sku', l.sku, 'name', l.name, 'quantity', l.quantity,
        'list_price', l.list_price, 'unit_price', l.unit_price,
        'line_total', l.quantity * l.unit_price,
        'in_stock', l.quantity <= l.display_stock, 'display_stock', l.display_stock
      ) order by l.sku)
      from unnest(
        v_lines.skus, v_lines.names, v_lines.quantities, v_lines.list_prices,
        v_lines.unit_prices, v_lines.display_stocks
      ) as l (sku, name, quantity, list_price, unit_price, display_stock)
    ),
    'subtotal', v_lines.subtotal,
    'discount_amount', v_lines.subtotal - v_lines.line_total,
    'point_discount', v_discount,
    'grand_total', v_grand_total,
    'points_used', coalesce(p_points, 0),
    'points_promised', app.promised_points(v_grand_total, v_partner.tier, v_rules),
    'credit_limit', v_partner.credit_limit,
    'credit_left', greatest(v_partner.credit_limit - v_partner.credit_used, 0),
    'is_over_limit', v_grand_total > 0 and v_excess > 0
  );
end $$;
comment on function app.quote_order(jsonb, int) is
  'What submit_order would cost and promise; writes nothing';
