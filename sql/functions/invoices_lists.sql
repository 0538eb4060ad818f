-- Newest invoices and payments of callers whose rows are few among many: see newest_partners.

create function app.newest_invoice_ids(p_n int, p_before timestamptz)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_before constant timestamptz := coalesce(p_before, 'infinity');
begin
  perform app.check_page(p_n, p_before);
  if app.is_agent_of_few_partners() then
    return query
    select l.id
    from app.newest_partners('app.invoices', p_n, v_before) as h
    cross join lateral (
      select i.id, i.created_at from app.invoices as i
      where i.partner_id = h.partner_id and i.created_at between h.oldest_at and h.newest_at
      order by i.created_at desc, i.id desc limit p_n
    ) as l
    order by l.created_at desc, l.id desc
    limit p_n;
  else
    return query
    select i.id from app.invoices as i
    where i.created_at < v_before
    order by i.created_at desc, i.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_invoice_ids(int, timestamptz) is
  'Ids of the newest invoices that the caller sees, created before a time; raises INVALID_ARGUMENT';

create function app.newest_payment_ids(p_n int, p_before timestamptz)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_before constant timestamptz := coalesce(p_before, 'infinity');
begin
  perform app.check_page(p_n, p_before);
  if app.is_agent_of_few_partners() then
    return query
    select l.id
    from app.newest_partners('app.invoice_payments', p_n, v_before) as h
    cross join lateral (
      select y.id, y.created_at from app.invoice_payments as y
      where y.partner_id = h.partner_id and y.created_at between h.oldest_at and h.newest_at
      order by y.created_at desc, y.id desc limit p_n
    ) as l
    order by l.created_at desc, l.id desc
    limit p_n;
  else
    return query
    select y.id from app.invoice_payments as y
    where y.created_at < v_before
    order by y.created_at desc, y.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_payment_ids(int, timestamptz) is
  'Ids of the newest payments that the caller sees, created before a time; raises INVALID_ARGUMENT';
