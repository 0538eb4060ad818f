-- Payments of invoices.

-- The caller holds the invoice's lock.
create function app.payment_refusal(p_invoice app.invoices, p_amount numeric)
returns text language sql immutable
as $$
  select case
    when p_invoice.status in ('PAID', 'CANCELLED') then 'INVOICE_CLOSED'
    when p_amount > p_invoice.amount - p_invoice.amount_paid then 'PAYMENT_EXCEEDS_DUE'
  end
$$;
comment on function app.payment_refusal(app.invoices, numeric) is
  'Code of the error that refuses such a payment, null if it is valid';

create function app.tg_invoice_payments__check() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_invoice app.invoices := app.lock_invoice(new.invoice_id);
  v_refusal text := app.payment_refusal(v_invoice, new.amount);
begin
  if v_refusal is not null then
    perform app.fail(v_refusal, format('%s: %s is due',
      v_invoice.invoice_number, app.format_rupiah(app.invoice_amount_due(v_invoice))));
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
  -- Any update makes the trigger _100_derive_status add up the payments.
  update app.invoices as i set updated_at = now() where i.id = new.invoice_id
  returning * into v_invoice;
  perform app.enqueue_message(
    'payment_received', 'PARTNER', new.partner_id, v_invoice.order_id, jsonb_build_object(
      'invoice_number', v_invoice.invoice_number, 'amount', app.format_rupiah(new.amount),
      'amount_due', app.format_rupiah(app.invoice_amount_due(v_invoice))
    ));
  return null;
end $$;
create trigger _200_settle after insert on app.invoice_payments
for each row execute function app.tg_invoice_payments__settle();

create function app.record_payment(
  p_invoice_id uuid, p_amount numeric, p_payment_method text, p_reference_number text,
  p_paid_at timestamptz, p_notes text
)
returns json language plpgsql volatile
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
  if p_amount is null or not p_amount > 0 or p_amount >= app.amount_limit()
    or p_amount <> round(p_amount, 2)
  then
    perform app.fail('INVALID_ARGUMENT', 'amount is IDR, more than 0, with at most two decimals');
  elsif p_paid_at > now() + interval '1 day' then
    perform app.fail('INVALID_ARGUMENT', 'paid_at is in the future');
  end if;
  -- A repeated reference is found before the invoice is checked: this payment may have settled it.
  select * into v_payment from app.invoice_payments as y
  where y.invoice_id = p_invoice_id and y.reference_number = v_reference;
  v_duplicate := found;
  if v_duplicate then
    if v_payment.amount <> p_amount then
      perform app.fail('PAYMENT_REFERENCE_REUSED',
        format('%s was %s', v_reference, app.format_rupiah(v_payment.amount)));
    end if;
  else
    insert into app.invoice_payments (
      invoice_id, partner_id, amount, payment_method, reference_number, notes, recorded_by, paid_at
    ) values (
      p_invoice_id, v_invoice.partner_id, p_amount, v_method, v_reference, v_notes,
      auth.current_agent_id(), coalesce(v_paid_at, now())
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
  'Records a payment (IDR); a reference counts once per invoice, and its repetition returns '
  'duplicate: true. Raises INVALID_ARGUMENT, NOT_FOUND, INVOICE_CLOSED, PAYMENT_EXCEEDS_DUE, '
  'PAYMENT_REFERENCE_REUSED';

create trigger _100_append_only before update or delete on app.invoice_payments
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.invoice_payments
for each statement execute function app.tg_append_only();
