-- Invoices and payments. amount_paid and status follow from the payments alone, whoever writes.

create function app.issue_invoice(p_order app.orders, p_amount numeric)
returns uuid language plpgsql volatile set search_path = ''
as $$
declare
  v_invoice app.invoices;
begin
  insert into app.invoices (order_id, partner_id, amount, due_date, created_by)
  select p_order.id, p_order.partner_id, p_amount,
    now() + make_interval(days => app.config_int('invoice.due_days.' || lower(p.tier::text))), auth.current_agent_id()
  from app.partners as p where p.id = p_order.partner_id
  returning * into v_invoice;
  perform app.enqueue_message('invoice_issued', 'PARTNER', p_order.partner_id, p_order.id, jsonb_build_object(
    'invoice_number', v_invoice.invoice_number, 'amount', app.format_rupiah(v_invoice.amount),
    'due_date', to_char(v_invoice.due_date at time zone 'Asia/Jakarta', 'DD-MM-YYYY')
  ));
  return v_invoice.id;
end $$;
comment on function app.issue_invoice(app.orders, numeric) is
  'Bills an amount (IDR) of an order; due after invoice.due_days.<tier> days; returns the invoice''s id';

create function app.tg_invoices__follow_payments() returns trigger
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
  select coalesce(sum(y.amount), 0) into new.amount_paid from app.invoice_payments as y where y.invoice_id = new.id;
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
create trigger _100_follow_payments before insert or update on app.invoices
for each row execute function app.tg_invoices__follow_payments();

create function app.invoice_amount_due(p_invoice app.invoices) returns numeric language sql immutable
as $$ select case when p_invoice.status in ('UNPAID', 'PARTIAL') then p_invoice.amount - p_invoice.amount_paid else 0 end $$;
comment on function app.invoice_amount_due(app.invoices) is 'IDR still owed on an invoice';

create function app.tg_invoices__effects() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' then
    perform app.fail('APPEND_ONLY', 'Invoices are cancelled, not deleted');
  elsif tg_op = 'INSERT' then
    perform app.use_credit(new.partner_id, app.invoice_amount_due(new));
  else
    perform app.use_credit(new.partner_id, app.invoice_amount_due(new) - app.invoice_amount_due(old));
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

-- Null: the payment is fine. The caller holds the invoice's lock.
create function app.payment_refusal(p_invoice app.invoices, p_amount numeric)
returns text language sql immutable
as $$
  select case
    when p_invoice.status in ('PAID', 'CANCELLED') then 'INVOICE_CLOSED'
    when p_amount > p_invoice.amount - p_invoice.amount_paid then 'PAYMENT_EXCEEDS_DUE'
  end
$$;
comment on function app.payment_refusal(app.invoices, numeric) is 'Code of the refusal of such a payment, null where it is fine';

create function app.lock_invoice(p_invoice_id uuid)
returns app.invoices language plpgsql volatile set search_path = ''
as $$
declare
  v_invoice app.invoices;
begin
  select * into v_invoice from app.invoices as i where i.id = p_invoice_id;
  if not found then
    perform app.fail('NOT_FOUND', 'invoice');
  end if;
  perform from app.partners as p where p.id = v_invoice.partner_id for no key update;
  select * into strict v_invoice from app.invoices as i where i.id = p_invoice_id for no key update;
  return v_invoice;
end $$;
comment on function app.lock_invoice(uuid) is 'The invoice, locked after its partner; raises NOT_FOUND';

create function app.tg_invoice_payments__check() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_invoice app.invoices := app.lock_invoice(new.invoice_id);
  v_refusal text := app.payment_refusal(v_invoice, new.amount);
begin
  if v_refusal is not null then
    perform app.fail(v_refusal, format('%s: %s is due', v_invoice.invoice_number, app.format_rupiah(app.invoice_amount_due(v_invoice))));
  end if;
  new.partner_id := v_invoice.partner_id;
  return new;
end $$;
create trigger _050_check before insert on app.invoice_payments
for each row execute function app.tg_invoice_payments__check();

