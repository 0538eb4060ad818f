-- Orders: what may never be done to their rows, and what every transition uses. The transitions
-- themselves are in orders_submission.sql, orders_transitions.sql and orders_routing.sql: each
-- locks, checks, writes the row and then calls what other domains must do, by name.
-- Lock order everywhere (D-3.orders-9): partner, order, invoice, inventory.

create function app.is_legal_transition(p_from app.order_status_enum, p_to app.order_status_enum)
returns boolean language sql immutable
as $$
  select case
    when p_from is null then p_to in ('DRAFT', 'SUBMITTED')
    when p_to in ('REJECTED', 'CANCELLED')
      then p_from in ('DRAFT', 'SUBMITTED', 'PROCESSING', 'APPROVED')
    else (p_from, p_to) in (
      ('DRAFT', 'SUBMITTED'), ('SUBMITTED', 'PROCESSING'), ('PROCESSING', 'APPROVED'),
      ('SUBMITTED', 'APPROVED'),  -- only orders without a sub-distributor: tg_orders__guard
      ('APPROVED', 'SHIPPED'), ('SHIPPED', 'COMPLETED')
    )
  end
$$;
comment on function app.is_legal_transition(app.order_status_enum, app.order_status_enum) is
  'True if an order can move from one status to the other; from null: the statuses in which it '
  'can be created';

-- What may be done with an order next: one predicate for the transitions, which evaluate it under
-- the order's lock, and for the column allowed_actions. An SQL function, so that callers inline it;
-- a literal action leaves one of its branches.
create function app.order_allows(
  p_action text, p_status app.order_status_enum, p_awaiting app.awaiting_enum, p_is_held boolean
)
returns boolean language sql immutable
as $$
  select case p_action
    when 'update_draft' then p_status = 'DRAFT'
    when 'submit_draft' then p_status = 'DRAFT'
    when 'cancel_order' then app.is_legal_transition(p_status, 'CANCELLED')
    when 'reject_order' then app.is_legal_transition(p_status, 'REJECTED')
    when 'respond_order' then p_status in ('SUBMITTED', 'PROCESSING', 'APPROVED')
    when 'release_order' then p_status = 'SUBMITTED' and p_is_held
    when 'reroute_order'
      then p_status in ('SUBMITTED', 'PROCESSING', 'APPROVED') and not p_is_held
    -- The present sub-distributor has answered, or there is none.
    when 'approve_order'
      then p_status in ('SUBMITTED', 'PROCESSING') and p_awaiting = 'HEADQUARTERS'
        and not p_is_held
    when 'ship_order' then p_status = 'APPROVED'
    when 'complete_order' then p_status = 'SHIPPED'
    when 'return_items' then p_status in ('SHIPPED', 'COMPLETED')
  end
$$;
comment on function app.order_allows(
  text, app.order_status_enum, app.awaiting_enum, boolean
) is
  'True if a call of this name is possible for an order with this status, turn and credit: '
  'p_is_held is true for one over the limit that was not released';

create function app.is_callable(p_call text, p_order app.orders)
returns boolean language sql immutable
as $$
  select app.order_allows(
    p_call, p_order.status, p_order.awaiting,
    p_order.is_over_limit and p_order.released_at is null)
$$;
comment on function app.is_callable(text, app.orders) is
  'True if this call is possible for the order, as far as its row says';

-- PL/pgSQL keeps the plans of its expressions for the session, and each transaction prepares only
-- the expression of the role that asks.
create function app.allowed_actions(
  p_status app.order_status_enum, p_awaiting app.awaiting_enum, p_is_held boolean, p_role text
)
returns text[] language plpgsql immutable
as $$
begin
  if p_role = 'partner' then
    return array_remove(array[
      case
        when app.order_allows('update_draft', p_status, p_awaiting, p_is_held) then 'update_draft'
      end,
      case
        when app.order_allows('submit_draft', p_status, p_awaiting, p_is_held) then 'submit_draft'
      end,
      case
        when app.order_allows('cancel_order', p_status, p_awaiting, p_is_held) then 'cancel_order'
      end
    ], null);
  elsif p_role = 'subdist' then
    return array_remove(array[
      case
        when app.order_allows('respond_order', p_status, p_awaiting, p_is_held)
          then 'respond_order'
      end,
      case
        when app.order_allows('ship_order', p_status, p_awaiting, p_is_held) then 'ship_order'
      end,
      case
        when app.order_allows('complete_order', p_status, p_awaiting, p_is_held)
          then 'complete_order'
      end
    ], null);
  elsif p_role in ('admin', 'superadmin') then
    return array_remove(array[
      case
        when app.order_allows('release_order', p_status, p_awaiting, p_is_held)
          then 'release_order'
      end,
      case
        when app.order_allows('reroute_order', p_status, p_awaiting, p_is_held)
          then 'reroute_order'
      end,
      case
        when app.order_allows('approve_order', p_status, p_awaiting, p_is_held)
          then 'approve_order'
      end,
      case
        when app.order_allows('reject_order', p_status, p_awaiting, p_is_held) then 'reject_order'
      end,
      case
        when app.order_allows('ship_order', p_status, p_awaiting, p_is_held) then 'ship_order'
      end,
      case
        when app.order_allows('complete_order', p_status, p_awaiting, p_is_held)
          then 'complete_order'
      end,
      case
        when app.order_allows('return_items', p_status, p_awaiting, p_is_held) then 'return_items'
      end
    ], null);
  end if;
  return '{}'::text[];
