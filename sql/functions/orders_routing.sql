-- Who serves an order until it is shipped: the answer of the sub-distributor, the release of an
-- order over the limit, and the way to another sub-distributor.

create function app.notify_unrouted(p_order_id uuid, p_reason text default null)
returns void language plpgsql volatile
as $$
begin
  perform app.notify_headquarters('order_unrouted', p_order_id, jsonb_build_object(
    'reason', coalesce(p_reason, 'tidak ada sub-distributor aktif di wilayahnya')));
end $$;
comment on function app.notify_unrouted(uuid, text) is
  'Notifies headquarters of an order without a sub-distributor, and why it has none';

create function app.respond_order(
  p_order_id uuid, p_subdist_id uuid, p_decision text, p_note text
)
returns void language plpgsql volatile
as $$
declare
  v_note text;
  v_order record;
  v_to app.order_status_enum;
  v_awaiting app.awaiting_enum;
begin
  -- order_events.note has 500 characters: the decision, then the note
  v_note := app.optional_text('note', p_note, 480);
  if p_decision is null or p_decision not in ('ACCEPT', 'PROGRESS', 'DECLINE') then
    perform app.fail('INVALID_ARGUMENT', 'decision is ACCEPT, PROGRESS or DECLINE');
  end if;
  if not exists (
    select from app.sub_distributors as s where s.id = p_subdist_id and s.status = 'ACTIVE'
  ) then
    perform app.fail('ACCOUNT_INACTIVE');
  end if;
  -- Without the partner's lock: an answer changes neither credit nor points.
  perform from app.orders as o where o.id = p_order_id for no key update;
  select
    o.order_number, o.partner_id, o.status, o.awaiting,
    app.is_callable('respond_order', o) as is_allowed
  into v_order
  from app.orders as o
  where o.id = p_order_id and o.routed_to_subdist_id = p_subdist_id;
  if not found then
    perform app.fail('NOT_FOUND', 'order');
  elsif not v_order.is_allowed or (v_order.status = 'APPROVED' and p_decision = 'ACCEPT') then
    perform app.fail('ILLEGAL_TRANSITION',
      format('%s is %s', v_order.order_number, v_order.status));
  end if;
  v_to := case p_decision when 'ACCEPT' then 'PROCESSING' else v_order.status end;

  if p_decision = 'DECLINE' then
    update app.orders as o set
      routed_to_subdist_id = null, routed_at = null, last_response_at = now()
    where o.id = p_order_id
    returning o.awaiting into v_awaiting;
  else
    update app.orders as o set status = v_to, last_response_at = now() where o.id = p_order_id
    returning o.awaiting into v_awaiting;
  end if;

  if v_to <> v_order.status then
    perform app.record_event(p_order_id, v_order.partner_id, 'STATUS', v_order.status, v_to);
  end if;
  perform app.record_event(
    p_order_id, v_order.partner_id, 'RESPONSE', v_order.status, v_to,
    p_decision || coalesce(': ' || v_note, ''), p_subdist_id);
  if v_order.awaiting = 'SUBDIST' or p_decision = 'DECLINE' then
    perform app.withdraw_reminders(p_order_id);
  end if;
  if v_to <> v_order.status then
    perform app.notify_status(p_order_id, v_order.partner_id, v_to);
  end if;
  if p_decision = 'DECLINE' then
    perform app.notify_unrouted(
      p_order_id, 'ditolak sub-distributor' || coalesce(': ' || v_note, ''));
  elsif v_awaiting <> v_order.awaiting then
    perform app.notify_headquarters('order_approval_due', p_order_id);
  end if;
end $$;
comment on function app.respond_order(uuid, uuid, text, text) is
  'Records the sub-distributor''s answer, which ends their turn or restarts their clock: ACCEPT '
  'starts PROCESSING, DECLINE hands the order to headquarters. An APPROVED order takes PROGRESS '
  'and DECLINE. Raises INVALID_ARGUMENT, ACCOUNT_INACTIVE, NOT_FOUND, ILLEGAL_TRANSITION';

-- The caller has locked the order and checked that it is open.
create function app.assign_order(p_order_id uuid, p_subdist_id uuid, p_event text, p_note text)
returns void language plpgsql volatile
as $$
declare
  v_order record;
