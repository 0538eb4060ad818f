-- What partners owe: overdue invoices, receivables by age, and statements of accounts.

-- Row security hides the statistics of `status` from the planner, which then reads all invoices for
-- the few that are open. So these views read with the owner's rights and filter by caller: one
-- branch a role, of which PostgreSQL runs the caller's only. Security barriers keep conditions of
-- the caller outside.

create view api.overdue_invoices with (security_invoker = false, security_barrier = true) as
select
  o.id, o.order_id, o.partner_id,
  -- Sub-selects keep the order of the list; a join would sort it.
  (select p.business_name from app.partners as p where p.id = o.partner_id) as business_name,
  (select p.region_id from app.partners as p where p.id = o.partner_id) as region_id,
  o.invoice_number, o.amount, o.amount_paid, o.amount_due, o.status,
  o.due_date, app.days_overdue(o.due_date) as days_overdue, o.last_reminder_day, o.created_at
from (
  (select i.* from app.invoices as i
  where (select auth.caller_role()) = 'partner'
    and i.partner_id = (select auth.current_user_id())
    and i.status in ('UNPAID', 'PARTIAL') and i.due_date < app.due_before(0)
  order by i.due_date)
  union all
  (select i.* from app.invoices as i
  where (select auth.caller_role()) = 'agent'
    and (
      select true from app.partners as p
      where p.id = i.partner_id and p.region_id = any (array(select auth.agent_regions()))
        and p.deleted_at is null
    )
    and i.status in ('UNPAID', 'PARTIAL') and i.due_date < app.due_before(0)
  order by i.due_date)
  union all
  (select i.* from app.invoices as i
  where (select auth.caller_role()) in ('admin', 'superadmin', 'system')
    and i.status in ('UNPAID', 'PARTIAL') and i.due_date < app.due_before(0)
  order by i.due_date)
) as o
order by o.due_date;
comment on view api.overdue_invoices is
$$Open invoices whose due date has passed, by day in Jakarta
order=due_date lists those that have been overdue for longest first.$$;
comment on column api.overdue_invoices.amount_due is 'IDR';
comment on column api.overdue_invoices.days_overdue is 'Days since the due date, at least 1';
comment on column api.overdue_invoices.last_reminder_day is
  'Days from the due date of the last reminder, below 0 before it; null: there was none';

create view api.receivables with (security_invoker = false, security_barrier = true) as
select
  p.id, p.id as partner_id, p.business_name, p.region_id, p.tier, p.credit_limit, r.open_invoices,
  r.amount_due, r.not_overdue, r.overdue, r.overdue_1_30, r.overdue_31_60, r.overdue_61_90,
  r.overdue_over_90, r.oldest_due_date, app.days_overdue(r.oldest_due_date) as days_overdue
from (
  select h.* from app.partners as h
  where (select auth.caller_role()) in ('admin', 'superadmin', 'system')
  union all
  select a.* from app.partners as a
  where (select auth.caller_role()) = 'agent'
    and a.region_id = any (array(select auth.agent_regions())) and a.deleted_at is null
) as p
cross join lateral (
  select
    count(*)::int as open_invoices, sum(d.due) as amount_due,
    coalesce(sum(d.due) filter (where d.days = 0), 0) as not_overdue,
    coalesce(sum(d.due) filter (where d.days > 0), 0) as overdue,
    coalesce(sum(d.due) filter (where d.days between 1 and 30), 0) as overdue_1_30,
    coalesce(sum(d.due) filter (where d.days between 31 and 60), 0) as overdue_31_60,
    coalesce(sum(d.due) filter (where d.days between 61 and 90), 0) as overdue_61_90,
    coalesce(sum(d.due) filter (where d.days > 90), 0) as overdue_over_90,
    min(d.due_date) as oldest_due_date
  from (
    select
      i.due_date, i.amount_due as due, app.days_overdue(i.due_date) as days
    from app.invoices as i
    where i.partner_id = p.id and i.status in ('UNPAID', 'PARTIAL')
  ) as d
  having count(*) > 0
) as r;
comment on view api.receivables is
$$What each partner owes on open invoices, by age (IDR); partners who owe nothing are left out
Ages are days since the due date, in Jakarta.$$;
comment on column api.receivables.amount_due is 'IDR due on open invoices: not_overdue + overdue';
comment on column api.receivables.not_overdue is 'IDR of invoices whose due date has not passed';
comment on column api.receivables.overdue is 'IDR of overdue invoices of every age';
comment on column api.receivables.overdue_1_30 is 'IDR overdue for 1 to 30 days';
comment on column api.receivables.overdue_31_60 is 'IDR overdue for 31 to 60 days';
comment on column api.receivables.overdue_61_90 is 'IDR overdue for 61 to 90 days';
comment on column api.receivables.overdue_over_90 is 'IDR overdue for more than 90 days';
comment on column api.receivables.days_overdue is 'Age of the oldest open invoice';

