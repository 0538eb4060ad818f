-- The account of a partner: what invoices, payments and corrections booked on it.

create view app.account_bookings as
select
  i.partner_id, i.created_at as booked_at, 1 as rank, i.id, i.created_at as value_at,
  'INVOICE' as kind, i.invoice_number as reference, i.id as invoice_id, i.amount
from app.invoices as i
union all
select
  i.partner_id, i.cancelled_at as booked_at, 7 as rank, i.id, i.cancelled_at as value_at,
  'CANCELLATION' as kind, i.invoice_number as reference, i.id as invoice_id,
  -(i.amount - i.amount_credited - i.amount_written_off) as amount
from app.invoices as i where i.status = 'CANCELLED'
union all
select
  u.partner_id, u.created_at as booked_at, 2 as rank, u.id, u.created_at as value_at,
  'CREDIT' as kind, c.credit_note_number as reference, u.invoice_id, -u.amount as amount
from app.invoice_credits as u
inner join app.credit_notes as c on c.id = u.credit_note_id
union all
select
  y.partner_id, y.created_at as booked_at,
  case y.kind when 'PAYMENT' then 3 when 'REVERSAL' then 4 else 6 end as rank, y.id,
  y.paid_at as value_at, y.kind, y.reference_number as reference, y.invoice_id,
  -y.amount as amount
from app.invoice_payments as y
union all
select
  i.partner_id, i.written_off_at as booked_at, 5 as rank, i.id, i.written_off_at as value_at,
  'WRITE_OFF' as kind, i.invoice_number as reference, i.id as invoice_id,
  -i.amount_written_off as amount
from app.invoices as i where i.written_off_at is not null;
comment on view app.account_bookings is
  'Every booking on the account of a partner: when it was booked, the moment of its value date, '
  'and the IDR by which it raises (below 0: lowers) what they owe. rank orders bookings of the '
  'same moment. The sum is what is due less what is to be refunded';

create function app.statement_partner(p_partner_id uuid)
returns uuid language plpgsql stable
as $$
declare
  v_partner app.partner_account;
begin
  if auth.caller_role() = 'partner' then
    v_partner := app.calling_partner();
    if p_partner_id <> v_partner.id then
      perform app.fail('NOT_FOUND', 'partner');
    end if;
    return v_partner.id;
  elsif p_partner_id is null then
    perform app.fail('INVALID_ARGUMENT', 'partner_id is missing');
  elsif not exists (
    select from app.partners as p
    where p.id = p_partner_id and (
      auth.caller_role() <> 'agent'
      or (p.deleted_at is null and p.region_id = any (array(select auth.agent_regions())))
    )
  ) then
    perform app.fail('NOT_FOUND', 'partner');
  end if;
  return p_partner_id;
end $$;
comment on function app.statement_partner(uuid) is
  'The partner whose account the caller may read: partners their own, agents those of their '
  'regions. Raises INVALID_ARGUMENT, NOT_FOUND';

create function app.account_statement(p_from_date date, p_to_date date, p_partner_id uuid)
returns jsonb language plpgsql stable
as $$
declare
  v_max_days constant int := 366;
  v_partner_id uuid;
  v_from timestamptz;
  v_until timestamptz;
  v_opening numeric;
  v_lines jsonb;
  v_moved numeric;
begin
  if p_from_date is null or p_to_date is null then
    perform app.fail('INVALID_ARGUMENT', 'from_date or to_date is missing');
  elsif p_from_date not between '2000-01-01' and current_date + 366
    or p_to_date not between p_from_date and p_from_date + v_max_days - 1
  then
    perform app.fail('INVALID_ARGUMENT', format(
      'from_date is from 2000-01-01 on, and to_date at most %s days later', v_max_days - 1));
  end if;
  v_partner_id := app.statement_partner(p_partner_id);
  v_from := p_from_date::timestamp at time zone 'Asia/Jakarta';
  v_until := (p_to_date + 1)::timestamp at time zone 'Asia/Jakarta';

  select coalesce(sum(b.amount), 0) into strict v_opening
  from app.account_bookings as b where b.partner_id = v_partner_id and b.booked_at < v_from;
  select
    coalesce(jsonb_agg(jsonb_build_object(
      'booked_at', l.booked_at, 'value_date', (l.value_at at time zone 'Asia/Jakarta')::date,
      'kind', l.kind, 'reference', l.reference, 'invoice_id', l.invoice_id,
      'invoice_number', l.invoice_number, 'order_id', l.order_id, 'amount', l.amount,
      'balance', v_opening + l.moved
    ) order by l.booked_at, l.rank, l.id), '[]'),
    coalesce(sum(l.amount), 0)
  into strict v_lines, v_moved
  from (
    select
      b.*, i.invoice_number, i.order_id,
      sum(b.amount) over (order by b.booked_at, b.rank, b.id) as moved
    from app.account_bookings as b join app.invoices as i on i.id = b.invoice_id
    where b.partner_id = v_partner_id and b.booked_at >= v_from and b.booked_at < v_until
  ) as l;
  return jsonb_build_object(
    'partner_id', v_partner_id, 'from_date', p_from_date, 'to_date', p_to_date,
    'opening_balance', v_opening, 'closing_balance', v_opening + v_moved, 'lines', v_lines);
end $$;
comment on function app.account_statement(date, date, uuid) is
  'The bookings of a period (Jakarta days, both inclusive) with the balance before and after each '
  '(IDR). Raises INVALID_ARGUMENT, NOT_FOUND';
