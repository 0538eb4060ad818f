-- Overdue invoices, and the reminders of them. Due dates count in days of Jakarta: an invoice that
-- was due on the 10th is overdue from the 11th on.

create function app.due_before(p_days int) returns timestamptz language sql stable
as $$
  select ((now() at time zone 'Asia/Jakarta')::date - p_days)::timestamp at time zone 'Asia/Jakarta'
$$;
comment on function app.due_before(int) is
  'The moment before which an invoice was due that is overdue by more than this many days; below '
  '0: that is due within so many days less one';

create function app.days_overdue(p_due_date timestamptz) returns int language sql stable
as $$
  select greatest(0,
    (now() at time zone 'Asia/Jakarta')::date - (p_due_date at time zone 'Asia/Jakarta')::date)
$$;
comment on function app.days_overdue(timestamptz) is
  'Days (Jakarta) since the due date, 0 up to the due date';

create function app.oldest_due_date(p_partner_id uuid) returns timestamptz
language plpgsql stable
as $$
begin
  return (
    select i.due_date from app.invoices as i
    where i.partner_id = p_partner_id and i.status in ('UNPAID', 'PARTIAL')
    order by i.due_date limit 1
  );
end $$;
comment on function app.oldest_due_date(uuid) is
  'Due date of the open invoice of a partner that was due first, null if none is open';

create function app.reminder_days() returns int[] language plpgsql stable
as $$
declare
  v_due_soon_days int := app.config_int('invoice.due_soon_days');
begin
  return case when v_due_soon_days > 0 then array[-v_due_soon_days] else '{}' end
    || app.config_int_list('invoice.reminder_days');
end $$;
comment on function app.reminder_days() is
  'Days from the due date on which a partner is reminded, ascending; below 0: before it';

-- Open invoices by their last reminder and due date: reading each level up to the due date of its
-- next reminder finds only what is due, however many invoices are open.
create function app.invoices_to_remind(p_days int[], p_limit int)
returns uuid[] language plpgsql stable
as $$
begin
  return array(
    with recursive levels as (
      (
        select coalesce(i.last_reminder_day, -1000) as day
        from app.invoices as i
        where i.status in ('UNPAID', 'PARTIAL')
        order by coalesce(i.last_reminder_day, -1000) limit 1
      )
      union all
      select (
        select coalesce(i.last_reminder_day, -1000)
        from app.invoices as i
        where i.status in ('UNPAID', 'PARTIAL') and coalesce(i.last_reminder_day, -1000) > l.day
        order by coalesce(i.last_reminder_day, -1000) limit 1
      )
      from levels as l where l.day is not null
    )

    select d.id
    from levels as l
    cross join lateral (
      select min(n.day) as day from unnest(p_days) as n (day) where n.day > l.day
    ) as n
    cross join lateral (
      select i.id from app.invoices as i
      where i.status in ('UNPAID', 'PARTIAL') and coalesce(i.last_reminder_day, -1000) = l.day
        and i.due_date < app.due_before(n.day - 1)
      order by i.due_date limit p_limit
    ) as d
    limit p_limit
  );
end $$;
comment on function app.invoices_to_remind(int[], int) is
  'Open invoices of which a reminder is due on one of these days from the due date, at most '
  'p_limit';

-- The day of the last reminder makes each happen once: a repeated, concurrent or late run finds
-- the invoice locked or reminded.
create function app.send_invoice_reminders(p_limit int default 500)
returns int language plpgsql volatile
as $$
declare
  v_days int[] := app.reminder_days();
  -- The second reminder after the due date, and those that follow it, go to agents, too.
  v_agents_from int := (app.config_int_list('invoice.reminder_days'))[2];
  v_ids uuid[];
  v_count int;
