-- Personal data: which columns hold it, how the audit trail masks them and how an erasure empties
-- them.

-- By table, because a description is personal in the ledger of points, but not in the
-- configuration. tests/domain/audit/test_masking.py compares the lists with the audited tables, and
-- tests/domain/partners/test_erasure.py fills every text column of the database.
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
    when 'order_events' then '{note}'
    when 'erp_cancellations' then '{note}'
    when 'partner_removals' then '{reason}'
    when 'idempotency_keys' then '{idempotency_key}'
  end::text[]
$$;
comment on function app.personal_columns(text) is
  'Columns of a table of schema app that hold names, numbers, addresses, free text or hashes; null '
  'if there are none. erase_partner() empties them in the partner''s rows';

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

-- Keys and references are unique, so each becomes another one.
create function app.erase_row(p_table text, p_row jsonb) returns jsonb language sql immutable
as $$
  select case
    when p_row ?| app.personal_columns(p_table)
      then p_row || coalesce((
        select jsonb_object_agg(k.key, case
          when k.key in ('idempotency_key', 'reference_number')
            then concat('***', coalesce(p_row ->> 'id', p_row ->> 'result_id'))
          else '***'
        end)
        from unnest(app.personal_columns(p_table)) as k (key)
        where p_row ->> k.key is not null
      ), '{}')
    else p_row
  end
$$;
comment on function app.erase_row(text, jsonb) is
  'A row of this table with nothing left of its personal data; what was null stays null';
