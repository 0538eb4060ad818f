-- Points that orders earn: they vest when an invoice is paid, and go back when a correction undoes
-- that. loyalty_queue.sql runs the queue of paid invoices.

create function app.tg_point_transactions__require_paid_invoice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from app.invoices as i where i.id = new.invoice_id and i.order_id = new.order_id
      and i.partner_id = new.partner_id and i.status = 'PAID'
  ) then
    perform app.fail('INVALID_ARGUMENT',
      'EARNED points need a PAID invoice of the same order and partner',
      'Record the payment: its points vest by themselves');
  end if;
  return new;
end $$;
create trigger _200_require_paid_invoice before insert on app.point_transactions
for each row when (new.type = 'EARNED')
execute function app.tg_point_transactions__require_paid_invoice();

create function app.enqueue_vesting(p_invoice_id uuid)
returns void language plpgsql volatile
as $$
begin
  -- An invoice that was settled again before its turn is queued already.
  insert into app.point_queue (invoice_id) values (p_invoice_id) on conflict do nothing;
end $$;
comment on function app.enqueue_vesting(uuid) is
  'Queues a PAID invoice, so that the job point-queue vests its points';

-- Whole numbers only: a quotient of numerics is rounded, and could pass the next whole number.
create function app.point_target(p_order_id uuid, p_vesting_invoice_id uuid default null)
returns int language plpgsql stable
as $$
declare
  v_order record;
  v_remaining numeric;
  v_settled numeric;
  v_promise numeric;
begin
  select o.grand_total, o.points_earned into strict v_order
  from app.orders as o where o.id = p_order_id;
  select v_order.grand_total - coalesce(sum(c.amount), 0) into v_remaining
  from app.credit_notes as c where c.order_id = p_order_id;
  if v_remaining = 0 or v_order.points_earned = 0 then
    return 0;
  end if;
  -- Paid invoices that still wait in the queue do not count yet, or the first of them would get the
  -- points of the others too.
  select coalesce(sum(i.amount - i.amount_credited), 0) into v_settled
  from app.invoices as i
  where i.order_id = p_order_id and i.status = 'PAID' and (
    i.id = p_vesting_invoice_id
    or not exists (select from app.point_queue as q where q.invoice_id = i.id)
  );
  v_promise := div(v_order.points_earned * v_remaining, v_order.grand_total);
  -- A write-off leaves more settled than remains once all goods are back.
  return least(v_promise, div(v_promise * v_settled, v_remaining));
end $$;
comment on function app.point_target(uuid, uuid) is
  'Points that an order has earned by its PAID invoices, less what was returned; queued invoices '
  'count only if one is named';

create function app.booked_points(p_order_id uuid)
returns int language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(t.points), 0) from app.point_transactions as t
    where t.order_id = p_order_id and t.invoice_id is not null
  );
end $$;
comment on function app.booked_points(uuid) is
  'Points of an order that its invoices have earned so far, as the ledger has them';

-- Locks the partner first, so that payments, cancellations and this job run one after another.
create function app.vest_points(p_invoice_id uuid)
returns int language plpgsql volatile
as $$
declare
  v_invoice record;
  v_order record;
  v_points int;
  v_balance int;
begin
  perform app.lock_invoice(p_invoice_id);
  select i.partner_id, i.order_id, i.invoice_number, i.status into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;
  select o.order_number, o.rules_applied into strict v_order
  from app.orders as o where o.id = v_invoice.order_id;
  if v_invoice.status <> 'PAID' then
    return 0;
  end if;
  v_points := app.point_target(v_invoice.order_id, p_invoice_id)
    - app.booked_points(v_invoice.order_id);
  if v_points <= 0 then
    return 0;
  elsif v_points > app.points_headroom(v_invoice.partner_id) then
    return null;
  end if;

  insert into app.point_transactions (
    partner_id, order_id, invoice_id, type, points, multiplier, description
  ) values (
    v_invoice.partner_id, v_invoice.order_id, p_invoice_id, 'EARNED', v_points,
    (
      select (r.value ->> 'value')::numeric from jsonb_each(v_order.rules_applied) as r
      where r.key like 'loyalty.multiplier.%'
    ),
    format('%s, %s', v_order.order_number, v_invoice.invoice_number)
  );
  select p.point_balance into v_balance from app.partners as p where p.id = v_invoice.partner_id;
  perform app.enqueue_message('points_vested', 'PARTNER', v_invoice.partner_id, v_invoice.order_id,
    jsonb_build_object('points', v_points, 'point_balance', v_balance));
  return v_points;
end $$;
comment on function app.vest_points(uuid) is
  'Books what the order has earned since its last booking, now that this invoice is PAID; returns '
  'the points, 0 if there are none to book, null while the partner''s balance has no room for them';

-- A correction books at once what it changes; what a payment adds waits for the queue.
create function app.settle_points(p_order_id uuid, p_invoice_id uuid, p_description text)
returns void language plpgsql volatile
as $$
declare
  v_points int;
  v_partner_id uuid;
begin
  v_points := app.point_target(p_order_id) - app.booked_points(p_order_id);
  if v_points = 0 then
    return;
  end if;
  select o.partner_id into strict v_partner_id from app.orders as o where o.id = p_order_id;
  perform app.require_headroom(v_partner_id, v_points);
  insert into app.point_transactions (
    partner_id, order_id, invoice_id, type, points, description, created_by
  )
  values (
    v_partner_id, p_order_id, p_invoice_id, 'ADJUSTED', v_points, p_description,
    auth.current_agent_id()
  );
end $$;
comment on function app.settle_points(uuid, uuid, text) is
  'Books how a correction changes the points that an order has earned, as one ADJUSTED row; the '
  'balance can fall below 0';

create function app.take_back_points(p_order_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_invoice record;
begin
  select i.id, i.invoice_number into v_invoice
  from app.invoices as i where i.order_id = p_order_id
  order by i.created_at desc, i.id desc limit 1;
  if found then
    perform app.settle_points(p_order_id, v_invoice.id, v_invoice.invoice_number || ' dibatalkan');
  end if;
end $$;
comment on function app.take_back_points(uuid) is
  'Takes back what an order has earned whose invoices are cancelled; the balance can fall below 0';

create function app.return_points(p_credit_note_id uuid)
returns void language plpgsql volatile
as $$
declare
  v_note record;
  v_invoice_id uuid;
begin
  select c.order_id, c.partner_id, c.credit_note_number, c.points_returned into strict v_note
  from app.credit_notes as c where c.id = p_credit_note_id;
  if v_note.points_returned > 0 then
    perform app.require_headroom(v_note.partner_id, v_note.points_returned);
    insert into app.point_transactions (
      partner_id, order_id, credit_note_id, type, points, description, created_by
    )
    values (
      v_note.partner_id, v_note.order_id, p_credit_note_id, 'ADJUSTED', v_note.points_returned,
      v_note.credit_note_number, auth.current_agent_id()
    );
  end if;
  select i.id into v_invoice_id
  from app.invoices as i where i.order_id = v_note.order_id
  order by i.status = 'PAID' desc, i.created_at desc, i.id desc limit 1;
  perform app.settle_points(v_note.order_id, v_invoice_id, v_note.credit_note_number);
end $$;
comment on function app.return_points(uuid) is
  'Books back the used points of returned goods, and takes back what these had earned';
