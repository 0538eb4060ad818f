-- Transitions of a submitted order by headquarters and the sub-distributor.

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
comment on function app.lock_order(uuid, uuid) is
  'The order, locked after its partner; raises NOT_FOUND, also for another partner''s order';

-- The triggers of app.orders check the transition and run its effects.
create function app.transition_order(
  p_order_id uuid, p_to app.order_status_enum, p_reason text default null,
  p_partner_id uuid default null
)
returns uuid language plpgsql volatile
as $$
declare
  v_order app.orders := app.lock_order(p_order_id, p_partner_id);
begin
  if v_order.status = p_to then
    perform app.fail('ILLEGAL_TRANSITION',
      format('%s is %s', v_order.order_number, v_order.status));
  end if;
  update app.orders as o
  set status = p_to, status_reason = coalesce(p_reason, o.status_reason)
  where o.id = p_order_id;
  return p_order_id;
end $$;
comment on function app.transition_order(uuid, app.order_status_enum, text, uuid) is
  'Moves an order to a status; raises NOT_FOUND, ILLEGAL_TRANSITION';

create function app.assign_order(p_order_id uuid, p_subdist_id uuid, p_event text, p_note text)
returns void language plpgsql volatile
as $$
declare
  v_order app.orders;
  v_previous_subdist_id uuid := (
    select o.routed_to_subdist_id from app.orders as o where o.id = p_order_id
  );
begin
  update app.orders as o set
    routed_to_subdist_id = p_subdist_id,
    routed_at = case when p_subdist_id is not null then now() end,
    last_response_at = null
  where o.id = p_order_id
  returning * into v_order;
  perform app.record_event(v_order, p_event, v_order.status, p_note);
  if v_previous_subdist_id <> p_subdist_id
    or (v_previous_subdist_id is not null and p_subdist_id is null)
  then
    perform app.withdraw_offer(p_order_id, v_previous_subdist_id, 'dialihkan');
  end if;
  if p_subdist_id is not null then
    perform app.enqueue_message('order_routed', 'SUBDIST', p_subdist_id, p_order_id);
  else
    perform app.notify_headquarters('order_unrouted', p_order_id,
      jsonb_build_object('reason', 'tidak ada sub-distributor aktif di wilayahnya'));
  end if;
end $$;
comment on function app.assign_order(uuid, uuid, text, text) is
  'Routes an open order to a sub-distributor (null: to headquarters), restarts the clock, and '
  'notifies the new and the previous one';

create function app.release_order(p_order_id uuid, p_reason text)
returns uuid language plpgsql volatile
as $$
declare
  v_reason text := app.require_text('reason', p_reason, 500);
  v_order app.orders := app.lock_order(p_order_id);
begin
  if v_order.status <> 'SUBMITTED' or not v_order.is_over_limit
    or v_order.released_at is not null
  then
    perform app.fail('NOT_RELEASABLE', v_order.order_number);
  end if;
  update app.orders as o
  set released_at = now(), released_by = auth.current_agent_id(), release_reason = v_reason
  where o.id = p_order_id;
  perform app.assign_order(p_order_id, (
    select app.nearest_subdist(p.region_id) from app.partners as p where p.id = v_order.partner_id
  ), 'RELEASED', v_reason);
  return p_order_id;
end $$;
comment on function app.release_order(uuid, text) is
  'Releases an over-limit order and routes it; raises NOT_FOUND, NOT_RELEASABLE';

create function app.reroute_order(p_order_id uuid, p_subdist_id uuid)
returns uuid language plpgsql volatile
as $$
declare
  v_order app.orders := app.lock_order(p_order_id);
  v_status app.subdist_status_enum;
begin
  if v_order.status not in ('SUBMITTED', 'PROCESSING')
    or (v_order.is_over_limit and v_order.released_at is null)
  then
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
  return p_order_id;
end $$;
comment on function app.reroute_order(uuid, uuid) is
  'Routes an open order to another sub-distributor and restarts the clock; raises NOT_ROUTABLE, '
  'NOT_FOUND, SUBDIST_UNAVAILABLE';

create function app.respond_order(
  p_order_id uuid, p_subdist_id uuid, p_decision text, p_note text
)
returns uuid language plpgsql volatile
as $$
declare
  -- order_events.note has 500 characters: the decision, then the note
  v_note text := app.optional_text('note', p_note, 480);
  v_order app.orders;
  v_from app.order_status_enum;
begin
  if p_decision is null or p_decision not in ('ACCEPT', 'PROGRESS', 'DECLINE') then
    perform app.fail('INVALID_ARGUMENT', 'decision is ACCEPT, PROGRESS or DECLINE');
  end if;
  if not exists (
    select from app.sub_distributors as s where s.id = p_subdist_id and s.status = 'ACTIVE'
  ) then
    perform app.fail('ACCOUNT_INACTIVE');
  end if;
  select * into v_order from app.orders as o
  where o.id = p_order_id and o.routed_to_subdist_id = p_subdist_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'order');
  elsif v_order.status not in ('SUBMITTED', 'PROCESSING') then
    perform app.fail('ILLEGAL_TRANSITION',
      format('%s is %s', v_order.order_number, v_order.status));
  end if;
  v_from := v_order.status;
  if p_decision = 'DECLINE' then
    update app.orders as o set
      routed_to_subdist_id = null, routed_at = null, last_response_at = now()
    where o.id = p_order_id returning * into v_order;
    perform app.notify_headquarters('order_unrouted', p_order_id,
      jsonb_build_object('reason', 'ditolak sub-distributor' || coalesce(': ' || v_note, '')));
  else
    update app.orders as o set
      status = case p_decision
        when 'ACCEPT' then 'PROCESSING' else o.status::text
      end::app.order_status_enum,
      last_response_at = now()
    where o.id = p_order_id returning * into v_order;
  end if;
  perform app.record_event(
    v_order, 'RESPONSE', v_from, p_decision || coalesce(': ' || v_note, ''), p_subdist_id);
  return p_order_id;
end $$;
comment on function app.respond_order(uuid, uuid, text, text) is
  'Records the sub-distributor''s answer, which restarts the clock: ACCEPT starts PROCESSING, '
  'DECLINE hands the order to headquarters. Raises INVALID_ARGUMENT, ACCOUNT_INACTIVE, '
  'NOT_FOUND, ILLEGAL_TRANSITION';
