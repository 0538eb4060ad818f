-- Orders for the ERP, and cancellations of orders that the ERP has to undo.

create function app.erp_pending_orders(p_max int)
returns json language plpgsql stable
as $$
begin
  if p_max is null or p_max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max must be from 1 to 1000');
  end if;
  return (
    select coalesce(json_agg(w.document order by w.approved_at, w.id), '[]')
    from (
      select o.id, o.approved_at, json_build_object(
        'order_id', o.id, 'order_number', o.order_number, 'approved_at', o.approved_at,
        'partner_id', o.partner_id, 'business_name', p.business_name, 'email', p.email,
        'phone', p.phone, 'address', p.address, 'subtotal', o.subtotal,
        'discount_amount', o.discount_amount, 'point_discount', o.point_discount,
        'grand_total', o.grand_total,
        'items', (
          select json_agg(json_build_object(
            'sku', r.sku, 'quantity', i.quantity, 'unit_price', i.unit_price,
            'line_total', i.line_total) order by r.sku)
          from app.order_items as i join app.products as r on r.id = i.product_id
          where i.order_id = o.id
        ),
        'invoices', (
          select coalesce(json_agg(json_build_object(
            'invoice_number', v.invoice_number, 'amount', v.amount, 'due_date', v.due_date,
            'status', v.status, 'amount_credited', v.amount_credited) order by v.id), '[]')
          from app.invoices as v where v.order_id = o.id
        ),
        'credit_notes', (
          select coalesce(json_agg(json_build_object(
            'credit_note_number', c.credit_note_number, 'amount', c.amount,
            'created_at', c.created_at, 'items', (
              select json_agg(json_build_object(
                'sku', r.sku, 'quantity', l.quantity, 'amount', l.amount) order by r.sku)
              from app.credit_note_items as l
              join app.order_items as i on i.id = l.order_item_id
              join app.products as r on r.id = i.product_id
              where l.credit_note_id = c.id
            )) order by c.id), '[]')
          from app.credit_notes as c where c.order_id = o.id
        )
      ) as document
      from app.orders as o
      join app.partners as p on p.id = o.partner_id
      where o.status in ('APPROVED', 'SHIPPED', 'COMPLETED') and o.erp_reference is null
      order by o.approved_at, o.id
      limit p_max
    ) as w
  );
end $$;
comment on function app.erp_pending_orders(int) is
  'Approved orders that the ERP has not acknowledged, oldest first, with lines, invoices and '
  'credit notes';

-- From the acknowledgement on, the ERP's stock figure counts the order's units. Until the hub reads
-- that figure, it lowers its own copy by the units that it releases from the reservation, so the
-- stock shown does not change in between.
create function app.transfer_stock_to_erp(p_order_id uuid, p_reserved boolean)
returns void language plpgsql volatile
as $$
begin
  perform app.lock_inventory(array(
    select i.product_id from app.order_items as i where i.order_id = p_order_id
  ));
  update app.inventory as s set
    erp_stock = s.erp_stock - i.quantity,
    reserved = s.reserved - case when p_reserved then i.quantity else 0 end
  from app.order_items as i
  where i.order_id = p_order_id and s.product_id = i.product_id;
end $$;
comment on function app.transfer_stock_to_erp(uuid, boolean) is
  'Lowers the ERP''s stock by the units of an acknowledged order, and the reservation too if '
  'p_reserved';

-- The ERP may have an approved order that it has not acknowledged yet.
create function app.erp_cancel_order(p_order_id uuid, p_partner_id uuid)
returns void language plpgsql volatile
as $$
begin
  insert into app.erp_cancellations (order_id, partner_id) values (p_order_id, p_partner_id);
end $$;
comment on function app.erp_cancel_order(uuid, uuid) is
  'Queues the cancellation of an approved order for the ERP';

create function app.erp_ack_order(p_order_id uuid, p_erp_reference text)
returns json language plpgsql volatile
as $$
declare
  v_reference text;
  v_order record;