begin
  v_ids := app.invoices_to_remind(v_days, p_limit);
  if v_ids = '{}' then
    return 0;
  end if;
  with locked as (
    select i.id, i.order_id, i.partner_id, i.invoice_number, i.due_date, i.last_reminder_day,
      i.amount_due
    from app.invoices as i
    where i.id = any (v_ids)
      and i.status in ('UNPAID', 'PARTIAL')  -- repeated for invoices that changed meanwhile
    for no key update skip locked
  ),
  due as materialized (
    select k.*, n.day, p.region_id, p.deleted_at,
      (k.due_date at time zone 'Asia/Jakarta')::date as due_day,
      -- A reminder that is not sent until the next one is due is superseded by it.
      (
        select min(l.day) from unnest(v_days || 1) as l (day) where l.day > n.day
      ) as next_day
    from locked as k
    cross join lateral (
      -- After downtime the latest alone goes out.
      select max(l.day) as day from unnest(v_days) as l (day)
      where k.due_date < app.due_before(l.day - 1)
    ) as n
    join app.partners as p on p.id = k.partner_id
    where n.day > coalesce(k.last_reminder_day, -1000)
  ),
  reminded as (
    update app.invoices as i set last_reminder_day = d.day from due as d where i.id = d.id
  ),
  managers as materialized (
    select r.region_id, a.id
    from (select distinct d.region_id from due as d where d.day >= v_agents_from) as r
    cross join lateral app.ancestor_regions(r.region_id) as n
    join app.agents as a on a.region_id = n.region_id and a.role = 'SALESMAN' and a.is_active
  ),
  notices as (
    select
      case when d.day < 0 then 'invoice_due_soon' else 'invoice_overdue' end as template,
      'PARTNER' as recipient_type, d.partner_id as recipient_id, d.id
    from due as d
    union all
    select 'invoice_overdue_agent', 'AGENT', m.id, d.id
    from due as d join managers as m on m.region_id = d.region_id
    where d.day >= v_agents_from
    union all
    -- Headquarters replaces the agents in a region without any; held while no admin is active.
    select 'invoice_overdue_agent', 'AGENT', a.id, d.id
    from due as d
    left join app.agents as a on a.role in ('ADMIN', 'SUPERADMIN') and a.is_active
    where d.day >= v_agents_from
      and not exists (select from managers as m where m.region_id = d.region_id)
  ),
  enqueued as (
    insert into app.messages (
      template, recipient_type, recipient_id, order_id, variables, priority, status, expires_at
    )
    select
      n.template, n.recipient_type,
      coalesce(n.recipient_id, '00000000-0000-0000-0000-000000000000'), d.order_id,
      jsonb_build_object(
        'invoice_number', d.invoice_number,
        'amount_due', app.format_rupiah(d.amount_due),
        'due_date', app.format_day(d.due_date),
        'days_overdue', app.days_overdue(d.due_date)
      ), app.message_priority(n.template),
      (case when n.recipient_id is null then 'HELD' else 'PENDING' end)::app.message_status,
      (d.due_day + d.next_day)::timestamp at time zone 'Asia/Jakarta'
    from notices as n join due as d on d.id = n.id
    where d.deleted_at is null
    order by d.due_date, d.id
  )
  select count(*) into v_count from due;
  return v_count;
end $$;
comment on function app.send_invoice_reminders(int) is
  'Reminds the partners, and from the second reminder on the agents, of up to p_limit open '
  'invoices; returns the number of invoices';

-- Skips what a messenger has claimed: a payment must not wait for a message. The caller has locked
-- the invoice.
create function app.withdraw_invoice_reminders(p_invoice_id uuid)
returns void language plpgsql volatile
as $$
begin
  update app.messages as m set status = 'WITHDRAWN', error_code = 'settled', variables = '{}'
  where m.id in (
    select w.id
    from app.invoices as i
    join app.messages as w on w.order_id = i.order_id
    where i.id = p_invoice_id and w.status in ('HELD', 'PENDING')
      and w.template in ('invoice_due_soon', 'invoice_overdue', 'invoice_overdue_agent')
      and w.variables ->> 'invoice_number' = i.invoice_number
    for update of w skip locked
  );
end $$;
comment on function app.withdraw_invoice_reminders(uuid) is
  'Withdraws the pending reminders of an invoice on which nothing is due any more';

create function app.is_reminder_hour(p_at timestamptz) returns boolean language sql stable
as $$ select extract(hour from p_at at time zone 'Asia/Jakarta') between 8 and 17 $$;
comment on function app.is_reminder_hour(timestamptz) is
  'Whether reminders of invoices are sent at this time: from 8:00 to 18:00 in Jakarta';

-- Commits each batch, so it can neither be SECURITY DEFINER nor set a search_path; only the owner
-- may execute it.
create procedure jobs.remind_of_invoices(p_batch int default 500, p_seconds int default 50)
language plpgsql
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_count int := 0;
  v_total bigint := 0;
begin
  while app.is_reminder_hour(v_started_at)
    and clock_timestamp() < v_started_at + make_interval(secs => p_seconds)
  loop
    v_count := app.send_invoice_reminders(p_batch);
    exit when v_count = 0;
    v_total := v_total + v_count;
    commit;
  end loop;
  perform jobs.record_run('invoice-reminder', v_started_at, v_total);
end $$;
comment on procedure jobs.remind_of_invoices(int, int) is
  'Reminds partners and agents of invoices, p_batch in a transaction, until none is due or '
  'p_seconds have passed; at night it sends nothing';
