-- What awaits headquarters beside the turn of an order: unbilled orders, refunds, redemptions.

-- By trigger, because every path that issues or cancels an invoice changes it.
create function app.tg_invoices__derive_unbilled() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from app.orders as o
    where o.id = new.order_id and o.status in ('APPROVED', 'SHIPPED', 'COMPLETED')
  ) and app.unbilled_amount(new.order_id) > 0 then
    insert into app.unbilled_orders (order_id) values (new.order_id) on conflict do nothing;
  else
    delete from app.unbilled_orders as u where u.order_id = new.order_id;
  end if;
  return null;
end $$;
create trigger _300_derive_unbilled_insert after insert on app.invoices
for each row execute function app.tg_invoices__derive_unbilled();
create trigger _300_derive_unbilled_update after update on app.invoices
for each row when ((old.status = 'CANCELLED') <> (new.status = 'CANCELLED'))
execute function app.tg_invoices__derive_unbilled();

-- Each branch reads an index that holds only what is waiting.
create view app.headquarters_tasks with (security_invoker = true) as
select
  'UNBILLED' as kind, o.id, o.order_number::text as subject, o.id as order_id, o.partner_id,
  o.routed_to_subdist_id as subdist_id, app.unbilled_amount(o.id) as amount,
  u.unbilled_since as waiting_since, null as details
from app.unbilled_orders as u
inner join app.orders as o on o.id = u.order_id
union all
select
  'REFUND' as kind, i.id, i.invoice_number as subject, i.order_id, i.partner_id,
  null as subdist_id, i.refund_due as amount,
  i.refund_due_since as waiting_since, i.cancel_reason as details
from app.invoices as i
where i.refund_due > 0
union all
select
  'REDEMPTION' as kind, r.id, c.name as subject, null as order_id, r.partner_id,
  null as subdist_id, null as amount, r.created_at as waiting_since,
  r.points_spent::text as details
from app.redemptions as r
inner join app.redemption_catalog as c on c.id = r.catalog_item_id
where r.status = 'PENDING';
comment on view app.headquarters_tasks is
  'What awaits headquarters beside the turn of an order, each with its clock';

-- The key of the log makes each escalation happen once, as for orders.
create function app.sweep_headquarters_tasks(p_limit int default 1000)
returns int language plpgsql volatile
as $$
declare
  v_calendar constant jsonb := (
    select c.config_value from app.system_configs as c where c.config_key = 'sla.calendar'
  );
  v_approval constant numeric := app.config_numeric('sla.approval_hours');
  v_escalation constant numeric := app.config_numeric('sla.escalation_hours');
  v_count int;
begin
  with due as (
    select t.kind, t.id, t.subject, t.order_id, t.partner_id, t.waiting_since, l.level, d.due_at
    from app.headquarters_tasks as t
    cross join lateral (values
      ('REMINDER'::app.escalation_level_enum, v_approval), ('HQ_INTERVENTION', v_escalation)
    ) as l (level, hours)
    cross join lateral app.sla_due_at(
      t.waiting_since, l.hours, v_calendar, 'Asia/Jakarta') as d (due_at)
    where t.waiting_since <= now() - l.hours * interval '1 hour'
      and not exists (
        select from app.task_escalations as e
        where e.subject_id = t.id and e.clock_started_at = t.waiting_since
          and e.escalation_level = l.level
      )
      and d.due_at <= now()
      -- a level without any recipient waits for one
      and exists (select from app.headquarters_recipients as h)
    order by t.waiting_since, t.id, l.level
    limit p_limit
  ),
  logged as (
    insert into app.task_escalations (subject_id, clock_started_at, escalation_level, due_at)
    select d.id, d.waiting_since, d.level, d.due_at from due as d
    on conflict do nothing
    returning *
  ),
  enqueued as (
    insert into app.messages (
      template, recipient_type, recipient_id, order_id, variables, priority
    )
    select
      m.template, 'AGENT', h.id, d.order_id,
      jsonb_build_object(
        'task', case d.kind
          when 'REDEMPTION' then 'pengiriman hadiah'
          when 'REFUND' then 'pengembalian dana tagihan'
          else 'penagihan pesanan'
        end,
        'subject', d.subject,
        'partner_name', (select p.business_name from app.partners as p where p.id = d.partner_id),
        'waiting_since', app.format_moment(d.waiting_since, 'Asia/Jakarta')),
      app.message_priority(m.template)
    from logged as g
    join due as d
      on d.id = g.subject_id and d.waiting_since = g.clock_started_at
        and d.level = g.escalation_level
    join app.headquarters_recipients as h
      on case d.level when 'REMINDER' then h.is_reminded else h.is_escalated_to end
    cross join lateral (
      select case d.level
        when 'REMINDER' then 'sla_task_reminder' else 'sla_task_escalation'
      end as template
    ) as m
    order by d.waiting_since, d.level, h.id
  )
  select count(*) into v_count from logged as g;
  return v_count;
end $$;
comment on function app.sweep_headquarters_tasks(int) is
  'Reminds headquarters of redemptions, unbilled orders and refunds that wait longer than '
  'sla.approval_hours, and escalates after sla.escalation_hours; each level once per clock. '
  'Returns how many';

create function app.headquarters_due_at(p_since timestamptz)
returns timestamptz language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select app.sla_due_at(
      p_since, app.config_numeric('sla.approval_hours'), c.config_value, 'Asia/Jakarta')
    from app.system_configs as c where c.config_key = 'sla.calendar' and p_since is not null
  );
end $$;
comment on function app.headquarters_due_at(timestamptz) is
  'When admins are reminded of something that awaits headquarters since then; null for null';
