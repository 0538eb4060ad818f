-- Invoices: issued, cancelled, and what may never be done to them. amount_paid and status follow
-- from the payments (invoices_payments.sql), also for changes by psql.

create function app.tg_invoices__derive_status() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'UPDATE' then
    new.updated_at := now();
  end if;
  select coalesce(sum(y.amount), 0) into new.amount_paid
  from app.invoice_payments as y where y.invoice_id = new.id;
  if new.status = 'CANCELLED' then
    new.cancelled_at := coalesce(new.cancelled_at, now());
  else
    new.status := case
      when new.amount_paid = new.amount then 'PAID'
      when new.amount_paid > 0 then 'PARTIAL'
      else 'UNPAID'
    end::app.invoice_status_enum;
    new.paid_at := case when new.status = 'PAID' then coalesce(new.paid_at, now()) end;
  end if;
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
      'Call api.approve_order');
  elsif (new.order_id, new.partner_id, new.amount, new.invoice_number)
    is distinct from (old.order_id, old.partner_id, old.amount, old.invoice_number)
    or (old.status = 'CANCELLED' and new.status <> 'CANCELLED')
  then
    perform app.fail('INVOICE_CLOSED', new.invoice_number, 'Cancel the invoice instead');
  elsif new.status = 'CANCELLED' and old.status <> 'CANCELLED' and current_user <> 'hub_owner' then
    perform app.fail('NOT_ALLOWED', 'An invoice is cancelled by a call, which frees the credit',
      'Call api.cancel_invoice');
  end if;
  return new;
end $$;
create trigger _100_guard before update or delete on app.invoices
for each row execute function app.tg_invoices__guard();
create trigger _100_guard_insert before insert on app.invoices
for each row when (current_user <> 'hub_owner') execute function app.tg_invoices__guard();

create function app.invoice_amount_due(
  p_status app.invoice_status_enum, p_amount numeric, p_amount_paid numeric
)
returns numeric language sql immutable
as $$
  select case when p_status in ('UNPAID', 'PARTIAL') then p_amount - p_amount_paid else 0 end
$$;
comment on function app.invoice_amount_due(app.invoice_status_enum, numeric, numeric) is
  'IDR that the partner still owes on an invoice';

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

-- The caller has locked the partner.
create function app.issue_invoice(p_order_id uuid, p_amount numeric)
returns uuid language plpgsql volatile
as $$
declare
  v_partner record;
  v_invoice record;
begin
  select
    p.id,
    coalesce(o.due_days, app.config_int('invoice.due_days.' || lower(p.tier::text))) as due_days
  into strict v_partner
  from app.orders as o join app.partners as p on p.id = o.partner_id where o.id = p_order_id;

  insert into app.invoices (order_id, partner_id, amount, due_date, created_by)
  values (
    p_order_id, v_partner.id, p_amount,
    now() + make_interval(days => v_partner.due_days),
    auth.current_agent_id()
  )
  returning id, invoice_number, amount, due_date, status into v_invoice;

  perform app.use_credit(v_partner.id, p_amount);
  if v_invoice.status = 'PAID' then  -- nothing to pay
    perform app.enqueue_vesting(v_invoice.id);
  end if;
  perform app.enqueue_message(
    'invoice_issued', 'PARTNER', v_partner.id, p_order_id, jsonb_build_object(
      'invoice_number', v_invoice.invoice_number, 'amount', app.format_rupiah(v_invoice.amount),
      'due_date', to_char(v_invoice.due_date at time zone 'Asia/Jakarta', 'DD-MM-YYYY')
    ));
  return v_invoice.id;
end $$;
comment on function app.issue_invoice(uuid, numeric) is
  'Bills an amount (IDR) of an order, due after the days pinned at its submission; returns the '
  'invoice''s id';

-- The caller has locked the partner and checked that the invoice is live.
create function app.void_invoice(p_invoice_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_invoice record;
begin
  select i.partner_id, i.order_id, i.invoice_number, i.amount, i.amount_paid, i.status
  into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;

  update app.invoices as i set status = 'CANCELLED', cancel_reason = p_reason
  where i.id = p_invoice_id;

  perform app.use_credit(v_invoice.partner_id, -app.invoice_amount_due(
    v_invoice.status, v_invoice.amount, v_invoice.amount_paid));
  perform app.take_back_points(p_invoice_id);
  perform app.withdraw_invoice_reminders(p_invoice_id);
  if v_invoice.amount_paid > 0 then
    perform app.notify_headquarters('refund_due', v_invoice.order_id, jsonb_build_object(
      'invoice_number', v_invoice.invoice_number,
      'amount', app.format_rupiah(v_invoice.amount_paid)));
  end if;
end $$;
comment on function app.void_invoice(uuid, text) is
  'Cancels a live invoice: frees its credit, takes back its points, and notifies headquarters of '
  'what was paid';

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
  select i.invoice_number, i.status into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;
  if v_invoice.status = 'CANCELLED' then
    perform app.fail('INVOICE_CLOSED', v_invoice.invoice_number);
  end if;
  perform app.void_invoice(p_invoice_id, v_reason);
end $$;
comment on function app.cancel_invoice(uuid, text) is
  'Cancels an invoice: nothing is owed on it any more, and its vested points are taken back. '
  'Raises NOT_FOUND, INVOICE_CLOSED';