create function app.tg_invoice_payments__settle() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_invoice app.invoices;
begin
  -- Any update makes _100_follow_payments add the payments up.
  update app.invoices as i set updated_at = now() where i.id = new.invoice_id returning * into v_invoice;
  perform app.enqueue_message('payment_received', 'PARTNER', new.partner_id, v_invoice.order_id, jsonb_build_object(
    'invoice_number', v_invoice.invoice_number, 'amount', app.format_rupiah(new.amount),
    'amount_due', app.format_rupiah(app.invoice_amount_due(v_invoice))));
  return null;
end $$;
create trigger _200_settle after insert on app.invoice_payments
for each row execute function app.tg_invoice_payments__settle();

create function app.record_payment(
  p_invoice_id uuid, p_amount numeric, p_payment_method text, p_reference_number text, p_paid_at timestamptz, p_notes text
)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_method text := app.optional_text('payment_method', p_payment_method, 50);
  v_reference text := app.optional_text('reference_number', p_reference_number, 100);
  v_notes text := app.optional_text('notes', p_notes, 2000);
  v_paid_at timestamptz := app.optional_timestamp('paid_at', p_paid_at);
  v_invoice app.invoices := app.lock_invoice(p_invoice_id);
  v_payment app.invoice_payments;
  v_duplicate boolean;
begin
  if p_amount is null or not p_amount > 0 or p_amount >= 1e13 or p_amount <> round(p_amount, 2) then
    perform app.fail('INVALID_ARGUMENT', 'amount is IDR, more than 0, with at most two decimals');
  elsif p_paid_at > now() + interval '1 day' then
    perform app.fail('INVALID_ARGUMENT', 'paid_at is in the future');
  end if;
  -- A repeated reference is looked for before anything else: the invoice may be paid by the very payment.
  select * into v_payment from app.invoice_payments as y
  where y.invoice_id = p_invoice_id and y.reference_number = v_reference;
  v_duplicate := found;
  if v_duplicate then
    if v_payment.amount <> p_amount then
      perform app.fail('PAYMENT_REFERENCE_REUSED', format('%s was %s', v_reference, app.format_rupiah(v_payment.amount)));
    end if;
  else
    insert into app.invoice_payments (
      invoice_id, partner_id, amount, payment_method, reference_number, notes, recorded_by, paid_at
    ) values (
      p_invoice_id, v_invoice.partner_id, p_amount, v_method, v_reference, v_notes, auth.current_agent_id(),
      coalesce(v_paid_at, now())
    ) returning * into v_payment;
    select * into strict v_invoice from app.invoices as i where i.id = p_invoice_id;
  end if;
  return json_build_object(
    'payment_id', v_payment.id, 'duplicate', v_duplicate, 'amount', v_payment.amount,
    'reference_number', v_payment.reference_number, 'paid_at', v_payment.paid_at,
    'invoice', json_build_object(
      'id', v_invoice.id, 'invoice_number', v_invoice.invoice_number, 'amount', v_invoice.amount,
      'amount_paid', v_invoice.amount_paid, 'status', v_invoice.status
    )
  );
end $$;
comment on function app.record_payment(uuid, numeric, text, text, timestamptz, text) is
  'Books money received; the same reference on the same invoice counts once and is answered with duplicate: true';

create function app.cancel_invoice(p_invoice_id uuid, p_reason text)
returns uuid language plpgsql volatile set search_path = ''
as $$
declare
  v_reason text := app.require_text('reason', p_reason, 500);
  v_invoice app.invoices := app.lock_invoice(p_invoice_id);
begin
  if v_invoice.status = 'CANCELLED' then
    perform app.fail('INVOICE_CLOSED', v_invoice.invoice_number);
  end if;
  update app.invoices as i set status = 'CANCELLED', cancel_reason = v_reason where i.id = p_invoice_id;
  return p_invoice_id;
end $$;
comment on function app.cancel_invoice(uuid, text) is 'Cancels an invoice: it is owed no more, and its vested points go back';

create trigger _100_append_only before update or delete on app.invoice_payments
for each row execute function app.tg_append_only();
create trigger _200_never_empty before truncate on app.invoice_payments
for each statement execute function app.tg_append_only();
