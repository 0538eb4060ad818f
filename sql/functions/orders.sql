-- The state machine of orders. Every change of status (RPC, job, psql) passes these triggers, which
-- check it and run its effects: credit, stock, points, routing, invoice, history, messages.
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
      ('SUBMITTED', 'APPROVED'),  -- only orders that could not be routed: tg_orders__guard
      ('APPROVED', 'SHIPPED'), ('SHIPPED', 'COMPLETED')
    )
  end
$$;
comment on function app.is_legal_transition(app.order_status_enum, app.order_status_enum) is
  'True if an order can move from one status to the other; from null: the statuses in which it '
  'can be created';

-- Credit, promised points and routing at the moment of submission. The lock on the partner makes
-- the orders of one partner run one after another, each checked against the credit that the last
-- one used.
create function app.settle_submission(p_order app.orders)
returns app.orders language plpgsql volatile
as $$
declare
  v_order app.orders := p_order;
  v_partner app.partners;
begin
  select * into strict v_partner
  from app.partners as p where p.id = v_order.partner_id for no key update;
  v_order.submitted_at := now();
  v_order.rules_applied := coalesce(
    v_order.rules_applied, app.submission_rules(v_partner.tier));
  v_order.points_earned := app.promised_points(
    v_order.grand_total, v_partner.tier, v_order.rules_applied);
  v_order.is_eligible_for_points := v_order.grand_total
    >= (v_order.rules_applied #>> '{order.minimum_threshold,value}')::numeric;
  v_order.is_over_limit := v_order.grand_total > 0
    and v_partner.credit_used + v_order.grand_total > v_partner.credit_limit;
  if not v_order.is_over_limit then
    v_order.routed_to_subdist_id := app.nearest_subdist(v_partner.region_id);
    v_order.routed_at := case when v_order.routed_to_subdist_id is not null then now() end;
  elsif v_order.rules_applied #>> '{credit.over_limit_policy,value}' = 'BLOCK'
    or v_partner.credit_used + v_order.grand_total >= app.amount_limit()
  then
    perform app.fail('CREDIT_LIMIT_EXCEEDED', format('%s more than the limit of %s',
      app.format_rupiah(v_partner.credit_used + v_order.grand_total - v_partner.credit_limit),
      app.format_rupiah(v_partner.credit_limit)));
  end if;
  return v_order;
end $$;
comment on function app.settle_submission(app.orders) is
  'Fills in the credit flag, promised points, routing and pinned configs; raises '
  'CREDIT_LIMIT_EXCEEDED under policy BLOCK';

create function app.tg_orders__guard() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_from app.order_status_enum;
begin
  if tg_op = 'DELETE' then
    perform app.fail('ORDER_FROZEN', 'Orders are cancelled, not deleted',
      'Cancel the order instead');
  end if;
  if tg_op = 'UPDATE' then
    v_from := old.status;
    new.updated_at := now();
    if new.partner_id <> old.partner_id or new.order_number <> old.order_number or (
      old.status <> 'DRAFT' and (
        (
          new.subtotal, new.discount_amount, new.point_discount, new.points_earned,
          new.points_used, new.submission_type
        ) is distinct from (
          old.subtotal, old.discount_amount, old.point_discount, old.points_earned,
          old.points_used, old.submission_type
        )
        or new.submitted_at is distinct from old.submitted_at
        or new.agent_id is distinct from old.agent_id
        or new.is_over_limit is distinct from old.is_over_limit
      )
    ) then
      perform app.fail('ORDER_FROZEN', new.order_number);
    end if;
    -- A response or a new route restarts the clock, and no level of the new clock was reached yet.
    if (new.routed_at, new.last_response_at)
      is distinct from (old.routed_at, old.last_response_at)
    then
      new.sla_reminder_sent := false;
      new.sla_manager_notified := false;
      new.sla_escalated := false;
    end if;
    if new.status = old.status then
      return new;
    end if;
  end if;

  if not app.is_legal_transition(v_from, new.status) or (
    v_from = 'SUBMITTED' and new.status = 'APPROVED'
    and (new.routed_to_subdist_id is not null or (new.is_over_limit and new.released_at is null))
  ) then
    perform app.fail('ILLEGAL_TRANSITION', format('%s: %s to %s',
      new.order_number, coalesce(v_from::text, 'nothing'), new.status));
  end if;

  case new.status
    when 'SUBMITTED' then new := app.settle_submission(new);
    when 'APPROVED' then new.approved_at := now();
    when 'SHIPPED' then new.shipped_at := now();
    when 'COMPLETED' then new.completed_at := now();
    when 'REJECTED', 'CANCELLED' then new.closed_at := now();
    else null;
  end case;
  return new;
end $$;
create trigger _100_guard before insert or update or delete on app.orders
for each row execute function app.tg_orders__guard();

create function app.record_event(
  p_order app.orders, p_event text, p_from app.order_status_enum, p_note text default null,
  p_actor_id uuid default null
)
returns void language plpgsql volatile
as $$
begin
  insert into app.order_events (
    order_id, partner_id, event, from_status, to_status, note, actor_id, actor_role
  ) values (
    p_order.id, p_order.partner_id, p_event, p_from, p_order.status, p_note,
    coalesce(p_actor_id, auth.acting_agent_id(), auth.current_user_id()), auth.caller_role()
  );
end $$;
comment on function app.record_event(app.orders, text, app.order_status_enum, text, uuid) is
  'Appends an event to the order''s history; the actor is the caller unless given';

create function app.notify_submission(p_order app.orders)
returns void language plpgsql volatile
as $$
begin
  if p_order.routed_to_subdist_id is not null then
    perform app.enqueue_message(
      'order_routed', 'SUBDIST', p_order.routed_to_subdist_id, p_order.id);
  elsif p_order.is_over_limit then
    perform app.notify_headquarters('order_over_limit', p_order.id);
  else
    perform app.notify_headquarters('order_unrouted', p_order.id,
      jsonb_build_object('reason', 'tidak ada sub-distributor aktif di wilayahnya'));
  end if;
end $$;
comment on function app.notify_submission(app.orders) is
  'Notifies the sub-distributor of a submitted order, or headquarters if it was not routed';

create function app.after_submission(p_order app.orders)
returns void language plpgsql volatile
as $$
begin
  perform app.use_credit(p_order.partner_id, p_order.grand_total);
  if p_order.points_used > 0 then
    insert into app.point_transactions (partner_id, order_id, type, points, description)
    values (
      p_order.partner_id, p_order.id, 'REDEEMED', -p_order.points_used, p_order.order_number
    );
  end if;
  perform app.notify_submission(p_order);
  if p_order.agent_id is not null then
    perform app.notify_impersonation(p_order);
  end if;
end $$;
comment on function app.after_submission(app.orders) is
  'Uses credit and points of a submitted order, and sends its notifications';

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

create function app.after_closing(p_order app.orders, p_from app.order_status_enum)
returns void language plpgsql volatile
as $$
begin
  if p_from in ('SUBMITTED', 'PROCESSING') then
    perform app.use_credit(p_order.partner_id, -p_order.grand_total);
  end if;
  update app.invoices as i
  set status = 'CANCELLED', cancel_reason = coalesce(p_order.status_reason, p_order.status::text)
  where i.order_id = p_order.id and i.status <> 'CANCELLED';
  if p_from <> 'DRAFT' then
    if p_order.points_used > 0 then
      insert into app.point_transactions (
        partner_id, order_id, type, points, description, created_by
      ) values (
        p_order.partner_id, p_order.id, 'ADJUSTED', p_order.points_used,
        format('%s %s', p_order.order_number, lower(p_order.status::text)),
        auth.current_agent_id()
      );
    end if;
    if app.holds_stock(p_from, p_order.erp_reference) then
      perform app.release_stock(p_order.id);
    end if;
    if p_order.routed_to_subdist_id is not null then
      perform app.withdraw_offer(
        p_order.id, p_order.routed_to_subdist_id, app.status_text(p_order.status));
    end if;
  end if;
end $$;
comment on function app.after_closing(app.orders, app.order_status_enum) is
  'Undoes a rejected or cancelled order: credit, invoices, points, stock, and the offer to the '
  'sub-distributor';

create function app.after_approval(p_order app.orders)
returns void language plpgsql volatile
as $$
begin
  -- From now on, the invoice uses the credit instead of the order.
  perform app.use_credit(p_order.partner_id, -p_order.grand_total);
  perform app.issue_invoice(p_order, p_order.grand_total);
end $$;
comment on function app.after_approval(app.orders) is 'Bills an approved order';

create function app.tg_orders__effects() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_from app.order_status_enum;
begin
  if tg_op = 'UPDATE' then
    v_from := old.status;
  end if;
  perform app.record_event(new, 'STATUS', v_from, new.status_reason);
  case new.status
    when 'SUBMITTED' then
      perform app.after_submission(new);
      -- An order that is inserted as SUBMITTED gets its lines later: tg_order_items__reserve.
      if v_from = 'DRAFT' then
        perform app.reserve_order(new.id);
      end if;
    when 'REJECTED', 'CANCELLED' then perform app.after_closing(new, v_from);
    when 'APPROVED' then perform app.after_approval(new);
    else null;
  end case;
  if new.status not in ('DRAFT', 'SUBMITTED') and v_from <> 'DRAFT' then
    perform app.enqueue_message(
      'order_status', 'PARTNER', new.partner_id, new.id, jsonb_build_object(
        'status_text', app.status_text(new.status) || coalesce(': ' || new.status_reason, '')
      ));
  end if;
  return null;
end $$;
create trigger _200_effects_insert after insert on app.orders
for each row execute function app.tg_orders__effects();
create trigger _200_effects_update after update on app.orders
for each row when (old.status is distinct from new.status)
execute function app.tg_orders__effects();

create function app.tg_order_items__frozen() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
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

-- Lines are added to a draft, or all at once to an order that was inserted as SUBMITTED: then their
-- sum must be the order's, and their units are reserved.
create function app.tg_order_items__reserve() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_lines record;
  v_order record;
begin
  for v_lines in
    select
      n.order_id, array_agg(n.product_id) as product_ids, array_agg(n.quantity) as quantities,
      sum(n.quantity * n.list_price) as subtotal, sum(n.line_total) as total
    from new_rows as n group by n.order_id order by n.order_id
  loop
    select
      o.order_number, o.status, o.subtotal, o.discount_amount,
      (select count(*) from app.order_items as i where i.order_id = o.id) as lines
    into v_order
    from app.orders as o where o.id = v_lines.order_id;
    continue when v_order.status = 'DRAFT';
    if v_order.status <> 'SUBMITTED' or v_lines.subtotal <> v_order.subtotal
      or v_lines.total <> v_order.subtotal - v_order.discount_amount
      or v_order.lines <> cardinality(v_lines.product_ids)
    then
      perform app.fail('ORDER_FROZEN', v_order.order_number);
    end if;
    perform app.reserve_stock(v_lines.product_ids, v_lines.quantities);
  end loop;
  return null;
end $$;
create trigger _200_reserve after insert on app.order_items
referencing new table as new_rows for each statement execute function app.tg_order_items__reserve();

create trigger _100_append_only before update or delete on app.order_events
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.order_events
for each statement execute function app.tg_append_only();
