-- Invoices, payments and credit notes of callers whose rows are few among many, by a time: see
-- leading_partners.

create function app.newest_invoice_ids(p_n int, p_before timestamptz, p_after uuid)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_time timestamptz;
  v_id constant uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
begin
  v_time := coalesce(
    app.page_start('app.invoices', 'created_at', p_n, p_before, p_after::text), 'infinity');
  if app.is_agent_of_few_partners() then
    return query
    select l.id
    from app.leading_partners('app.invoices', 'created_at', false, p_n, v_time, v_id::text) as h
    cross join lateral (
      select i.id, i.created_at from app.invoices as i
      where i.partner_id = h.partner_id and i.created_at between h.oldest_at and h.newest_at
        and (i.created_at, i.id) < (v_time, v_id)
      order by i.created_at desc, i.id desc limit p_n
    ) as l
    order by l.created_at desc, l.id desc
    limit p_n;
  else
    return query
    select i.id from app.invoices as i
    where (i.created_at, i.id) < (v_time, v_id)
    order by i.created_at desc, i.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_invoice_ids(int, timestamptz, uuid) is
  'Ids of the newest invoices that the caller sees, created before a time or after another in the '
  'list; raises INVALID_ARGUMENT, NOT_FOUND';

create function app.newest_payment_ids(p_n int, p_before timestamptz, p_after uuid)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_time timestamptz;
  v_id constant uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
begin
  v_time := coalesce(
    app.page_start('app.invoice_payments', 'created_at', p_n, p_before, p_after::text), 'infinity');
  if app.is_agent_of_few_partners() then
    return query
    select l.id
    from app.leading_partners(
      'app.invoice_payments', 'created_at', false, p_n, v_time, v_id::text
    ) as h
    cross join lateral (
      select y.id, y.created_at from app.invoice_payments as y
      where y.partner_id = h.partner_id and y.created_at between h.oldest_at and h.newest_at
        and (y.created_at, y.id) < (v_time, v_id)
      order by y.created_at desc, y.id desc limit p_n
    ) as l
    order by l.created_at desc, l.id desc
    limit p_n;
  else
    return query
    select y.id from app.invoice_payments as y
    where (y.created_at, y.id) < (v_time, v_id)
    order by y.created_at desc, y.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_payment_ids(int, timestamptz, uuid) is
  'Ids of the newest payments that the caller sees, created before a time or after another in the '
  'list; raises INVALID_ARGUMENT, NOT_FOUND';

create function app.newest_credit_note_ids(p_n int, p_after uuid)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_time timestamptz;
  v_id constant uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
begin
  v_time := coalesce(
    app.page_start('app.credit_notes', 'created_at', p_n, null, p_after::text), 'infinity');
  if app.is_agent_of_few_partners() then
    return query
    select l.id
    from app.leading_partners('app.credit_notes', 'created_at', false, p_n, v_time, v_id::text) as h
    cross join lateral (
      select c.id, c.created_at from app.credit_notes as c
      where c.partner_id = h.partner_id and c.created_at between h.oldest_at and h.newest_at
        and (c.created_at, c.id) < (v_time, v_id)
      order by c.created_at desc, c.id desc limit p_n
    ) as l
    order by l.created_at desc, l.id desc
    limit p_n;
  else
    return query
    select c.id from app.credit_notes as c
    where (c.created_at, c.id) < (v_time, v_id)
    order by c.created_at desc, c.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_credit_note_ids(int, uuid) is
  'Ids of the newest credit notes that the caller sees, after another in the list; raises '
  'INVALID_ARGUMENT, NOT_FOUND';

create function app.earliest_due_invoice_ids(p_n int, p_after uuid)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_due timestamptz;
  v_id constant uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
begin
  v_due := coalesce(
    app.page_start('app.invoices', 'due_date', p_n, null, p_after::text), '-infinity');
  if app.is_agent_of_few_partners() then
    return query
    select l.id
    from app.leading_partners('app.invoices', 'due_date', true, p_n, v_due, v_id::text) as h
    cross join lateral (
      select i.id, i.due_date from app.invoices as i
      where i.partner_id = h.partner_id and i.due_date between h.oldest_at and h.newest_at
        and (i.due_date, i.id) > (v_due, v_id)
      order by i.due_date, i.id limit p_n
    ) as l
    order by l.due_date, l.id
    limit p_n;
  else
    return query
    select i.id from app.invoices as i
    where (i.due_date, i.id) > (v_due, v_id)
    order by i.due_date, i.id
    limit p_n;
  end if;
end $$;
comment on function app.earliest_due_invoice_ids(int, uuid) is
  'Ids of the invoices that the caller sees, earliest due first, after another in the list; raises '
  'INVALID_ARGUMENT, NOT_FOUND';
