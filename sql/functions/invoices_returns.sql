-- Returns: goods that came back after shipping, their credit notes, and the invoices that these
-- lower. Stock is not changed: the ERP's next level counts the goods.

-- p_room: most that the invoice takes. Without a credit note, all of the order that are not used
-- up, oldest first; a credit of a cancelled invoice is free again.
create function app.credit_invoice(
  p_invoice_id uuid, p_room numeric, p_credit_note_id uuid default null
)
returns void language plpgsql volatile
as $$
declare
  v_before record;
  v_after record;
begin
  select i.order_id, i.partner_id, i.status, i.amount_due into strict v_before
  from app.invoices as i where i.id = p_invoice_id;

  insert into app.invoice_credits (invoice_id, credit_note_id, partner_id, amount)
  select p_invoice_id, n.id, v_before.partner_id, least(n.free, p_room - n.before)
  from (
    select
      f.id, f.free, sum(f.free) over (order by f.created_at, f.id) - f.free as before
    from (
      select
        c.id, c.created_at,
        c.amount - coalesce((
          select sum(u.amount)
          from app.invoice_credits as u join app.invoices as i on i.id = u.invoice_id
          where u.credit_note_id = c.id and i.status <> 'CANCELLED'
        ), 0) as free
      from app.credit_notes as c
      where c.order_id = v_before.order_id
        and (p_credit_note_id is null or c.id = p_credit_note_id)
    ) as f
  ) as n
  where n.free > 0 and n.before < p_room;
  if not found then
    return;
  end if;

  -- The triggers have added the credits to the invoice.
  select i.status, i.amount_due into strict v_after
  from app.invoices as i where i.id = p_invoice_id;
  perform app.use_credit(v_before.partner_id, v_after.amount_due - v_before.amount_due);
  if v_after.status = 'PAID' and v_before.status <> 'PAID' then
    perform app.enqueue_vesting(p_invoice_id);
    perform app.withdraw_invoice_reminders(p_invoice_id);
  end if;
end $$;
comment on function app.credit_invoice(uuid, numeric, uuid) is
  'Lowers an invoice by credit notes of its order, by at most p_room (IDR)';

create function app.tg_invoice_credits__derive_invoice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  -- Any update makes the trigger _200_derive_status add up the credits.
  update app.invoices as i set updated_at = now() where i.id = new.invoice_id;
  return null;
end $$;
create trigger _200_derive_invoice after insert on app.invoice_credits
for each row execute function app.tg_invoice_credits__derive_invoice();

-- SECURITY INVOKER, like the guard of orders.
create function app.tg_credit_notes__guard() returns trigger
language plpgsql
as $$
begin
  perform app.fail('NOT_ALLOWED', 'A return is recorded by a call, which also credits invoices',
    'Call api.return_items');
  return null;
end $$;
create trigger _050_guard_writer before insert on app.credit_notes
for each row when (current_user <> 'hub_owner') execute function app.tg_credit_notes__guard();
create trigger _050_guard_writer before insert on app.credit_note_items
for each row when (current_user <> 'hub_owner') execute function app.tg_credit_notes__guard();
create trigger _050_guard_writer before insert on app.invoice_credits
for each row when (current_user <> 'hub_owner') execute function app.tg_credit_notes__guard();

