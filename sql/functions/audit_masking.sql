-- Personal data in the audit trail: which columns hold it, and how they are masked and erased.

-- By table, because a description is personal in the ledger of points, but not in the
-- configuration. tests/domain/audit/test_masking.py compares the lists with the audited tables.
create function app.personal_columns(p_table text) returns text[] language sql immutable
as $$
  select case p_table
    when 'partners' then '{
      email, phone, business_name, address, specialization, password_hash
    }'
    when 'agents' then '{email, phone, full_name, password_hash}'
    when 'sub_distributors' then '{email, whatsapp_number, business_name, contact_person}'
    when 'orders' then '{notes, status_reason, release_reason, idempotency_key, request_hash}'
    when 'invoices' then '{cancel_reason, issue_reason, write_off_reason}'
    when 'invoice_payments' then '{payment_method, reference_number, reference_key, notes}'
    when 'credit_notes' then '{reason}'
    when 'point_transactions' then '{description}'
    when 'redemptions' then '{idempotency_key}'
    when 'agent_sessions' then '{ip_address}'
  end::text[]
$$;
comment on function app.personal_columns(text) is
  'Columns of an audited table that hold names, numbers, addresses, free text or hashes; null if '
  'there are none';

create function app.mask(p_text text) returns text language sql immutable
as $$
  select case
    when p_text ~ '^[^@[:space:]]+@[^@[:space:]]+$'
      then left(p_text, 1) || '***@' || split_part(p_text, '@', 2)
    when length(p_text) > 4
      then left(p_text, 2) || repeat('*', length(p_text) - 4) || right(p_text, 2)
    else '***'
  end
$$;
comment on function app.mask(text) is
  'Masks personal data so that it is unreadable but recognisable: s***@example.com, +6********89';

-- Touches only the columns to mask, and most rows have none of them: the flush masks thousands of
-- rows a second. Names, numbers and addresses stay recognisable; of free text and hashes nothing
-- remains but that there was one.
create function app.mask_row(p_table text, p_row jsonb) returns jsonb language sql immutable
as $$
  select case
    when p_row ?| app.personal_columns(p_table)
      then p_row || coalesce((
        select jsonb_object_agg(k.key, case
          when k.key in (
            'email', 'phone', 'whatsapp_number', 'business_name', 'full_name', 'contact_person',
            'address', 'ip_address', 'payment_method', 'reference_number'
          ) then app.mask(p_row ->> k.key)
          else '***'
        end)
        from unnest(app.personal_columns(p_table)) as k (key)
        where p_row ->> k.key is not null
      ), '{}')
    else p_row
  end
$$;
comment on function app.mask_row(text, jsonb) is
  'A row of an audited table with its personal data masked, and free text and hashes removed';

create function app.erase_row(p_table text, p_row jsonb) returns jsonb language sql immutable
as $$
  select case
    when p_row ?| app.personal_columns(p_table)
      then p_row || coalesce((
        select jsonb_object_agg(k.key, '***')
        from unnest(app.personal_columns(p_table)) as k (key)
        where p_row ->> k.key is not null
      ), '{}')
    else p_row
  end
$$;
comment on function app.erase_row(text, jsonb) is
  'A row of an audited table with nothing left of its personal data';
