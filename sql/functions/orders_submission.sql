-- Quotes, drafts and submissions of orders.

create function app.text_hash(p_text text) returns bytea language sql stable
as $$ select sha256(convert_to(p_text, 'UTF8')) $$;
comment on function app.text_hash(text) is 'SHA-256 of a text';

create function app.request_hash(p_request jsonb) returns bytea language sql stable
as $$ select app.text_hash(p_request::text) $$;
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

-- The half that quotes, drafts and submissions share: it reads, and changes nothing.
create function app.price_order(p_items jsonb, p_points int, p_partner app.partner_account)
returns app.priced_order language plpgsql stable
as $$
declare
  v_rules app.order_rules;
  v_lines app.priced_lines;
  v_point_discount numeric := 0;
  v_grand_total numeric;
begin
  -- One row, so that the promise, the point discount and the pinned rules come from the same
  -- configs, even while headquarters changes them.
  select * into strict v_rules from app.order_rules as r where r.tier = p_partner.tier;
  v_lines := app.price_lines(p_items, p_partner.tier, v_rules.max_lines);
  if p_points <> 0 then
    v_point_discount := app.point_discount(
      p_points, p_partner.point_balance, v_lines.line_total, v_rules.point_value_rupiah);
  end if;
  v_grand_total := v_lines.line_total - v_point_discount;
  return row(
    v_lines.product_ids, v_lines.quantities, v_lines.list_prices, v_lines.unit_prices,
    v_lines.subtotal, v_lines.subtotal - v_lines.line_total, v_point_discount, v_grand_total,
    v_grand_total >= v_rules.minimum_threshold,
    -- Multiplies before it divides: 500,000 / 15,000 x 1.2 are 40 points, not 39.999...
    case
      when v_grand_total >= v_rules.minimum_threshold then least(floor(
        v_grand_total * v_rules.point_multiplier / v_rules.rupiah_per_point), app.max_points())
      else 0
    end,
    v_rules.over_limit_policy, v_rules.max_overdue_days, v_rules.due_days, v_rules.snapshot
  )::app.priced_order;
end $$;
comment on function app.price_order(jsonb, int, app.partner_account) is
  'What an order costs and promises now, with the rules that decide it; raises the errors of '
  'price_lines and point_discount';

-- A line's id is that of its order with the line's number in the last two bytes: still a UUIDv7,
-- without a random number for each line.
create function app.insert_lines(
  p_order_id uuid, p_partner_id uuid, p_lines app.priced_order
)
returns void language plpgsql volatile
as $$
begin
  insert into app.order_items (
    id, order_id, partner_id, product_id, quantity, list_price, unit_price, line_total
  )
  select
    encode(overlay(uuid_send(p_order_id) placing int2send(l.number::int2) from 15), 'hex')::uuid,
    p_order_id, p_partner_id, l.product_id, l.quantity, l.list_price, l.unit_price,
    l.quantity * l.unit_price
  from unnest(p_lines.product_ids, p_lines.quantities, p_lines.list_prices, p_lines.unit_prices)
    with ordinality as l (product_id, quantity, list_price, unit_price, number);
end $$;
comment on function app.insert_lines(uuid, uuid, app.priced_order) is
  'Inserts priced lines of an order, in product order';

create function app.submission_type(p_agent_id uuid)
returns app.submission_type_enum language sql immutable
as $$
  select case
    when p_agent_id is null then 'SELF'::app.submission_type_enum
    else 'AGENT_ASSISTED'::app.submission_type_enum
  end
$$;
comment on function app.submission_type(uuid) is
  'AGENT_ASSISTED for orders that an agent places in shadow mode';

create function app.reprice_lines(p_order_id uuid, p_lines app.priced_order)
returns void language plpgsql volatile
as $$
begin
  update app.order_items as i
  set
    list_price = l.list_price, unit_price = l.unit_price, line_total = i.quantity * l.unit_price
  from unnest(p_lines.product_ids, p_lines.list_prices, p_lines.unit_prices)
    as l (product_id, list_price, unit_price)
  where i.order_id = p_order_id and i.product_id = l.product_id
    and (i.list_price, i.unit_price) is distinct from (l.list_price, l.unit_price);
end $$;
comment on function app.reprice_lines(uuid, app.priced_order) is
  'Writes the prices of a draft''s lines that have changed since it was saved';

