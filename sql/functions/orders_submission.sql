-- Quoting, drafting and submitting orders.

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
