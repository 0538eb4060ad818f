-- Payments that were recorded in the ERP.

create function app.timestamptz_or_null(p_text text)
returns timestamptz language plpgsql stable
as $$
begin
  return p_text::timestamptz;
exception when data_exception then
  return null;
end $$;
comment on function app.timestamptz_or_null(text) is
  'The text as a timestamptz; null if it is not a valid time';

create function app.payment_row_refusal(p_row jsonb)
returns text language sql stable
as $$
  select case
    when btrim(p_row ->> 'reference_number') = '' then 'reference_number is blank'
    when length(p_row ->> 'reference_number') > 100
      then 'reference_number is longer than 100 characters'
    when length(p_row ->> 'payment_method') > 50
      then 'payment_method is longer than 50 characters'
    when length(p_row ->> 'notes') > 2000 then 'notes is longer than 2000 characters'
    when (p_row ->> 'amount')::numeric not between 0.01 and 9999999999999
      or (p_row ->> 'amount')::numeric <> round((p_row ->> 'amount')::numeric, 2)
      then 'amount must be IDR above 0 with at most two decimals'
    when p_row ->> 'paid_at' is not null
      and (
        app.timestamptz_or_null(p_row ->> 'paid_at')
        between '2000-01-01' and now() + interval '1 day'
      ) is not true
      then 'paid_at must be from 2000 on, not in the future, such as 2026-01-31T15:04:05+07:00'
  end
$$;
comment on function app.payment_row_refusal(jsonb) is
  'Why a row is not a valid payment, regardless of its invoice; null if it is valid';

create function app.was_reversed(p_invoice_id uuid, p_reference text, p_amount numeric)
returns boolean language plpgsql stable
as $$
begin
  return exists (
    select from app.invoice_payments as r
    where r.invoice_id = p_invoice_id and r.kind = 'REVERSAL'
      and r.reference_key = app.reference_key(p_reference) and r.amount = -p_amount
  );
end $$;
comment on function app.was_reversed(uuid, text, numeric) is
  'True if a payment of this reference and amount (IDR) was reversed';

create function app.erp_apply_payments(p_payments jsonb, p_stream text, p_cursor jsonb)
returns json language plpgsql volatile
as $$
declare
  v_stream text;
  v_payment record;
  v_recorded_amount numeric;
  v_code text;
  v_reason text;
  v_key text;
  v_results json[] := array[]::json[];
  v_settled text[] := array[]::text[];
  v_keys text[] := array[]::text[];
  v_rows jsonb[] := array[]::jsonb[];
  v_reasons text[] := array[]::text[];
begin
  v_stream := app.require_stream(p_stream);
  perform app.require_set('payments', p_payments, 1000);
  if exists (
    select from jsonb_array_elements(p_payments) as r
    where jsonb_typeof(r -> 'invoice_number') is distinct from 'string'
      or jsonb_typeof(r -> 'reference_number') is distinct from 'string'
      or jsonb_typeof(r -> 'amount') is distinct from 'number'
      or coalesce(jsonb_typeof(r -> 'paid_at'), 'null') not in ('string', 'null')
  ) then
    perform app.fail('INVALID_ARGUMENT',
      'payments must be [{"invoice_number", "amount", "reference_number", "paid_at",'
      ' "payment_method", "notes"}, ...]');
  end if;
  perform app.lock_many_partners();
  -- Lock partners in the order of their ids, so that two concurrent calls cannot deadlock.
  perform from app.partners as p
  where p.id in (
    select i.partner_id from app.invoices as i
    where i.invoice_number in (
      select r ->> 'invoice_number' from jsonb_array_elements(p_payments) as r
    )
  )
  order by p.id for no key update;
  for v_payment in
    select
      e.value as row, i.id as invoice_id, e.value ->> 'invoice_number' as invoice_number,
      (e.value ->> 'amount')::numeric as amount,
      btrim(e.value ->> 'reference_number') as reference_number,
      app.payment_row_refusal(e.value) as refusal
    from jsonb_array_elements(p_payments) with ordinality as e (value, ord)
    left join app.invoices as i on i.invoice_number = e.value ->> 'invoice_number'
    order by e.ord
  loop
    v_reason := v_payment.refusal;
    if v_reason is not null then
      v_code := 'INVALID_ARGUMENT';
    elsif v_payment.invoice_id is null then
      v_code := 'NOT_FOUND';
    else
      perform app.lock_invoice(v_payment.invoice_id);
      select y.amount into v_recorded_amount from app.invoice_payments as y
      where y.id = app.find_payment(
        v_payment.invoice_id, 'PAYMENT', v_payment.reference_number);
      if v_recorded_amount = v_payment.amount then
        v_code := 'DUPLICATE';
      elsif app.was_reversed(
        v_payment.invoice_id, v_payment.reference_number, v_payment.amount)
      then
        v_code := 'PAYMENT_REVERSED';  -- headquarters decides whether it is true this time
      elsif v_recorded_amount is not null then
        v_code := 'PAYMENT_REFERENCE_REUSED';
      else
        v_code := app.payment_refusal(v_payment.invoice_id, v_payment.amount);
        if v_code is null then
          perform app.record_payment(
            v_payment.invoice_id, v_payment.amount, v_payment.row ->> 'payment_method',
            v_payment.reference_number, app.timestamptz_or_null(v_payment.row ->> 'paid_at'),
            v_payment.row ->> 'notes');
          v_code := 'APPLIED';
        end if;
      end if;
    end if;
    v_key := left(v_payment.invoice_number, 150) || ' ' || left(v_payment.reference_number, 140);
    if v_code in ('APPLIED', 'DUPLICATE') then
      v_settled := v_settled || v_key;
    else
      v_keys := v_keys || v_key;
      v_rows := v_rows || v_payment.row;
      v_reasons := v_reasons || coalesce(v_reason, v_code);
    end if;
    v_results := v_results || json_build_object(
      'invoice_number', v_payment.invoice_number, 'reference_number', v_payment.reference_number,
      'result', v_code, 'details', v_reason);
  end loop;
  delete from app.erp_quarantine as a where a.stream = v_stream and a.key = any (v_settled);
  if cardinality(v_keys) > 0 then
    perform app.quarantine_rows(v_stream, v_keys, v_rows, v_reasons, now());
  end if;
  perform app.store_cursor(v_stream, p_cursor, jsonb_array_length(p_payments));
  return array_to_json(v_results);
end $$;
comment on function app.erp_apply_payments(jsonb, text, jsonb) is
  'Records payments of the ERP, answering each with APPLIED, DUPLICATE or an error code; refused '
  'payments are quarantined';