create function app.notify_unserved(
  p_order_id uuid, p_over_limit_reason app.over_limit_reason
)
returns void language plpgsql volatile
as $$
begin
  if p_over_limit_reason is not null then
    perform app.notify_headquarters('order_over_limit', p_order_id, jsonb_build_object(
      'reason', case p_over_limit_reason
        when 'OVERDUE' then 'ada tagihan yang terlalu lama lewat jatuh tempo'
        else 'plafon kredit terlampaui'
      end));
  else
    perform app.notify_unrouted(p_order_id);
  end if;
end $$;
comment on function app.notify_unserved(uuid, app.over_limit_reason) is
  'Notifies headquarters of a submitted order that was routed to no sub-distributor, and why';

create function app.draft_items(p_order_id uuid) returns jsonb language plpgsql stable
as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('sku', p.sku, 'quantity', i.quantity))
    from app.order_items as i join app.products as p on p.id = i.product_id
    where i.order_id = p_order_id
  );
end $$;
comment on function app.draft_items(uuid) is 'The lines of an order in the form that calls take';

-- A draft (p_draft_id) or new lines (p_draft_id is null): nothing or DRAFT to SUBMITTED. The caller
-- has locked the partner and the draft, and knows that the key is new.
create function app.place_order(
  p_partner app.partner_account, p_draft_id uuid, p_items jsonb, p_points int, p_notes text,
  p_key text, p_hash bytea, p_expected_total numeric
)
returns uuid language plpgsql volatile
as $$
declare
  v_order_id uuid;
  v_order app.priced_order;
  v_over_limit_reason app.over_limit_reason;
  v_subdist_id uuid;
begin
  v_order := app.price_order(p_items, p_points, p_partner);
  if v_order.grand_total > p_expected_total then
    perform app.fail('PRICE_CHANGED', app.describe_quote(p_partner, v_order, p_points)::text);
  end if;
  v_over_limit_reason := app.check_credit(
    p_partner, v_order.grand_total, v_order.over_limit_policy, v_order.max_overdue_days);
  if v_over_limit_reason is null then
    v_subdist_id := app.nearest_subdist(p_partner.region_id);
  end if;

  if p_draft_id is null then
    insert into app.orders (
      partner_id, agent_id, submission_type, status, subtotal, discount_amount, point_discount,
      grand_total, points_earned, points_used, is_eligible_for_points, notes, is_over_limit,
      over_limit_reason, submitted_at, routed_to_subdist_id, routed_at, awaiting, awaiting_since,
      idempotency_key, request_hash, rules_applied, due_days
    ) values (
      p_partner.id, p_partner.acting_agent_id, app.submission_type(p_partner.acting_agent_id),
      'SUBMITTED', v_order.subtotal, v_order.discount_amount, v_order.point_discount,
      v_order.grand_total, v_order.points_promised, coalesce(p_points, 0),
      v_order.is_eligible_for_points, p_notes, v_over_limit_reason is not null,
      v_over_limit_reason, now(), v_subdist_id, case when v_subdist_id is not null then now() end,
      case when v_subdist_id is null then 'HEADQUARTERS'::app.awaiting_enum else 'SUBDIST' end,
      now(), p_key, p_hash, v_order.rules_applied, v_order.due_days
    ) returning id into v_order_id;
    perform app.insert_lines(v_order_id, p_partner.id, v_order);
  else
    -- The prices at submission count, not those at the time of the draft.
    perform app.reprice_lines(p_draft_id, v_order);
    update app.orders as o set
      agent_id = p_partner.acting_agent_id,
      submission_type = app.submission_type(p_partner.acting_agent_id),
      status = 'SUBMITTED', subtotal = v_order.subtotal,
      discount_amount = v_order.discount_amount, point_discount = v_order.point_discount,
      grand_total = v_order.grand_total, points_earned = v_order.points_promised,
      points_used = coalesce(p_points, 0), is_eligible_for_points = v_order.is_eligible_for_points,
      is_over_limit = v_over_limit_reason is not null, over_limit_reason = v_over_limit_reason,
      submitted_at = now(), routed_to_subdist_id = v_subdist_id,
      routed_at = case when v_subdist_id is not null then now() end,
      idempotency_key = p_key, request_hash = p_hash, rules_applied = v_order.rules_applied,
      due_days = v_order.due_days
    where o.id = p_draft_id
    returning o.id into strict v_order_id;
  end if;

  perform app.reserve_stock(v_order.product_ids, v_order.quantities);
  perform app.use_credit(p_partner.id, v_order.grand_total);
  if p_points > 0 then
    perform app.spend_points(p_partner.id, v_order_id, p_points);
  end if;
  perform app.record_event(
    v_order_id, p_partner.id, 'STATUS',
    case when p_draft_id is not null then 'DRAFT'::app.order_status_enum end, 'SUBMITTED', null,
    coalesce(p_partner.acting_agent_id, p_partner.id));
  if v_subdist_id is not null then
    perform app.enqueue_message('order_routed', 'SUBDIST', v_subdist_id, v_order_id);
  else
    perform app.notify_unserved(v_order_id, v_over_limit_reason);
  end if;
  if p_partner.acting_agent_id is not null then
    perform app.notify_impersonation('ORDER', p_partner.id, v_order_id);
  end if;
  return v_order_id;
