-- Invoices: issued, cancelled, and what may never be done to them. amount_paid, amount_credited and
-- status follow from the payments (invoices_payments.sql) and the credits (invoices_returns.sql),
-- also for changes by psql.

create function app.tg_invoices__derive_status() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_was_paid boolean := tg_op = 'UPDATE' and old.status = 'PAID';
begin
  new.amount_paid := 0;
  new.amount_credited := 0;
  if tg_op = 'UPDATE' then
    new.updated_at := now();
    select coalesce(sum(y.amount), 0) into new.amount_paid
    from app.invoice_payments as y where y.invoice_id = new.id;
    select coalesce(sum(c.amount), 0) into new.amount_credited
    from app.invoice_credits as c where c.invoice_id = new.id;
  end if;
  if new.status = 'CANCELLED' then
    new.cancelled_at := coalesce(new.cancelled_at, now());
    if tg_op = 'UPDATE' then
      new.paid_at := old.paid_at;
    end if;
  else
    new.status := case
      when new.amount_credited + new.amount_written_off + new.amount_paid >= new.amount then 'PAID'
      when new.amount_paid > 0 then 'PARTIAL'
      else 'UNPAID'
    end::app.invoice_status_enum;
    -- A payment states its own date here; a credit and a write-off settle when they are booked.
    new.paid_at := case
      when new.status <> 'PAID' then null
      when v_was_paid then old.paid_at
      else coalesce(new.paid_at, now())
    end;
  end if;
  new.refund_due_since := case
    when app.refund_due(
      new.status, new.amount - new.amount_credited - new.amount_written_off, new.amount_paid) > 0
    then coalesce(new.refund_due_since, now())
  end;
  return new;
end $$;
create trigger _200_derive_status before insert or update on app.invoices
for each row execute function app.tg_invoices__derive_status();

-- SECURITY INVOKER, like the guard of orders.
create function app.tg_invoices__guard() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' then
    perform app.fail('APPEND_ONLY', 'Invoices are cancelled, not deleted',
      'Cancel the invoice instead');
  elsif tg_op = 'INSERT' then
    perform app.fail('NOT_ALLOWED', 'An invoice is issued by a call, which uses the credit',
      'Call api.approve_order or api.issue_invoice');
  elsif (new.order_id, new.partner_id, new.amount, new.invoice_number)
    is distinct from (old.order_id, old.partner_id, old.amount, old.invoice_number)
    or (old.status = 'CANCELLED' and new.status <> 'CANCELLED')
  then
    perform app.fail('INVOICE_CLOSED', new.invoice_number, 'Cancel the invoice instead');
  elsif current_user <> 'hub_owner' and new.amount_written_off <> old.amount_written_off then
    perform app.fail('NOT_ALLOWED', 'An invoice is written off by a call, which frees the credit',
      'Call api.write_off');
  elsif current_user <> 'hub_owner' and new.status = 'CANCELLED' and old.status <> 'CANCELLED' then
    perform app.fail('NOT_ALLOWED', 'An invoice is cancelled by a call, which frees the credit',
      'Call api.cancel_invoice');
  end if;
  return new;
end $$;
create trigger _100_guard before update or delete on app.invoices
for each row execute function app.tg_invoices__guard();
create trigger _100_guard_insert before insert on app.invoices
for each row when (current_user <> 'hub_owner') execute function app.tg_invoices__guard();

create function app.lock_invoice(p_invoice_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform from app.partners as p
  where p.id = (select i.partner_id from app.invoices as i where i.id = p_invoice_id)
  for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'invoice');
  end if;
  perform from app.invoices as i where i.id = p_invoice_id for no key update;
end $$;
comment on function app.lock_invoice(uuid) is
  'Locks the invoice after its partner; raises NOT_FOUND';

create function app.require_amount(p_amount numeric)
returns void language plpgsql stable
as $$
begin
  if p_amount is null or not p_amount > 0 or p_amount >= app.amount_limit()
    or p_amount <> round(p_amount, 2)
  then
    perform app.fail('INVALID_ARGUMENT', 'amount is IDR, more than 0, with at most two decimals');
  end if;