begin
  select o.partner_id, o.status, o.routed_to_subdist_id into strict v_order
  from app.orders as o where o.id = p_order_id;

  update app.orders as o set
    routed_to_subdist_id = p_subdist_id,
    routed_at = case when p_subdist_id is not null then now() end,
    last_response_at = null
  where o.id = p_order_id;

  perform app.record_event(
    p_order_id, v_order.partner_id, p_event, v_order.status, v_order.status, p_note);
  if v_order.routed_to_subdist_id <> p_subdist_id
    or (v_order.routed_to_subdist_id is not null and p_subdist_id is null)
  then
    perform app.withdraw_offer(p_order_id, v_order.routed_to_subdist_id, 'dialihkan');
  end if;
  perform app.withdraw_reminders(p_order_id);
  if p_subdist_id is not null then
    perform app.enqueue_message(
      case v_order.status when 'APPROVED' then 'order_delivery_due' else 'order_routed' end,
      'SUBDIST', p_subdist_id, p_order_id);
  else
    perform app.notify_unrouted(p_order_id);
  end if;
end $$;
comment on function app.assign_order(uuid, uuid, text, text) is
  'Routes an order that is not shipped to a sub-distributor (null: to headquarters), restarts the '
  'clock, and notifies the new and the previous one';

create function app.subdist_for_order(p_order_id uuid)
returns uuid language plpgsql stable
as $$
begin
  return (
    select app.nearest_subdist(p.region_id)
    from app.orders as o join app.partners as p on p.id = o.partner_id
    where o.id = p_order_id
  );
end $$;
comment on function app.subdist_for_order(uuid) is
  'The sub-distributor to whom an order would be routed now; null if there is none';

create function app.release_order(p_order_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_reason text;
  v_order record;
begin
  v_reason := app.require_text('reason', p_reason, 500);
  perform app.lock_order(p_order_id);
  select
    o.order_number,
    app.is_callable('release_order', o) as is_allowed
  into strict v_order
  from app.orders as o where o.id = p_order_id;
  if not v_order.is_allowed then
    perform app.fail('NOT_RELEASABLE', v_order.order_number);
  end if;

  update app.orders as o
  set released_at = now(), released_by = auth.current_agent_id(), release_reason = v_reason
  where o.id = p_order_id;

  perform app.assign_order(
    p_order_id, app.subdist_for_order(p_order_id), 'RELEASED', v_reason);
end $$;
comment on function app.release_order(uuid, text) is
  'Releases an over-limit order and routes it; raises NOT_FOUND, NOT_RELEASABLE';

create function app.reroute_order(p_order_id uuid, p_subdist_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_order record;
  v_status app.subdist_status_enum;
begin
  perform app.lock_order(p_order_id);
  select
    o.order_number,
    app.is_callable('reroute_order', o) as is_allowed
  into strict v_order
  from app.orders as o where o.id = p_order_id;
  if not v_order.is_allowed then
    perform app.fail('NOT_ROUTABLE', v_order.order_number);
  end if;
  -- Not locked: a concurrent suspension waits for this order's partner, and the job sla-sweep hands
  -- over what the suspension does not see.
  select s.status into v_status from app.sub_distributors as s where s.id = p_subdist_id;
  if not found then
    perform app.fail('NOT_FOUND', 'sub-distributor');
  elsif v_status <> 'ACTIVE' then
    perform app.fail('SUBDIST_UNAVAILABLE');
  end if;

  perform app.assign_order(p_order_id, p_subdist_id, 'ROUTED', null);
end $$;
comment on function app.reroute_order(uuid, uuid) is
  'Routes an order that is not shipped to another sub-distributor and restarts the clock; in '
  'PROCESSING they answer before it is approved. Raises NOT_ROUTABLE, NOT_FOUND, '
  'SUBDIST_UNAVAILABLE';

create function app.hand_over_orders(p_subdist_ids uuid[])
returns int language plpgsql volatile
as $$
declare
  v_ids uuid[];
  v_id uuid;
  v_count int := 0;
begin
  -- Without this, every sweep would read all orders that wait for someone.
  if p_subdist_ids = '{}' then
    return 0;
  end if;
  v_ids := array(
    select o.id from app.orders as o
    where o.routed_to_subdist_id = any (p_subdist_ids) and o.awaiting_since is not null
    order by o.id
  );
  if v_ids = '{}' then
    return 0;
  end if;
  perform app.lock_many_partners();
  -- All of them before the first is changed: two calls wait for each other instead of deadlocking.
  perform app.lock_messages('{}', v_ids);
  foreach v_id in array v_ids loop
    -- It may have been answered, re-routed or shipped while this waited for the locks.
    if exists (
      select from app.orders as o
      where o.id = v_id and o.routed_to_subdist_id = any (p_subdist_ids)
        and o.awaiting_since is not null
    ) then
      perform app.assign_order(v_id, app.subdist_for_order(v_id), 'ROUTED', 'suspended');
      v_count := v_count + 1;
    end if;
  end loop;
  return v_count;
end $$;
comment on function app.hand_over_orders(uuid[]) is
  'Routes the orders that these suspended sub-distributors have not shipped to the next one; '
  'returns the number of orders';