end $$;
comment on function app.allowed_actions(
  app.order_status_enum, app.awaiting_enum, boolean, text
) is
  'Names of the calls that a role may make for such an order now';

create function app.transition_function(p_to app.order_status_enum)
returns text language sql immutable
as $$
  select 'Call ' || case p_to
    when 'DRAFT' then 'api.save_draft'
    when 'SUBMITTED' then 'api.submit_order or api.submit_draft'
    when 'PROCESSING' then 'api.respond_order'
    when 'APPROVED' then 'api.approve_order'
    when 'SHIPPED' then 'api.ship_order'
    when 'COMPLETED' then 'api.complete_order'
    when 'REJECTED' then 'api.reject_order'
    when 'CANCELLED' then 'api.cancel_order'
  end
$$;
comment on function app.transition_function(app.order_status_enum) is
  'Hint that names the call that moves an order to this status';

-- The guards are SECURITY INVOKER: current_user is the owner inside a transition function, and the
-- login of everyone who writes past it, superusers included. Those on insertion have no WHEN
-- clause, which each statement would parse again.
create function app.tg_orders__guard_insert() returns trigger
language plpgsql
as $$
begin
  if current_user = 'hub_owner' then
    return new;
  elsif not app.is_legal_transition(null, new.status) then
    perform app.fail('ILLEGAL_TRANSITION',
      format('%s: nothing to %s', new.order_number, new.status));
  end if;
  perform app.fail('NOT_ALLOWED', 'Orders are created by calls, which reserve stock and credit',
    app.transition_function(new.status));
  return null;
end $$;
create trigger _100_guard_insert before insert on app.orders
for each row execute function app.tg_orders__guard_insert();

create function app.tg_orders__guard() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' then
    perform app.fail('ORDER_FROZEN', 'Orders are cancelled, not deleted',
      'Cancel the order instead');
  end if;
  if new.partner_id <> old.partner_id or new.order_number <> old.order_number or (
    old.status <> 'DRAFT' and (
      (
        new.subtotal, new.discount_amount, new.point_discount, new.points_earned,
        new.points_used, new.submission_type, new.due_days
      ) is distinct from (
        old.subtotal, old.discount_amount, old.point_discount, old.points_earned,
        old.points_used, old.submission_type, old.due_days
      )
      or new.submitted_at is distinct from old.submitted_at
      or new.agent_id is distinct from old.agent_id
      or new.is_over_limit is distinct from old.is_over_limit
      or new.over_limit_reason is distinct from old.over_limit_reason
    )
  ) then
    perform app.fail('ORDER_FROZEN', new.order_number);
  end if;
  if new.status = old.status then
    return new;
  end if;
  if not app.is_legal_transition(old.status, new.status) or (
    new.status = 'APPROVED'
    and (old.awaiting <> 'HEADQUARTERS' or (new.is_over_limit and new.released_at is null))
  ) then
    perform app.refuse_transition(new.order_number, old.status, new.status);
  elsif current_user <> 'hub_owner' then
    perform app.fail('NOT_ALLOWED', 'A status changes by a call, which also does what follows',
      app.transition_function(new.status));
  end if;
  return new;
end $$;
create trigger _100_guard before update or delete on app.orders
for each row execute function app.tg_orders__guard();

-- Whose turn it is, and since when. Headquarters' clock keeps running through the answers of a
-- sub-distributor, and starts again when they acted themselves: released or approved the order, and
-- have to act once more. No level of a new clock was reached yet.
create function app.tg_orders__derive_turn() returns trigger
language plpgsql
as $$
begin
  new.awaiting := app.order_awaiting(new.status, new.routed_to_subdist_id, new.last_response_at);
  new.awaiting_since := case
    when new.awaiting = 'SUBDIST'
      then greatest(new.routed_at, new.last_response_at, new.approved_at)
    when new.awaiting <> 'HEADQUARTERS' then null
    when old.awaiting = 'HEADQUARTERS' and new.status = old.status
      and new.released_at is not distinct from old.released_at then old.awaiting_since
    else now()
  end;
  if new.awaiting_since is not null
    and (new.awaiting, new.awaiting_since) is distinct from (old.awaiting, old.awaiting_since)
  then
    new.sla_reminder_sent := false;
    new.sla_manager_notified := false;
    new.sla_escalated := false;
  end if;
  return new;
