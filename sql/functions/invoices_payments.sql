-- Payments of invoices, and what corrects them: reversals, refunds and write-offs.

-- The caller holds the invoice's lock.
create function app.payment_refusal(p_invoice_id uuid, p_amount numeric)
returns text language plpgsql stable
as $$
begin
  return (
    select case
      when i.status in ('PAID', 'CANCELLED') then 'INVOICE_CLOSED'
      when p_amount > i.amount_due then 'PAYMENT_EXCEEDS_DUE'
    end
    from app.invoices as i where i.id = p_invoice_id
  );
end $$;
comment on function app.payment_refusal(uuid, numeric) is
  'Code of the error that refuses such a payment (IDR), null if it is valid';

create function app.is_reversed(p_payment_id uuid)
returns boolean language plpgsql stable
as $$
begin
  return exists (
    select from app.invoice_payments as r where r.reverses_payment_id = p_payment_id
  );
end $$;
comment on function app.is_reversed(uuid) is 'True if the payment was reversed';

create function app.find_payment(p_invoice_id uuid, p_kind text, p_reference text)
returns uuid language plpgsql stable
as $$
begin
  return (
    select y.id from app.invoice_payments as y
    where y.invoice_id = p_invoice_id and y.kind = p_kind
      and y.reference_key = app.reference_key(p_reference) and not app.is_reversed(y.id)
  );
end $$;
comment on function app.find_payment(uuid, text, text) is
  'The PAYMENT or REFUND of an invoice with this reference, regardless of case and spaces, that '
  'was not reversed; null if there is none';

create function app.find_repeated_payment(
  p_invoice_id uuid, p_kind text, p_reference text, p_amount numeric
)
returns uuid language plpgsql stable
as $$
declare
  v_payment_id uuid := app.find_payment(p_invoice_id, p_kind, p_reference);
  v_recorded_amount numeric;
begin
  select abs(y.amount) into v_recorded_amount
  from app.invoice_payments as y where y.id = v_payment_id;
  if v_recorded_amount <> p_amount then
    perform app.fail('PAYMENT_REFERENCE_REUSED',
      format('%s was %s', p_reference, app.format_rupiah(v_recorded_amount)));
  end if;
  return v_payment_id;
end $$;
comment on function app.find_repeated_payment(uuid, text, text, numeric) is
  'The PAYMENT or REFUND that a repeated call has recorded, null if there is none; raises '
  'PAYMENT_REFERENCE_REUSED if its amount (IDR) was another one';

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
  -- Any update makes the trigger _200_derive_status add up the payments; the date counts only if
  -- this payment settles the invoice.
  update app.invoices as i set paid_at = new.paid_at where i.id = new.invoice_id;
  return null;
end $$;
create trigger _200_derive_invoice after insert on app.invoice_payments
for each row execute function app.tg_invoice_payments__derive_invoice();

create function app.insert_payment(
  p_invoice_id uuid, p_kind text, p_amount numeric, p_payment_method text,
  p_reference_number text, p_notes text, p_paid_at timestamptz, p_reverses_payment_id uuid
)
returns uuid language plpgsql volatile
as $$
declare
  v_id uuid;
  v_before record;
begin
  select i.partner_id, i.amount_due into strict v_before
  from app.invoices as i where i.id = p_invoice_id;

  insert into app.invoice_payments (
    invoice_id, partner_id, kind, amount, payment_method, reference_number, notes, recorded_by,
    paid_at, reverses_payment_id, reference_use
  )
  values (
    p_invoice_id, v_before.partner_id, p_kind, p_amount, p_payment_method, p_reference_number,
    p_notes, auth.current_agent_id(), p_paid_at, p_reverses_payment_id,
    (
      select count(*) from app.invoice_payments as r
      where r.invoice_id = p_invoice_id and r.kind = 'REVERSAL'
        and r.reference_key = app.reference_key(p_reference_number)
    )
  )
  returning id into v_id;

  -- The triggers have added the payment to the invoice.
  perform app.use_credit(i.partner_id, i.amount_due - v_before.amount_due)
  from app.invoices as i where i.id = p_invoice_id;
  return v_id;
