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

-- A payment that someone takes back in the ERP disappears there, or a line reverses it. Whether the
-- hub has to reverse it too is headquarters' decision. The quarantine remembers what was reported.
create function app.report_payments_taken_back(
  p_stream text, p_keys text[], p_rows jsonb[], p_amounts numeric[]
)
returns void language plpgsql volatile
as $$
declare
  v_reason constant text := 'TAKEN_BACK';
  v_new text[] := array(
    select format('%s (%s)', n.key, app.format_rupiah(n.amount))
    from unnest(p_keys, p_amounts) as n (key, amount)
    where not exists (
      select from app.erp_quarantine as a
      where a.stream = p_stream and a.key = n.key and a.reason = v_reason
    )
    order by n.key
  );
begin
  perform app.quarantine_rows(
    p_stream, p_keys, p_rows, array_fill(v_reason, array[cardinality(p_keys)]), now());
  if v_new <> '{}' then
    perform app.notify_erp_trouble(p_stream, now(),
      'pembayaran ditarik kembali di ERP, periksa dan batalkan juga di sini: '
      || array_to_string(v_new, ', '));
  end if;
end $$;
comment on function app.report_payments_taken_back(text, text[], jsonb[], numeric[]) is
  'Quarantines payments that were taken back in the ERP, and notifies headquarters of those that '
  'were not reported before; amounts are IDR';

-- What the ERP recorded and does not list any more, among the payments of invoices that it lists
-- completely. Payments that an admin recorded are not the ERP's.
create function app.payments_missing_in_erp(p_payments jsonb, p_complete jsonb)
returns table (invoice_number text, reference_number text, amount numeric)
language sql stable
as $$
  select i.invoice_number::text, y.reference_number::text, y.amount
  from jsonb_array_elements_text(p_complete) as c (invoice_number)
  join app.invoices as i on i.invoice_number = c.invoice_number
  join app.invoice_payments as y on y.invoice_id = i.id
  where y.kind = 'PAYMENT' and y.recorded_by is null and y.reference_number is not null
    and not app.is_reversed(y.id)
    and not exists (
      select from jsonb_array_elements(p_payments) as r
      where r ->> 'invoice_number' = i.invoice_number
        and app.reference_key(r ->> 'reference_number') = y.reference_key
    )
$$;
comment on function app.payments_missing_in_erp(jsonb, jsonb) is
  'Payments of the ERP, not reversed, of these invoices that are not among these rows; amounts are '
  'IDR';

create function app.erp_apply_payments(
  p_payments jsonb, p_stream text, p_cursor jsonb, p_complete jsonb
)
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
  v_taken_keys text[] := array[]::text[];
  v_taken_rows jsonb[] := array[]::jsonb[];
  v_taken_amounts numeric[] := array[]::numeric[];
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
  elsif p_complete is not null and (
    jsonb_typeof(p_complete) <> 'array' or jsonb_array_length(p_complete) > 10000
    or exists (
      select from jsonb_array_elements(p_complete) as c where jsonb_typeof(c) <> 'string'
    )
  ) then
    perform app.fail('INVALID_ARGUMENT', 'complete must be an array of at most 10000 texts');
  end if;
  perform app.lock_many_partners();
  -- Lock partners in the order of their ids, so that two concurrent calls cannot deadlock.
  perform from app.partners as p
  where p.id in (
    select i.partner_id from app.invoices as i
    where i.invoice_number in (
      select r ->> 'invoice_number' from jsonb_array_elements(p_payments) as r
      union
      select c from jsonb_array_elements_text(coalesce(p_complete, '[]')) as c
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
    if v_payment.amount < 0 and p_complete ? v_payment.invoice_number then
      v_code := 'TAKEN_BACK';
    elsif v_reason is not null then
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
    v_key := app.payment_key(v_payment.invoice_number, v_payment.reference_number);
    if v_code = 'TAKEN_BACK' then
      v_taken_keys := v_taken_keys || v_key;
      v_taken_rows := v_taken_rows || v_payment.row;
      v_taken_amounts := v_taken_amounts || v_payment.amount;
      v_reason := null;
    elsif v_code in ('APPLIED', 'DUPLICATE') then
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
  for v_payment in
    select m.invoice_number, m.reference_number, m.amount
    from app.payments_missing_in_erp(p_payments, p_complete) as m
    order by m.invoice_number, m.reference_number
  loop
    v_taken_keys := v_taken_keys
      || app.payment_key(v_payment.invoice_number, v_payment.reference_number);
    v_taken_rows := v_taken_rows || to_jsonb(v_payment);
    v_taken_amounts := v_taken_amounts || v_payment.amount;
    v_results := v_results || json_build_object(
      'invoice_number', v_payment.invoice_number, 'reference_number', v_payment.reference_number,
      'result', 'TAKEN_BACK', 'details', null);
  end loop;
  delete from app.erp_quarantine as a where a.stream = v_stream and a.key = any (v_settled);
  if cardinality(v_keys) > 0 then
    perform app.quarantine_rows(v_stream, v_keys, v_rows, v_reasons, now());
  end if;
  if cardinality(v_taken_keys) > 0 then
    perform app.report_payments_taken_back(v_stream, v_taken_keys, v_taken_rows, v_taken_amounts);
  end if;
  perform app.store_cursor(v_stream, p_cursor, jsonb_array_length(p_payments));
  return array_to_json(v_results);
end $$;
comment on function app.erp_apply_payments(jsonb, text, jsonb, jsonb) is
  'Records payments of the ERP, answering each with APPLIED, DUPLICATE, TAKEN_BACK or an error '
  'code; refused payments are quarantined. Of the invoices in p_complete the rows are all '
  'payments: those that the ERP lists no more are TAKEN_BACK';