create view api.receivables_by_age with (security_invoker = false, security_barrier = true) as
select
  'total' as id, count(*)::int as open_invoices, coalesce(sum(d.due), 0) as amount_due,
  coalesce(sum(d.due) filter (where d.days = 0), 0) as not_overdue,
  coalesce(sum(d.due) filter (where d.days > 0), 0) as overdue,
  coalesce(sum(d.due) filter (where d.days between 1 and 30), 0) as overdue_1_30,
  coalesce(sum(d.due) filter (where d.days between 31 and 60), 0) as overdue_31_60,
  coalesce(sum(d.due) filter (where d.days between 61 and 90), 0) as overdue_61_90,
  coalesce(sum(d.due) filter (where d.days > 90), 0) as overdue_over_90
from (
  select o.due, app.days_overdue(o.due_date) as days
  from (
    select i.due_date, i.amount_due as due
    from app.invoices as i
    where (select auth.caller_role()) = 'partner'
      and i.partner_id = (select auth.current_user_id()) and i.status in ('UNPAID', 'PARTIAL')
    union all
    select i.due_date, i.amount_due as due
    from app.partners as p
    inner join app.invoices as i on i.partner_id = p.id
    where (select auth.caller_role()) = 'agent'
      and p.region_id = any (array(select auth.agent_regions())) and p.deleted_at is null
      and i.status in ('UNPAID', 'PARTIAL')
    union all
    select i.due_date, i.amount_due as due
    from app.invoices as i
    where (select auth.caller_role()) in ('admin', 'superadmin')
      and i.status in ('UNPAID', 'PARTIAL')
  ) as o
) as d;
comment on view api.receivables_by_age is
$$What is owed on open invoices, by age, in one row (IDR)
Partners see what they owe, agents what their regions' partners owe, headquarters all. Ages are
those of receivables; up to date to the second.$$;
comment on column api.receivables_by_age.amount_due is
  'IDR due on open invoices: not_overdue + overdue';

create type api.statement_line as (
  booked_at timestamptz, value_date date, kind text, reference text, invoice_id uuid,
  invoice_number text, order_id uuid, amount numeric, balance numeric
);
comment on type api.statement_line is
  'A booking: amount (IDR) raises, or below 0 lowers, what the partner owes; balance is after it. '
  'value_date is the Jakarta day on which the money moved';

create type api.statement as (
  partner_id uuid, from_date date, to_date date, opening_balance numeric,
  closing_balance numeric, lines api.statement_line[]
);
comment on type api.statement is
  'Answer of account_statement; balances are IDR that the partner owes, below 0 what they are owed';

create function api.account_statement(
  from_date date, to_date date, partner_id uuid default null
)
returns api.statement
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select s from jsonb_populate_record(null::api.statement, app.account_statement(
    account_statement.from_date, account_statement.to_date, account_statement.partner_id)) as s
$$;
comment on function api.account_statement(date, date, uuid) is
$$List the bookings of a partner's account in a period, between opening and closing balance
Both days are included and are days in Jakarta, at most 366; lines are ordered by the time of
booking. partner_id is left out by partners; agents name a partner of their regions, headquarters
any partner.
kind is INVOICE or CANCELLATION, PAYMENT, REVERSAL or REFUND, CREDIT or WRITE_OFF.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404.$$;

grant select on api.overdue_invoices, api.receivables_by_age to partner, agent, admin;
grant select on api.receivables to agent, admin;
grant execute on function app.due_before(int), app.days_overdue(timestamptz)
to partner, agent, admin;
grant execute on function api.account_statement(date, date, uuid) to partner, agent, admin;