end $$;
comment on function app.place_order(
  app.partner_account, uuid, jsonb, int, text, text, bytea, numeric
) is
  'Submits new lines or a draft: prices it, checks credit, routes it, reserves stock, uses credit '
  'and points, and sends its notifications; returns the order''s id. Raises PRICE_CHANGED if it '
  'costs more than expected';

create function app.check_expected_total(p_expected_total numeric) returns void
language plpgsql stable
as $$
begin
  -- NaN exceeds every number, so the upper bound refuses it.
  if p_expected_total < 0 or p_expected_total >= app.amount_limit()
    or p_expected_total <> round(p_expected_total, 2)
  then
    perform app.fail('INVALID_ARGUMENT',
      'expected_total is IDR, not negative, with at most two decimals');
  end if;
end $$;
comment on function app.check_expected_total(numeric) is
  'Raises INVALID_ARGUMENT unless an expected total (IDR) is an amount that an order can have, or '
  'null';

create function app.submit_order(
  p_items jsonb, p_points int, p_notes text, p_idempotency_key text, p_expected_total numeric
)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_notes text;
  v_hash bytea;
  v_partner app.partner_account;
  v_order_id uuid;
begin
  v_key := app.require_text('idempotency_key', p_idempotency_key, 200);
  if p_notes is not null then
    v_notes := app.optional_text('notes', p_notes, 2000);
  end if;
  if p_expected_total is not null then
    perform app.check_expected_total(p_expected_total);
  end if;
  -- The notes last, because they may contain anything; without notes differs from empty notes.
  v_hash := app.text_hash(
    concat('submit_order ', coalesce(p_points, 0), ' ', p_items, ' ' || p_notes));
  v_partner := app.lock_calling_partner();  -- orders of one partner run one after another
  v_order_id := app.find_submission(v_partner.id, v_key, v_hash);
  if v_order_id is null then
    v_order_id := app.place_order(
      v_partner, null, p_items, p_points, v_notes, v_key, v_hash, p_expected_total);
  end if;
  return v_order_id;
end $$;
comment on function app.submit_order(jsonb, int, text, text, numeric) is
  'Creates and submits an order of the calling partner, idempotent by key; returns its id';

create function app.submit_draft(
  p_order_id uuid, p_points int, p_idempotency_key text, p_expected_total numeric
)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_hash bytea;
  v_partner app.partner_account;
  v_order_id uuid;
  v_draft record;
begin
  v_key := app.require_text('idempotency_key', p_idempotency_key, 200);
  if p_expected_total is not null then
    perform app.check_expected_total(p_expected_total);
  end if;
  v_hash := app.request_hash(
    jsonb_build_array('submit_draft', p_order_id, coalesce(p_points, 0)));
  v_partner := app.lock_calling_partner();
  v_order_id := app.find_submission(v_partner.id, v_key, v_hash);
  if v_order_id is not null then
    return v_order_id;
  end if;
  perform app.lock_order(p_order_id, v_partner.id);
  select
    o.order_number, o.status,
    app.is_callable('submit_draft', o) as is_allowed
  into strict v_draft
  from app.orders as o where o.id = p_order_id;
  if not v_draft.is_allowed then
    perform app.refuse_transition(v_draft.order_number, v_draft.status, 'SUBMITTED');
  end if;
  return app.place_order(
    v_partner, p_order_id, app.draft_items(p_order_id), p_points, null, v_key, v_hash,
    p_expected_total);
end $$;
comment on function app.submit_draft(uuid, int, text, numeric) is
  'Submits a DRAFT of the calling partner at current prices, idempotent by key; returns its id';

create function app.save_draft(p_items jsonb, p_notes text)
returns uuid language plpgsql volatile
as $$
declare
  v_notes text;
  v_partner app.partner_account;
  v_order app.priced_order;
  v_order_id uuid;