end $$;
create trigger _200_derive_turn before update of
  status, routed_to_subdist_id, routed_at, last_response_at, approved_at, released_at
on app.orders
for each row execute function app.tg_orders__derive_turn();
create trigger _900_touch before update on app.orders
for each row execute function app.tg_touch_updated_at();

create function app.tg_order_items__guard_writer() returns trigger
language plpgsql
as $$
begin
  if current_user <> 'hub_owner' then
    perform app.fail('ORDER_FROZEN', 'Lines are written by the calls that price them',
      'Call api.save_draft or api.submit_order');
  end if;
  return null;
end $$;
create trigger _050_guard_writer before insert or update or delete on app.order_items
for each statement execute function app.tg_order_items__guard_writer();

create function app.tg_order_items__frozen() returns trigger
language plpgsql
as $$
declare
  v_status app.order_status_enum;
begin
  -- The lock makes a concurrent submission wait for this change; "for key share" would not.
  select o.status into v_status from app.orders as o where o.id = old.order_id for share;
  if v_status <> 'DRAFT' then
    perform app.fail('ORDER_FROZEN', 'The lines of a submitted order');
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger _100_frozen before update or delete on app.order_items
for each row execute function app.tg_order_items__frozen();

create trigger _100_append_only before update or delete on app.order_events
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.order_events
for each statement execute function app.tg_append_only();

create function app.lock_order(p_order_id uuid, p_partner_id uuid default null)
returns void language plpgsql volatile
as $$
begin
  perform from app.partners as p
  where p.id = (
    select o.partner_id from app.orders as o
    where o.id = p_order_id and (p_partner_id is null or o.partner_id = p_partner_id)
  )
  for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'order');
  end if;
  perform from app.orders as o where o.id = p_order_id for no key update;
end $$;
comment on function app.lock_order(uuid, uuid) is
  'Locks the order after its partner; raises NOT_FOUND, also for another partner''s order';

create function app.refuse_transition(
  p_order_number text, p_from app.order_status_enum, p_to app.order_status_enum
)
returns void language plpgsql stable
as $$
begin
  perform app.fail('ILLEGAL_TRANSITION', format('%s: %s to %s', p_order_number, p_from, p_to));
end $$;
comment on function app.refuse_transition(text, app.order_status_enum, app.order_status_enum) is
  'Raises ILLEGAL_TRANSITION with the order''s number and both statuses';

create function app.record_event(
  p_order_id uuid, p_partner_id uuid, p_event text, p_from app.order_status_enum,
  p_to app.order_status_enum, p_note text default null, p_actor_id uuid default null
)
returns void language plpgsql volatile
as $$
declare
  v_actor_id uuid := p_actor_id;
begin
  if v_actor_id is null then
    v_actor_id := coalesce(auth.acting_agent_id(), auth.current_user_id());
  end if;
  insert into app.order_events (
    order_id, partner_id, event, from_status, to_status, note, actor_id, actor_role
  ) values (
    p_order_id, p_partner_id, p_event, p_from, p_to, p_note, v_actor_id, auth.caller_role()
  );
end $$;
comment on function app.record_event(
  uuid, uuid, text, app.order_status_enum, app.order_status_enum, text, uuid
) is
  'Appends an event to the order''s history; the actor is the caller unless given';

create function app.notify_status(
  p_order_id uuid, p_partner_id uuid, p_status app.order_status_enum, p_reason text default null
)
returns void language plpgsql volatile
as $$
begin
  perform app.enqueue_message(
    'order_status', 'PARTNER', p_partner_id, p_order_id, jsonb_build_object(
      'status_text', app.status_text(p_status) || coalesce(': ' || p_reason, '')
    ));
end $$;
comment on function app.notify_status(uuid, uuid, app.order_status_enum, text) is
  'Notifies the partner of an order''s new status and its reason';

create function app.status_text(p_status app.order_status_enum) returns text language sql immutable
as $$
  select case p_status
    when 'PROCESSING' then 'diterima oleh sub-distributor dan sedang disiapkan'
    when 'APPROVED' then 'disetujui'
    when 'SHIPPED' then 'sedang dikirim'
    when 'COMPLETED' then 'selesai'
    when 'REJECTED' then 'tidak dapat kami penuhi'
    when 'CANCELLED' then 'dibatalkan'
  end
$$;
comment on function app.status_text(app.order_status_enum) is
  'The status in Indonesian words, for messages to partners';