create function app.apply_credit_note(p_credit_note_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_order_id uuid;
  v_invoice record;
begin
  select c.order_id into strict v_order_id
  from app.credit_notes as c where c.id = p_credit_note_id;
  for v_invoice in
    select i.id, i.amount_due from app.invoices as i
    where i.order_id = v_order_id and i.status in ('UNPAID', 'PARTIAL')
    order by i.due_date, i.created_at, i.id
  loop
    perform app.credit_invoice(v_invoice.id, v_invoice.amount_due, p_credit_note_id);
  end loop;
  for v_invoice in
    select i.id, i.amount - i.amount_credited - i.amount_written_off as room
    from app.invoices as i
    where i.order_id = v_order_id and i.status <> 'CANCELLED'
    order by i.created_at desc, i.id desc
  loop
    perform app.credit_invoice(v_invoice.id, v_invoice.room, p_credit_note_id);
  end loop;
end $$;
comment on function app.apply_credit_note(uuid) is
  'Credits the order''s open invoices, earliest due first, then its paid ones, newest first. What '
  'no invoice takes waits for the next one';

-- What one call returns of an order, and what remains after it.
create function app.check_return(p_order_id uuid, p_items jsonb)
returns void language plpgsql stable
as $$
declare
  v_unknown text;
  v_excess text;
begin
  perform app.check_items(p_items);
  select
    string_agg(left(w.sku, 64), ', ' order by w.sku) filter (where l.id is null),
    string_agg(format('%s: %s', w.sku, l.quantity - l.returned), ', ' order by w.sku)
      filter (where w.quantity > l.quantity - l.returned)
  into v_unknown, v_excess
  from (
    select r.sku, sum(r.quantity) as quantity
    from jsonb_to_recordset(p_items) as r (sku text, quantity numeric) group by r.sku
  ) as w
  left join app.order_lines(p_order_id) as l on l.sku = w.sku;
  if v_unknown is not null then
    perform app.fail('UNKNOWN_SKU', left(v_unknown, 500),
      'Return products that the order contains');
  elsif v_excess is not null then
    perform app.fail('RETURN_EXCEEDS_SHIPPED', left(v_excess, 500));
  end if;
end $$;
comment on function app.check_return(uuid, jsonb) is
  'Raises INVALID_ITEMS, UNKNOWN_SKU or RETURN_EXCEEDS_SHIPPED unless these items of the order can '
  'still be returned';

create function app.order_lines(p_order_id uuid)
returns table (
  id uuid, sku varchar, quantity int, unit_price numeric, returned bigint
)
language plpgsql stable
as $$
begin
  return query
  select
    i.id, p.sku, i.quantity::int, i.unit_price::numeric,
    coalesce((
      select sum(c.quantity) from app.credit_note_items as c where c.order_item_id = i.id
    ), 0)
  from app.order_items as i join app.products as p on p.id = i.product_id
  where i.order_id = p_order_id;
end $$;
comment on function app.order_lines(uuid) is
  'The lines of an order with the units that were returned';

create function app.return_items(
  p_order_id uuid, p_items jsonb, p_reason text, p_idempotency_key text
)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_reason text;
  v_hash bytea;
  v_note_id uuid;
  v_order record;
  v_lines record;
  v_sum record;
begin
  v_key := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_reason := app.require_text('reason', p_reason, 500);
  v_hash := app.request_hash(jsonb_build_array('return_items', p_order_id, p_items, v_reason));
  v_note_id := app.find_result('return_items', v_key, v_hash);
  if v_note_id is not null then
    return v_note_id;
  end if;
  perform app.lock_order(p_order_id);
  perform from app.invoices as i where i.order_id = p_order_id order by i.id for no key update;
  select
    o.partner_id, o.order_number, o.status, o.grand_total, o.points_used,
    o.subtotal - o.discount_amount as value,
    app.is_callable('return_items', o) as is_allowed
  into strict v_order
  from app.orders as o where o.id = p_order_id;
  if not v_order.is_allowed then
    perform app.fail('NOT_RETURNABLE', format('%s is %s', v_order.order_number, v_order.status));
  end if;
  perform app.check_return(p_order_id, p_items);

  -- The point discount lowers all lines in proportion: value x grand_total / value of the order.
  select
    array_agg(r.id order by r.sku) as ids, array_agg(r.quantity order by r.sku) as quantities,
    array_agg(
      coalesce(div(r.value * 100 * v_order.grand_total, nullif(v_order.value, 0)) / 100, 0)
      order by r.sku) as amounts,
    sum(r.value) as value
  into strict v_lines
  from (
    select l.id, l.sku, w.quantity, w.quantity * l.unit_price as value
    from app.order_lines(p_order_id) as l
    join (
      select i.sku, sum(i.quantity)::int as quantity
      from jsonb_to_recordset(p_items) as i (sku text, quantity numeric) group by i.sku
    ) as w on w.sku = l.sku
  ) as r;
  v_sum := app.return_amounts(
    p_order_id, (select sum(q) from unnest(v_lines.quantities) as q (q)), v_lines.value,
    (select sum(a) from unnest(v_lines.amounts) as a (a)));
  -- The last line takes what rounding down has left.
  v_lines.amounts[cardinality(v_lines.amounts)] := v_sum.amount
    - (select coalesce(sum(a), 0) from unnest(trim_array(v_lines.amounts, 1)) as a (a));

  insert into app.credit_notes (
    order_id, partner_id, amount, points_returned, reason, created_by
  )
  values (
    p_order_id, v_order.partner_id, v_sum.amount, v_sum.points, v_reason, auth.current_agent_id()
  )
  returning id into v_note_id;
  insert into app.credit_note_items (
    credit_note_id, order_item_id, partner_id, quantity, amount
  )
  select v_note_id, l.id, v_order.partner_id, l.quantity, l.amount
  from unnest(v_lines.ids, v_lines.quantities, v_lines.amounts) as l (id, quantity, amount);

  perform app.apply_credit_note(v_note_id);
  perform app.return_points(v_note_id);
  perform app.store_result('return_items', v_key, v_hash, v_note_id);
  perform app.enqueue_message('credit_note_issued', 'PARTNER', c.partner_id, p_order_id,
    jsonb_build_object(
      'credit_note_number', c.credit_note_number, 'amount', app.format_rupiah(c.amount)))
  from app.credit_notes as c where c.id = v_note_id;
  perform app.notify_refund_due(u.invoice_id)
  from app.invoice_credits as u where u.credit_note_id = v_note_id;
  return v_note_id;
end $$;
comment on function app.return_items(uuid, jsonb, text, text) is
  'Takes goods of a shipped order back and credits them, idempotent by key; returns the credit '
  'note''s id. Raises INVALID_ARGUMENT, INVALID_ITEMS, NOT_FOUND, NOT_RETURNABLE, UNKNOWN_SKU, '
  'RETURN_EXCEEDS_SHIPPED, IDEMPOTENCY_CONFLICT';

-- p_amount is the credit of this return by its lines; the return after which nothing is left takes
-- what rounding has left, so that all credits add up to grand_total and all points come back.
create function app.return_amounts(
  p_order_id uuid, p_units bigint, p_value numeric, p_amount numeric,
  out amount numeric, out points int
)
language plpgsql stable
as $$
declare
  v_order record;
  v_before record;
  v_left bigint;
begin
  select o.grand_total, o.points_used, o.subtotal - o.discount_amount as value into strict v_order
  from app.orders as o where o.id = p_order_id;
  select coalesce(sum(c.amount), 0) as amount, coalesce(sum(c.points_returned), 0) as points
  into strict v_before
  from app.credit_notes as c where c.order_id = p_order_id;
  select sum(l.quantity - l.returned) - p_units into strict v_left
  from app.order_lines(p_order_id) as l;
  if v_left = 0 then
    amount := v_order.grand_total - v_before.amount;
    points := v_order.points_used - v_before.points;
  else
    amount := p_amount;
    points := coalesce(div(v_order.points_used * p_value, nullif(v_order.value, 0)), 0);
  end if;
end $$;
comment on function app.return_amounts(uuid, bigint, numeric, numeric) is
  'Credit (IDR) and used points of a return of so many units of this value (IDR)';

create trigger _100_append_only before update or delete on app.credit_notes
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.credit_notes
for each statement execute function app.tg_append_only();
create trigger _100_append_only before update or delete on app.credit_note_items
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.credit_note_items
for each statement execute function app.tg_append_only();
create trigger _100_append_only before update or delete on app.invoice_credits
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.invoice_credits
for each statement execute function app.tg_append_only();