end $$;
comment on function app.require_amount(numeric) is
  'Raises INVALID_ARGUMENT unless the amount is IDR above 0 with at most two decimals';

create function app.unbilled_amount(p_order_id uuid)
returns numeric language plpgsql stable
as $$
begin
  return (
    select o.grand_total - coalesce((
      select sum(i.amount) from app.invoices as i
      where i.order_id = o.id and i.status <> 'CANCELLED'
    ), 0)
    from app.orders as o where o.id = p_order_id
  );
end $$;
comment on function app.unbilled_amount(uuid) is
  'IDR of an order that no live invoice bills';

create function app.require_billed(p_order_id uuid)
returns void language plpgsql stable
as $$
declare
  v_unbilled numeric := app.unbilled_amount(p_order_id);
begin
  if v_unbilled > 0 then
    perform app.fail('NOT_BILLED', (
      select format('%s: %s is not billed', o.order_number, app.format_rupiah(v_unbilled))
      from app.orders as o where o.id = p_order_id
    ));
  end if;
end $$;
comment on function app.require_billed(uuid) is
  'Raises NOT_BILLED unless live invoices bill the whole order';

-- The days were pinned at submission; orders that were submitted before use the present config.
create function app.invoice_due_days(p_order_id uuid)
returns int language plpgsql stable
as $$
begin
  return (
    select coalesce(o.due_days, app.config_int('invoice.due_days.' || lower(p.tier::text)))
    from app.orders as o join app.partners as p on p.id = o.partner_id
    where o.id = p_order_id
  );
end $$;
comment on function app.invoice_due_days(uuid) is
  'Days that the partner has to pay an invoice of this order';

-- The caller has locked the partner and the order, and knows that the amount is unbilled. What the
-- order used of the credit, the invoice uses from now on.
create function app.bill_order(
  p_order_id uuid, p_amount numeric, p_due_date timestamptz default null,
  p_reason text default null
)
returns uuid language plpgsql volatile
as $$
declare
  v_invoice record;
begin
  insert into app.invoices (order_id, partner_id, amount, due_date, created_by, issue_reason)
  select
    o.id, o.partner_id, p_amount,
    coalesce(p_due_date, now() + make_interval(days => app.invoice_due_days(o.id))),
    auth.current_agent_id(), p_reason
  from app.orders as o where o.id = p_order_id
  returning id into v_invoice;

  -- Goods that came back while an invoice of the order was cancelled
  perform app.credit_invoice(v_invoice.id, p_amount);
  select i.id, i.partner_id, i.invoice_number, i.amount_due, i.due_date into strict v_invoice
  from app.invoices as i where i.id = v_invoice.id;
  if v_invoice.amount_due > 0 then
    perform app.enqueue_message(
      'invoice_issued', 'PARTNER', v_invoice.partner_id, p_order_id, jsonb_build_object(
        'invoice_number', v_invoice.invoice_number,
        'amount', app.format_rupiah(v_invoice.amount_due),
        'due_date', app.format_day(v_invoice.due_date)
      ));
  end if;
  return v_invoice.id;
end $$;
comment on function app.bill_order(uuid, numeric, timestamptz, text) is
  'Bills an amount (IDR) of an order and notifies the partner; returns the invoice''s id';

create function app.issue_invoice(
  p_order_id uuid, p_amount numeric, p_due_date timestamptz, p_reason text,
  p_idempotency_key text
)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_reason text;
  v_due_date timestamptz;
  v_hash bytea;
  v_invoice_id uuid;
  v_unbilled numeric;
  v_order record;