begin
  v_reference := app.require_text('erp_reference', p_erp_reference, 100);
  perform app.lock_order(p_order_id);
  select o.order_number, o.status, o.approved_at, o.erp_reference into strict v_order
  from app.orders as o where o.id = p_order_id;
  if v_order.erp_reference <> v_reference then
    perform app.fail('ERP_REFERENCE_CONFLICT', v_order.erp_reference);
  elsif v_order.erp_reference is null then
    -- An order cancelled after approval is accepted too: the ERP has it, and has to undo it.
    if v_order.approved_at is null then
      perform app.fail('ILLEGAL_TRANSITION',
        format('%s is %s', v_order.order_number, v_order.status));
    end if;

    update app.orders as o set erp_reference = v_reference, erp_acknowledged_at = now()
    where o.id = p_order_id;

    perform app.transfer_stock_to_erp(p_order_id, app.holds_stock(v_order.status, null));
    -- If the order was cancelled before the acknowledgement arrived, its cancellation is pending
    -- again: an earlier outcome was about an order that the ERP did not have yet.
    update app.erp_cancellations as c set outcome = null, note = null, settled_at = null
    where c.order_id = p_order_id and c.outcome is not null;
  end if;
  return json_build_object(
    'order_id', p_order_id, 'erp_reference', v_reference, 'status', v_order.status,
    'duplicate', v_order.erp_reference is not null);
end $$;
comment on function app.erp_ack_order(uuid, text) is
  'Records that the ERP has the order: its stock figure counts the units. For an order that was '
  'cancelled meanwhile, a cancellation is pending';

create function app.erp_pending_cancellations(p_max int)
returns json language plpgsql stable
as $$
begin
  if p_max is null or p_max not between 1 and 1000 then
    perform app.fail('INVALID_ARGUMENT', 'max must be from 1 to 1000');
  end if;
  return (
    select coalesce(json_agg(w.document order by w.created_at, w.order_id), '[]')
    from (
      select c.order_id, c.created_at, json_build_object(
        'order_id', o.id, 'order_number', o.order_number, 'erp_reference', o.erp_reference,
        'status', o.status, 'reason', o.status_reason, 'closed_at', o.closed_at) as document
      from app.erp_cancellations as c
      join app.orders as o on o.id = c.order_id
      where c.outcome is null
      order by c.created_at, c.order_id
      limit p_max
    ) as w
  );
end $$;
comment on function app.erp_pending_cancellations(int) is
  'Orders cancelled or rejected after approval that the ERP has not undone, oldest first; without '
  'a reference the ERP may not have the order';

create function app.erp_ack_cancellation(p_order_id uuid, p_outcome text, p_note text)
returns json language plpgsql volatile
as $$
declare
  v_note text;
  v_order record;
  v_cancellation app.erp_cancellations;
begin
  v_note := app.optional_text('note', p_note, 500);
  perform app.lock_order(p_order_id);
  select o.order_number, o.status into strict v_order from app.orders as o where o.id = p_order_id;
  if p_outcome is null or p_outcome not in ('CANCELLED', 'REFUSED') then
    perform app.fail('INVALID_ARGUMENT', 'outcome must be CANCELLED or REFUSED');
  end if;
  select * into v_cancellation from app.erp_cancellations as c where c.order_id = p_order_id;
  if not found then
    perform app.fail('ILLEGAL_TRANSITION',
      format('%s is %s', v_order.order_number, v_order.status));
  elsif v_cancellation.outcome is null then
    update app.erp_cancellations as c set outcome = p_outcome, note = v_note, settled_at = now()
    where c.order_id = p_order_id;
    if p_outcome = 'REFUSED' then
      perform app.notify_headquarters('erp_cancel_refused', p_order_id,
        jsonb_build_object('reason', coalesce(v_note, 'tanpa alasan')));
    end if;
  end if;
  return json_build_object(
    'order_id', p_order_id, 'outcome', coalesce(v_cancellation.outcome, p_outcome),
    'duplicate', v_cancellation.outcome is not null);
end $$;
comment on function app.erp_ack_cancellation(uuid, text, text) is
  'Records that the ERP has undone an order or refuses to, which notifies headquarters; the first '
  'outcome is final';