begin
  v_notes := app.optional_text('notes', p_notes, 2000);
  v_partner := app.lock_calling_partner();
  v_order := app.price_order(p_items, 0, v_partner);

  insert into app.orders (
    partner_id, agent_id, submission_type, subtotal, discount_amount, grand_total, notes
  ) values (
    v_partner.id, v_partner.acting_agent_id, app.submission_type(v_partner.acting_agent_id),
    v_order.subtotal, v_order.discount_amount, v_order.grand_total, v_notes
  ) returning id into v_order_id;
  perform app.insert_lines(v_order_id, v_partner.id, v_order);

  perform app.record_event(v_order_id, v_partner.id, 'STATUS', null, 'DRAFT');
  if v_partner.acting_agent_id is not null then
    perform app.notify_impersonation('DRAFT', v_partner.id, v_order_id);
  end if;
  return v_order_id;
end $$;
comment on function app.save_draft(jsonb, text) is
  'Stores lines as a DRAFT of the calling partner at current prices, which change until '
  'submission; returns the order''s id';

create function app.update_draft(p_order_id uuid, p_items jsonb, p_notes text)
returns void language plpgsql volatile
as $$
declare
  v_notes text;
  v_partner app.partner_account;
  v_draft record;
  v_order app.priced_order;
begin
  v_notes := app.optional_text('notes', p_notes, 2000);
  v_partner := app.lock_calling_partner();
  perform app.lock_order(p_order_id, v_partner.id);
  select
    o.order_number, o.status,
    app.is_callable('update_draft', o) as is_allowed
  into strict v_draft
  from app.orders as o where o.id = p_order_id;
  if not v_draft.is_allowed then
    perform app.fail('ORDER_FROZEN', format('%s is %s', v_draft.order_number, v_draft.status));
  end if;
  v_order := app.price_order(p_items, 0, v_partner);

  delete from app.order_items as i
  where i.order_id = p_order_id and i.partner_id = v_partner.id;
  perform app.insert_lines(p_order_id, v_partner.id, v_order);
  update app.orders as o set
    agent_id = v_partner.acting_agent_id,
    submission_type = app.submission_type(v_partner.acting_agent_id),
    subtotal = v_order.subtotal, discount_amount = v_order.discount_amount,
    grand_total = v_order.grand_total, notes = v_notes
  where o.id = p_order_id;
  if v_partner.acting_agent_id is not null then
    perform app.notify_impersonation('DRAFT', v_partner.id, p_order_id);
  end if;
end $$;
comment on function app.update_draft(uuid, jsonb, text) is
  'Replaces the lines and notes of a DRAFT of the calling partner, at current prices. Raises '
  'INVALID_ARGUMENT, NOT_FOUND, ORDER_FROZEN and the errors of price_order';

create function app.describe_quote(
  p_partner app.partner_account, p_order app.priced_order, p_points int
)
returns json language plpgsql stable
as $$
declare
  v_over_limit_reason app.over_limit_reason;
begin
  v_over_limit_reason := app.over_limit_reason(
    p_partner, p_order.grand_total, p_order.max_overdue_days);
  return json_build_object(
    'lines', (
      select json_agg(json_build_object(
        'sku', p.sku, 'name', p.name, 'quantity', l.quantity,
        'list_price', l.list_price, 'unit_price', l.unit_price,
        'line_total', l.quantity * l.unit_price,
        'in_stock', l.quantity <= coalesce(s.display_stock, 0),
        'display_stock', coalesce(s.display_stock, 0)
      ) order by p.sku)
      from unnest(
        p_order.product_ids, p_order.quantities, p_order.list_prices, p_order.unit_prices
      ) as l (product_id, quantity, list_price, unit_price)
      join app.products as p on p.id = l.product_id
      left join app.inventory as s on s.product_id = l.product_id
    ),
    'subtotal', p_order.subtotal,
    'discount_amount', p_order.discount_amount,
    'point_discount', p_order.point_discount,
    'grand_total', p_order.grand_total,
    'points_used', coalesce(p_points, 0),
    'points_promised', p_order.points_promised,
    'due_days', p_order.due_days,
    'credit_limit', p_partner.credit_limit,
    'credit_left', greatest(p_partner.credit_limit - p_partner.credit_used, 0),
    'is_over_limit', v_over_limit_reason is not null,
    'over_limit_reason', v_over_limit_reason
  );
end $$;
comment on function app.describe_quote(app.partner_account, app.priced_order, int) is
  'A priced order as quote_order returns it';

create function app.quote_order(p_items jsonb, p_points int)
returns json language plpgsql stable
as $$
declare
  v_partner app.partner_account;
begin
  v_partner := app.calling_partner();
  return app.describe_quote(v_partner, app.price_order(p_items, p_points, v_partner), p_points);
end $$;
comment on function app.quote_order(jsonb, int) is
  'What submit_order would cost and promise; writes nothing';