begin
  v_key := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_reason := app.require_text('reason', p_reason, 500);
  v_due_date := app.optional_timestamp('due_date', p_due_date);
  perform app.require_amount(p_amount);
  v_hash := app.request_hash(jsonb_build_array(
    'issue_invoice', p_order_id, trim_scale(p_amount), extract(epoch from v_due_date), v_reason));
  v_invoice_id := app.find_result('issue_invoice', v_key, v_hash);
  if v_invoice_id is not null then
    return v_invoice_id;
  end if;
  perform app.lock_order(p_order_id);
  select o.order_number, o.status into strict v_order
  from app.orders as o where o.id = p_order_id;
  if v_order.status not in ('APPROVED', 'SHIPPED', 'COMPLETED') then
    perform app.fail('NOT_BILLABLE', format('%s is %s', v_order.order_number, v_order.status));
  end if;
  v_unbilled := app.unbilled_amount(p_order_id);
  if p_amount > v_unbilled then
    perform app.fail('INVOICE_EXCEEDS_ORDER', format('%s: %s is not billed',
      v_order.order_number, app.format_rupiah(v_unbilled)));
  end if;

  v_invoice_id := app.bill_order(p_order_id, p_amount, v_due_date, v_reason);
  perform app.store_result('issue_invoice', v_key, v_hash, v_invoice_id);
  return v_invoice_id;
end $$;
comment on function app.issue_invoice(uuid, numeric, timestamptz, text, text) is
  'Bills an amount (IDR) of an order that no live invoice bills, idempotent by key; due when '
  'stated, else after the partner''s days. Raises INVALID_ARGUMENT, NOT_FOUND, NOT_BILLABLE, '
  'INVOICE_EXCEEDS_ORDER, IDEMPOTENCY_CONFLICT';

-- The caller has locked the partner, checked that the invoice is live, and settles the points.
create function app.void_invoice(p_invoice_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_invoice record;
begin
  select i.partner_id, i.order_id, i.invoice_number, i.amount_due, i.amount_paid
  into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;

  update app.invoices as i set status = 'CANCELLED', cancel_reason = p_reason
  where i.id = p_invoice_id;

  perform app.use_credit(v_invoice.partner_id, -v_invoice.amount_due);
  perform app.withdraw_invoice_reminders(p_invoice_id);
  if v_invoice.amount_paid > 0 then
    perform app.notify_refund_due(p_invoice_id);
  end if;
end $$;
comment on function app.void_invoice(uuid, text) is
  'Cancels a live invoice: frees its credit, and notifies headquarters of what was paid';

create function app.notify_refund_due(p_invoice_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform app.notify_headquarters('refund_due', i.order_id, jsonb_build_object(
    'invoice_number', i.invoice_number, 'amount', app.format_rupiah(i.refund_due)))
  from app.invoices as i where i.id = p_invoice_id and i.refund_due > 0;
end $$;
comment on function app.notify_refund_due(uuid) is
  'Notifies headquarters of an invoice that was paid beyond what is billed';

create function app.cancel_invoices(p_order_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
begin
  perform app.void_invoice(i.id, p_reason)
  from app.invoices as i
  where i.order_id = p_order_id and i.status <> 'CANCELLED';
end $$;
comment on function app.cancel_invoices(uuid, text) is 'Cancels the live invoices of an order';

create function app.cancel_invoice(p_invoice_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_reason text;
  v_invoice record;
begin
  v_reason := app.require_text('reason', p_reason, 500);
  perform app.lock_invoice(p_invoice_id);
  select i.order_id, i.partner_id, i.invoice_number, i.amount, i.status, i.cancel_reason
  into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;
  if v_invoice.status = 'CANCELLED' and v_invoice.cancel_reason = v_reason then
    return;  -- a repeat of the call that cancelled it
  elsif v_invoice.status = 'CANCELLED' then
    perform app.fail('INVOICE_CLOSED', v_invoice.invoice_number);
  end if;
  perform app.void_invoice(p_invoice_id, v_reason);
  -- The order lives on and is to be billed again.
  perform app.use_credit(v_invoice.partner_id, v_invoice.amount);
  perform app.settle_points(
    v_invoice.order_id, p_invoice_id, v_invoice.invoice_number || ' dibatalkan');
end $$;
comment on function app.cancel_invoice(uuid, text) is
  'Cancels an invoice, also after shipping: its amount is unbilled again, and its vested points '
  'are taken back. A repeat with the same reason changes nothing. Raises NOT_FOUND, INVOICE_CLOSED';