end $$;
comment on function app.insert_payment(
  uuid, text, numeric, text, text, text, timestamptz, uuid
) is
  'Books a payment, reversal or refund (IDR, signed) and changes the credit by what is due less; '
  'returns its id. The caller holds the invoice''s lock';

create function app.record_payment(
  p_invoice_id uuid, p_amount numeric, p_payment_method text, p_reference_number text,
  p_paid_at timestamptz, p_notes text, p_idempotency_key text default null
)
returns json language plpgsql volatile
as $$
declare
  v_key text;
  v_method text;
  v_reference text;
  v_notes text;
  v_paid_at timestamptz;
  v_hash bytea;
  v_refusal text;
  v_payment_id uuid;
  v_invoice record;
begin
  v_key := app.optional_text('idempotency_key', p_idempotency_key, 200);
  v_method := app.optional_text('payment_method', p_payment_method, 50);
  v_reference := app.optional_text('reference_number', p_reference_number, 100);
  v_notes := app.optional_text('notes', p_notes, 2000);
  v_paid_at := app.optional_timestamp('paid_at', p_paid_at);
  v_hash := app.request_hash(jsonb_build_array(
    'record_payment', p_invoice_id, trim_scale(p_amount), v_method, v_reference,
    extract(epoch from v_paid_at), v_notes));
  v_payment_id := app.find_result('record_payment', v_key, v_hash);
  if v_payment_id is not null then
    return app.payment_answer(v_payment_id, true);
  end if;
  perform app.lock_invoice(p_invoice_id);
  perform app.require_amount(p_amount);
  if v_paid_at > now() + interval '1 day' then
    perform app.fail('INVALID_ARGUMENT', 'paid_at is in the future');
  elsif v_reference is null and v_key is null then
    perform app.fail('INVALID_ARGUMENT', 'reference_number or idempotency_key is missing',
      'Send an idempotency_key with a payment that has no reference');
  end if;
  -- A repeated reference is found before the invoice is checked: this payment may have settled it.
  v_payment_id := app.find_repeated_payment(p_invoice_id, 'PAYMENT', v_reference, p_amount);
  if v_payment_id is not null then
    perform app.store_result('record_payment', v_key, v_hash, v_payment_id);
    return app.payment_answer(v_payment_id, true);
  end if;
  v_refusal := app.payment_refusal(p_invoice_id, p_amount);
  if v_refusal is not null then
    perform app.fail(v_refusal, (
      select format('%s: %s is due', i.invoice_number, app.format_rupiah(i.amount_due))
      from app.invoices as i where i.id = p_invoice_id
    ));
  end if;

  v_payment_id := app.insert_payment(
    p_invoice_id, 'PAYMENT', p_amount, v_method, v_reference, v_notes,
    coalesce(v_paid_at, now()), null);
  select i.partner_id, i.order_id, i.invoice_number, i.status, i.amount_due into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;
  if v_invoice.status = 'PAID' then
    perform app.enqueue_vesting(p_invoice_id);
    perform app.withdraw_invoice_reminders(p_invoice_id);
  end if;
  perform app.store_result('record_payment', v_key, v_hash, v_payment_id);
  perform app.enqueue_message(
    'payment_received', 'PARTNER', v_invoice.partner_id, v_invoice.order_id, jsonb_build_object(
      'invoice_number', v_invoice.invoice_number, 'amount', app.format_rupiah(p_amount),
      'amount_due', app.format_rupiah(v_invoice.amount_due)
    ));
  return app.payment_answer(v_payment_id, false);
end $$;
comment on function app.record_payment(uuid, numeric, text, text, timestamptz, text, text) is
  'Records a payment (IDR); a reference counts once per invoice, and its repetition, or that of '
  'the key, returns duplicate: true. Raises INVALID_ARGUMENT, NOT_FOUND, INVOICE_CLOSED, '
  'PAYMENT_EXCEEDS_DUE, PAYMENT_REFERENCE_REUSED, IDEMPOTENCY_CONFLICT';

