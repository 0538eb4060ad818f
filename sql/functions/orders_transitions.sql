-- Transitions of a submitted order: approved, rejected or cancelled, shipped, completed.

create function app.approve_order(p_order_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_order record;
begin
  perform app.lock_order(p_order_id);
  select
    o.order_number, o.partner_id, o.status, o.grand_total, o.routed_to_subdist_id,
    app.is_callable('approve_order', o) as is_allowed
  into strict v_order
  from app.orders as o where o.id = p_order_id;
  if not v_order.is_allowed then
    perform app.refuse_transition(v_order.order_number, v_order.status, 'APPROVED');
  end if;

  update app.orders as o set status = 'APPROVED', approved_at = now() where o.id = p_order_id;

  perform app.record_event(
    p_order_id, v_order.partner_id, 'STATUS', v_order.status, 'APPROVED');
  if v_order.grand_total > 0 then  -- zero is billed in full
    perform app.bill_order(p_order_id, v_order.grand_total);
  end if;
  perform app.withdraw_reminders(p_order_id);
  perform app.notify_status(p_order_id, v_order.partner_id, 'APPROVED');
  if v_order.routed_to_subdist_id is not null then
    perform app.enqueue_message(
      'order_delivery_due', 'SUBDIST', v_order.routed_to_subdist_id, p_order_id);
  end if;
end $$;
comment on function app.approve_order(uuid) is
  'Approves an order that awaits headquarters, issues its invoice and asks the sub-distributor to '
  'deliver; raises NOT_FOUND, ILLEGAL_TRANSITION';

create function app.close_order(
  p_order_id uuid, p_to app.order_status_enum, p_reason text, p_partner_id uuid default null
)
returns void language plpgsql volatile
as $$
declare
  v_order record;
begin
  perform app.lock_order(p_order_id, p_partner_id);
  select
    o.order_number, o.partner_id, o.status, o.grand_total, o.erp_reference, o.routed_to_subdist_id
  into strict v_order
  from app.orders as o where o.id = p_order_id;
  if not app.is_legal_transition(v_order.status, p_to) then
    perform app.refuse_transition(v_order.order_number, v_order.status, p_to);
  end if;

  update app.orders as o
  set status = p_to, closed_at = now(), status_reason = coalesce(p_reason, o.status_reason)
  where o.id = p_order_id;

  perform app.record_event(
    p_order_id, v_order.partner_id, 'STATUS', v_order.status, p_to, p_reason);
  if v_order.status = 'DRAFT' then
    return;  -- a draft holds nothing, and no one was notified of it
  end if;
  perform app.use_credit(v_order.partner_id, -app.unbilled_amount(p_order_id));
  perform app.cancel_invoices(p_order_id, coalesce(p_reason, p_to::text));
  delete from app.unbilled_orders as u where u.order_id = p_order_id;
  perform app.take_back_points(p_order_id);
  perform app.return_spent_points(p_order_id);
  if app.holds_stock(v_order.status, v_order.erp_reference) then
    perform app.release_stock(p_order_id);
  end if;
  if v_order.status = 'APPROVED' then
    perform app.erp_cancel_order(p_order_id, v_order.partner_id);
  end if;
  if v_order.routed_to_subdist_id is not null then
    perform app.withdraw_offer(
      p_order_id, v_order.routed_to_subdist_id, app.status_text(p_to));
  end if;
  perform app.withdraw_reminders(p_order_id);
  perform app.notify_status(p_order_id, v_order.partner_id, p_to, p_reason);
end $$;
comment on function app.close_order(uuid, app.order_status_enum, text, uuid) is
  'Undoes an order before it is shipped: credit, invoices, points, stock, the copy in the ERP and '
  'the offer to the sub-distributor. Raises NOT_FOUND, ILLEGAL_TRANSITION';

create function app.reject_order(p_order_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
begin
  perform app.close_order(p_order_id, 'REJECTED', app.require_text('reason', p_reason, 500));
end $$;
comment on function app.reject_order(uuid, text) is
  'Rejects an order before it is shipped; raises INVALID_ARGUMENT, NOT_FOUND, ILLEGAL_TRANSITION';

create function app.cancel_order(p_order_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_partner app.partner_account;
begin
  v_partner := app.lock_calling_partner();
  perform app.close_order(
    p_order_id, 'CANCELLED', app.optional_text('reason', p_reason, 500), v_partner.id);
  if v_partner.acting_agent_id is not null then
    perform app.notify_impersonation('CANCELLATION', v_partner.id, p_order_id);
  end if;
end $$;
comment on function app.cancel_order(uuid, text) is
  'Cancels an order of the calling partner before it is shipped; raises INVALID_ARGUMENT, '
  'NOT_FOUND, ILLEGAL_TRANSITION';

-- Headquarters ships and completes every order, a sub-distributor those that are routed to them.
create function app.check_deliverer(p_order_id uuid)
returns void language plpgsql stable
as $$
begin
  if auth.caller_role() = 'subdist' and not exists (
    select from app.orders as o
    where o.id = p_order_id and o.routed_to_subdist_id = auth.current_subdist_id()
  ) then
    perform app.fail('NOT_FOUND', 'order');
  end if;
end $$;
comment on function app.check_deliverer(uuid) is
  'Raises NOT_FOUND if the caller is a sub-distributor to whom the order is not routed; the caller '
  'has locked the order';

create function app.ship_order(p_order_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_order record;
begin
  perform app.lock_order(p_order_id);
  perform app.check_deliverer(p_order_id);
  select
    o.order_number, o.partner_id, o.status,
    app.is_callable('ship_order', o) as is_allowed
  into strict v_order
  from app.orders as o where o.id = p_order_id;
  if not v_order.is_allowed then
    perform app.refuse_transition(v_order.order_number, v_order.status, 'SHIPPED');
  end if;
  perform app.require_billed(p_order_id);
  update app.orders as o set status = 'SHIPPED', shipped_at = now() where o.id = p_order_id;
  perform app.record_event(p_order_id, v_order.partner_id, 'STATUS', v_order.status, 'SHIPPED');
  perform app.issue_stock(p_order_id);
  perform app.withdraw_reminders(p_order_id);
  perform app.notify_status(p_order_id, v_order.partner_id, 'SHIPPED');
end $$;
comment on function app.ship_order(uuid) is
  'Marks an approved order as shipped, once it is billed in full; raises NOT_FOUND, '
  'ILLEGAL_TRANSITION, NOT_BILLED';

create function app.complete_order(p_order_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_order record;
begin
  perform app.lock_order(p_order_id);
  perform app.check_deliverer(p_order_id);
  select
    o.order_number, o.partner_id, o.status,
    app.is_callable('complete_order', o) as is_allowed
  into strict v_order
  from app.orders as o where o.id = p_order_id;
  if not v_order.is_allowed then
    perform app.refuse_transition(v_order.order_number, v_order.status, 'COMPLETED');
  end if;
  perform app.require_billed(p_order_id);
  update app.orders as o set status = 'COMPLETED', completed_at = now() where o.id = p_order_id;
  perform app.record_event(p_order_id, v_order.partner_id, 'STATUS', v_order.status, 'COMPLETED');
  perform app.notify_status(p_order_id, v_order.partner_id, 'COMPLETED');
end $$;
comment on function app.complete_order(uuid) is
  'Marks a shipped order as completed, while it is billed in full; raises NOT_FOUND, '
  'ILLEGAL_TRANSITION, NOT_BILLED';
