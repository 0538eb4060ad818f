-- Payments of invoices.

-- The caller holds the invoice's lock.
create function app.payment_refusal(p_invoice_id uuid, p_amount numeric)
returns text language plpgsql stable
as $$
begin
  return (
    select case
      when i.status in ('PAID', 'CANCELLED') then 'INVOICE_CLOSED'
      when p_amount > i.amount - i.amount_paid then 'PAYMENT_EXCEEDS_DUE'
    end
    from app.invoices as i where i.id = p_invoice_id
  );
end $$;
comment on function app.payment_refusal(uuid, numeric) is
  'Code of the error that refuses such a payment (IDR), null if it is valid';

-- SECURITY INVOKER, like the guard of orders.
create function app.tg_invoice_payments__guard() returns trigger
language plpgsql
as $$
begin
  perform app.fail('NOT_ALLOWED', 'A payment is recorded by a call, which also frees the credit',
    'Call api.record_payment');
  return null;
end $$;
create trigger _050_guard_writer before insert on app.invoice_payments
for each row when (current_user <> 'hub_owner') execute function app.tg_invoice_payments__guard();

create function app.tg_invoice_payments__derive_invoice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  -- Any update makes the trigger _200_derive_status add up the payments.
  update app.invoices as i set updated_at = now() where i.id = new.invoice_id;
  return null;
end $$;
create trigger _200_derive_invoice after insert on app.invoice_payments
for each row execute function app.tg_invoice_payments__derive_invoice();

create function app.record_payment(
  p_invoice_id uuid, p_amount numeric, p_payment_method text, p_reference_number text,
  p_paid_at timestamptz, p_notes text
)
returns json language plpgsql volatile
as $$
declare
  v_method text;
  v_reference text;
  v_notes text;
  v_paid_at timestamptz;
  v_refusal text;
  v_payment record;
  v_invoice record;
begin
  v_method := app.optional_text('payment_method', p_payment_method, 50);
  v_reference := app.optional_text('reference_number', p_reference_number, 100);
  v_notes := app.optional_text('notes', p_notes, 2000);
  v_paid_at := app.optional_timestamp('paid_at', p_paid_at);
  perform app.lock_invoice(p_invoice_id);
  if p_amount is null or not p_amount > 0 or p_amount >= app.amount_limit()
    or p_amount <> round(p_amount, 2)
  then
    perform app.fail('INVALID_ARGUMENT', 'amount is IDR, more than 0, with at most two decimals');
  elsif p_paid_at > now() + interval '1 day' then
    perform app.fail('INVALID_ARGUMENT', 'paid_at is in the future');
  end if;
  -- A repeated reference is found before the invoice is checked: this payment may have settled it.
  select y.id, y.amount, y.reference_number, y.paid_at into v_payment
  from app.invoice_payments as y
  where y.invoice_id = p_invoice_id and y.reference_number = v_reference;
  if found then
    if v_payment.amount <> p_amount then
      perform app.fail('PAYMENT_REFERENCE_REUSED',
        format('%s was %s', v_reference, app.format_rupiah(v_payment.amount)));
    end if;
    return app.payment_answer(v_payment.id, true);
  end if;
  v_refusal := app.payment_refusal(p_invoice_id, p_amount);
  if v_refusal is not null then
    perform app.fail(v_refusal, (
      select format('%s: %s is due', i.invoice_number, app.format_rupiah(
        app.invoice_amount_due(i.status, i.amount, i.amount_paid)))
      from app.invoices as i where i.id = p_invoice_id
    ));
  end if;

  insert into app.invoice_payments (
    invoice_id, partner_id, amount, payment_method, reference_number, notes, recorded_by, paid_at
  )
  select
    p_invoice_id, i.partner_id, p_amount, v_method, v_reference, v_notes, auth.current_agent_id(),
    coalesce(v_paid_at, now())
  from app.invoices as i where i.id = p_invoice_id
  returning id, partner_id into v_payment;

  -- The triggers have added the payment to the invoice.
  select
    i.order_id, i.invoice_number, i.status,
    app.invoice_amount_due(i.status, i.amount, i.amount_paid) as amount_due
  into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;
  perform app.use_credit(v_payment.partner_id, -p_amount);
  if v_invoice.status = 'PAID' then
    perform app.enqueue_vesting(p_invoice_id);
    perform app.withdraw_invoice_reminders(p_invoice_id);
  end if;
  perform app.enqueue_message(
    'payment_received', 'PARTNER', v_payment.partner_id, v_invoice.order_id, jsonb_build_object(
      'invoice_number', v_invoice.invoice_number, 'amount', app.format_rupiah(p_amount),
      'amount_due', app.format_rupiah(v_invoice.amount_due)
    ));
  return app.payment_answer(v_payment.id, false);
end $$;
comment on function app.record_payment(uuid, numeric, text, text, timestamptz, text) is
  'Records a payment (IDR); a reference counts once per invoice, and its repetition returns '
  'duplicate: true. Raises INVALID_ARGUMENT, NOT_FOUND, INVOICE_CLOSED, PAYMENT_EXCEEDS_DUE, '
  'PAYMENT_REFERENCE_REUSED';

create function app.payment_answer(p_payment_id uuid, p_duplicate boolean)
returns json language plpgsql stable
as $$
begin
  return (
    select json_build_object(
      'payment_id', y.id, 'duplicate', p_duplicate, 'amount', y.amount,
      'reference_number', y.reference_number, 'paid_at', y.paid_at,
      'invoice', json_build_object(
        'id', i.id, 'invoice_number', i.invoice_number, 'amount', i.amount,
        'amount_paid', i.amount_paid, 'status', i.status
      )
    )
    from app.invoice_payments as y join app.invoices as i on i.id = y.invoice_id
    where y.id = p_payment_id
  );
end $$;
comment on function app.payment_answer(uuid, boolean) is
  'A recorded payment and its invoice, as record_payment returns them';

create trigger _100_append_only before update or delete on app.invoice_payments
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.invoice_payments
for each statement execute function app.tg_append_only();