create function app.payment_answer(p_payment_id uuid, p_duplicate boolean)
returns json language plpgsql stable
as $$
begin
  return (
    select json_build_object(
      'payment_id', y.id, 'duplicate', p_duplicate, 'amount', y.amount,
      'reference_number', y.reference_number, 'paid_at', y.paid_at,
      'is_reversed', app.is_reversed(y.id),
      'invoice', json_build_object(
        'id', i.id, 'invoice_number', i.invoice_number, 'amount', i.amount,
        'amount_paid', i.amount_paid, 'amount_due', i.amount_due, 'status', i.status
      )
    )
    from app.invoice_payments as y join app.invoices as i on i.id = y.invoice_id
    where y.id = p_payment_id
  );
end $$;
comment on function app.payment_answer(uuid, boolean) is
  'A recorded payment and its invoice, as record_payment returns them';

create function app.reverse_payment(p_payment_id uuid, p_reason text)
returns uuid language plpgsql volatile
as $$
declare
  v_reason text;
  v_invoice_id uuid;
  v_payment record;
  v_invoice record;
  v_reversal record;
  v_id uuid;
begin
  v_reason := app.require_text('reason', p_reason, 500);
  select y.invoice_id into v_invoice_id
  from app.invoice_payments as y where y.id = p_payment_id;
  if not found then
    perform app.fail('NOT_FOUND', 'payment');
  end if;
  perform app.lock_invoice(v_invoice_id);
  select y.kind, y.amount, y.payment_method, y.reference_number into strict v_payment
  from app.invoice_payments as y where y.id = p_payment_id;
  select r.id, r.notes into v_reversal
  from app.invoice_payments as r where r.reverses_payment_id = p_payment_id;
  if found and v_reversal.notes = v_reason then
    return v_reversal.id;  -- a repeat of the call that reversed it
  elsif found then
    perform app.fail('PAYMENT_REVERSED', v_reversal.notes);
  end if;
  select i.order_id, i.partner_id, i.invoice_number, i.amount_paid into strict v_invoice
  from app.invoices as i where i.id = v_invoice_id;
  if v_payment.kind <> 'PAYMENT' then
    perform app.fail('PAYMENT_NOT_REVERSIBLE', format('It is a %s', lower(v_payment.kind)));
  elsif v_payment.amount > v_invoice.amount_paid then
    perform app.fail('PAYMENT_NOT_REVERSIBLE', format('%s: after its refunds, %s is paid',
      v_invoice.invoice_number, app.format_rupiah(v_invoice.amount_paid)));
  end if;

  v_id := app.insert_payment(
    v_invoice_id, 'REVERSAL', -v_payment.amount, v_payment.payment_method,
    v_payment.reference_number, v_reason, now(), p_payment_id);
  perform app.settle_points(
    v_invoice.order_id, v_invoice_id, v_invoice.invoice_number || ' pembayaran dibatalkan');
  -- what the ERP reported as taken back is settled by this
  delete from app.erp_quarantine as a
  where a.reason = 'TAKEN_BACK'
    and a.key = app.payment_key(v_invoice.invoice_number, v_payment.reference_number);
  perform app.enqueue_message(
    'payment_reversed', 'PARTNER', v_invoice.partner_id, v_invoice.order_id, (
      select jsonb_build_object(
        'invoice_number', i.invoice_number, 'amount', app.format_rupiah(v_payment.amount),
        'amount_due', app.format_rupiah(i.amount_due))
      from app.invoices as i where i.id = v_invoice_id
    ));
  return v_id;
end $$;
comment on function app.reverse_payment(uuid, text) is
  'Takes a payment back that was recorded by mistake, or whose money did not arrive; returns the '
  'reversal''s id, also for a repeat with the same reason. Raises INVALID_ARGUMENT, NOT_FOUND, '
  'PAYMENT_REVERSED, PAYMENT_NOT_REVERSIBLE';

create function app.record_refund(
  p_invoice_id uuid, p_amount numeric, p_reference_number text, p_reason text,
  p_idempotency_key text
)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_reference text;
  v_reason text;
  v_hash bytea;
  v_refund_id uuid;
  v_invoice record;
