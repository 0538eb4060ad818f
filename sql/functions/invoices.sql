-- Invoices. amount_paid and status follow from the payments (invoices_payments.sql), also for
-- changes by psql.

create function app.issue_invoice(p_order app.orders, p_amount numeric)
returns uuid language plpgsql volatile
as $$
declare
  v_invoice app.invoices;
begin
  insert into app.invoices (order_id, partner_id, amount, due_date, created_by)
  select
    p_order.id, p_order.partner_id, p_amount,
    now() + make_interval(days => app.config_int('invoice.due_days.' || lower(p.tier::text))),
    auth.current_agent_id()
  from app.partners as p where p.id = p_order.partner_id
  returning * into v_invoice;
  perform app.enqueue_message(
    'invoice_issued', 'PARTNER', p_order.partner_id, p_order.id, jsonb_build_object(
      'invoice_number', v_invoice.invoice_number, 'amount', app.format_rupiah(v_invoice.amount),
      'due_date', to_char(v_invoice.due_date at time zone 'Asia/Jakarta', 'DD-MM-YYYY')
    ));
  return v_invoice.id;
end $$;
comment on function app.issue_invoice(app.orders, numeric) is
  'Bills an amount (IDR) of an order, due after invoice.due_days.<tier> days; returns the '
  'invoice''s id';

create function app.tg_invoices__derive_status() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'UPDATE' then
    if (new.order_id, new.partner_id, new.amount, new.invoice_number)
      is distinct from (old.order_id, old.partner_id, old.amount, old.invoice_number)
      or (old.status = 'CANCELLED' and new.status <> 'CANCELLED')
    then
      perform app.fail('INVOICE_CLOSED', new.invoice_number, 'Cancel the invoice instead');
    end if;
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
create trigger _100_derive_status before insert or update on app.invoices
for each row execute function app.tg_invoices__derive_status();

create function app.invoice_amount_due(p_invoice app.invoices)
returns numeric language sql immutable
as $$
  select case
    when p_invoice.status in ('UNPAID', 'PARTIAL') then p_invoice.amount - p_invoice.amount_paid
    else 0
  end
$$;
comment on function app.invoice_amount_due(app.invoices) is
  'IDR that the partner still owes on an invoice';

create function app.tg_invoices__effects() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' then
    perform app.fail('APPEND_ONLY', 'Invoices are cancelled, not deleted',
      'Cancel the invoice instead');
  elsif tg_op = 'INSERT' then
    perform app.use_credit(new.partner_id, app.invoice_amount_due(new));
  else
    perform app.use_credit(
      new.partner_id, app.invoice_amount_due(new) - app.invoice_amount_due(old));
    if old.status = 'PAID' and new.status = 'CANCELLED' then
      perform app.reverse_vested_points(new);
    end if;
    if new.status = 'CANCELLED' and old.status <> 'CANCELLED' and new.amount_paid > 0 then
      perform app.notify_headquarters('refund_due', new.order_id, jsonb_build_object(
        'invoice_number', new.invoice_number, 'amount', app.format_rupiah(new.amount_paid)));
    end if;
  end if;
  if new.status = 'PAID' and (tg_op = 'INSERT' or old.status <> 'PAID') then
    insert into app.point_queue (invoice_id) values (new.id);
  end if;
  return null;
end $$;
create trigger _200_effects after insert or update or delete on app.invoices
for each row execute function app.tg_invoices__effects();

create function app.lock_invoice(p_invoice_id uuid)
returns app.invoices language plpgsql volatile
as $$
declare
  v_invoice app.invoices;
begin
  select * into v_invoice from app.invoices as i where i.id = p_invoice_id;
  if not found then
    perform app.fail('NOT_FOUND', 'invoice');
  end if;
  perform from app.partners as p where p.id = v_invoice.partner_id for no key update;
  select * into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id for no key update;
  return v_invoice;
end $$;
comment on function app.lock_invoice(uuid) is
  'The invoice, locked after its partner; raises NOT_FOUND';

create function app.cancel_invoice(p_invoice_id uuid, p_reason text)
returns uuid language plpgsql volatile
as $$
declare
  v_reason text := app.require_text('reason', p_reason, 500);
  v_invoice app.invoices := app.lock_invoice(p_invoice_id);
begin
  if v_invoice.status = 'CANCELLED' then
    perform app.fail('INVOICE_CLOSED', v_invoice.invoice_number);
  end if;
  update app.invoices as i set status = 'CANCELLED', cancel_reason = v_reason
  where i.id = p_invoice_id;
  return p_invoice_id;
end $$;
comment on function app.cancel_invoice(uuid, text) is
  'Cancels an invoice: nothing is owed on it any more, and its vested points are reversed. '
  'Raises NOT_FOUND, INVOICE_CLOSED';