begin
  v_key := app.optional_text('idempotency_key', p_idempotency_key, 200);
  v_reference := app.optional_text('reference_number', p_reference_number, 100);
  v_reason := app.require_text('reason', p_reason, 500);
  v_hash := app.request_hash(jsonb_build_array(
    'record_refund', p_invoice_id, trim_scale(p_amount), v_reference, v_reason));
  v_refund_id := app.find_result('record_refund', v_key, v_hash);
  if v_refund_id is not null then
    return v_refund_id;
  end if;
  perform app.lock_invoice(p_invoice_id);
  perform app.require_amount(p_amount);
  if v_reference is null and v_key is null then
    perform app.fail('INVALID_ARGUMENT', 'reference_number or idempotency_key is missing',
      'Send an idempotency_key with a refund that has no reference');
  end if;
  v_refund_id := app.find_repeated_payment(p_invoice_id, 'REFUND', v_reference, p_amount);
  if v_refund_id is not null then
    perform app.store_result('record_refund', v_key, v_hash, v_refund_id);
    return v_refund_id;
  end if;
  select i.invoice_number, i.refund_due into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;
  if p_amount > v_invoice.refund_due then
    perform app.fail('REFUND_EXCEEDS_DUE', format('%s: %s is due to the partner',
      v_invoice.invoice_number, app.format_rupiah(v_invoice.refund_due)));
  end if;

  v_refund_id := app.insert_payment(
    p_invoice_id, 'REFUND', -p_amount, null, v_reference, v_reason, now(), null);
  perform app.store_result('record_refund', v_key, v_hash, v_refund_id);
  return v_refund_id;
end $$;
comment on function app.record_refund(uuid, numeric, text, text, text) is
  'Records money paid back to the partner (IDR), at most refund_due, idempotent by key and by '
  'reference; returns its id. Raises INVALID_ARGUMENT, NOT_FOUND, REFUND_EXCEEDS_DUE, '
  'PAYMENT_REFERENCE_REUSED, IDEMPOTENCY_CONFLICT';

create function app.write_off(p_invoice_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_reason text;
  v_max numeric := app.config_numeric('invoice.write_off_max');
  v_invoice record;
begin
  v_reason := app.require_text('reason', p_reason, 500);
  perform app.lock_invoice(p_invoice_id);
  select
    i.partner_id, i.invoice_number, i.status, i.amount_due, i.amount_written_off,
    i.write_off_reason
  into strict v_invoice
  from app.invoices as i where i.id = p_invoice_id;
  if v_invoice.write_off_reason = v_reason then
    return;  -- a repeat of the call that wrote it off
  elsif v_invoice.amount_written_off > 0 then
    perform app.fail('ALREADY_WRITTEN_OFF', format('%s: %s, %s', v_invoice.invoice_number,
      app.format_rupiah(v_invoice.amount_written_off), v_invoice.write_off_reason));
  elsif v_invoice.status in ('PAID', 'CANCELLED') then
    perform app.fail('INVOICE_CLOSED', v_invoice.invoice_number);
  elsif v_invoice.amount_due > v_max then
    perform app.fail('WRITE_OFF_TOO_LARGE', format('%s: %s is due, at most %s',
      v_invoice.invoice_number, app.format_rupiah(v_invoice.amount_due),
      app.format_rupiah(v_max)));
  end if;

  update app.invoices as i set
    amount_written_off = i.amount_due, written_off_at = now(), write_off_reason = v_reason
  where i.id = p_invoice_id;
  perform app.use_credit(v_invoice.partner_id, -v_invoice.amount_due);
  perform app.enqueue_vesting(p_invoice_id);
  perform app.withdraw_invoice_reminders(p_invoice_id);
end $$;
comment on function app.write_off(uuid, text) is
  'Gives up what is due on an invoice, once and at most invoice.write_off_max: the invoice is '
  'PAID. A repeat with the same reason changes nothing. Raises INVALID_ARGUMENT, NOT_FOUND, '
  'INVOICE_CLOSED, ALREADY_WRITTEN_OFF, WRITE_OFF_TOO_LARGE';

create trigger _100_append_only before update or delete on app.invoice_payments
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.invoice_payments
for each statement execute function app.tg_append_only();
