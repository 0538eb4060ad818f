-- The service level: a reminder, then the region's agents, then headquarters, each once for each running clock.

create function app.region_time_zone(p_region_id uuid) returns text language sql stable
as $$
  select coalesce((
    select r.time_zone from app.ancestor_regions(p_region_id) as a join app.regions as r on r.id = a.region_id
    where r.time_zone is not null order by a.distance limit 1
  ), 'Asia/Jakarta')
$$;
comment on function app.region_time_zone(uuid) is 'Zone of a region: its own, else that of the nearest region above, else Asia/Jakarta';

create function app.sla_due_at(p_start timestamptz, p_hours numeric, p_calendar jsonb, p_zone text)
returns timestamptz language plpgsql stable set search_path = ''
as $$
declare
  v_left interval := p_hours * interval '1 hour';
  v_day date := (p_start at time zone p_zone)::date;
  v_days int[];
  v_holidays text[];
  v_closed int := 0;
  v_opens timestamptz;
  v_closes timestamptz;
begin
  if p_calendar = '"ALWAYS"' then
    return p_start + v_left;
  end if;
  v_days := array(select d::numeric::int from jsonb_array_elements_text(p_calendar -> 'days') as d);
  v_holidays := array(select h from jsonb_array_elements_text(p_calendar -> 'holidays') as h);
  -- Bounded: a calendar of holidays only must not loop for ever, nor take its time for each of ten thousand orders.
  for i in 0..3660 loop
    if extract(isodow from v_day)::int = any (v_days)
      and to_char(v_day, 'YYYY-MM-DD') <> all (v_holidays)
    then
      v_closed := 0;
      v_opens := greatest(p_start, (v_day + (p_calendar ->> 'from')::interval) at time zone p_zone);
      v_closes := (v_day + (p_calendar ->> 'until')::interval) at time zone p_zone;
      if v_closes - v_opens >= v_left then
        return v_opens + v_left;
      end if;
      v_left := v_left - greatest(v_closes - v_opens, interval '0');
    else
      v_closed := v_closed + 1;
      exit when v_closed > 100;
    end if;
    v_day := v_day + 1;
  end loop;
  return p_start + p_hours * interval '1 hour';
end $$;
comment on function app.sla_due_at(timestamptz, numeric, jsonb, text) is
  'When so many hours of the calendar have run since the start, in this zone; by the wall where it is closed for a hundred days on end';

-- Answered by orders_sla_clock_idx alone, which holds only open orders on which a level has yet to fire: closed ones cost nothing.
create function app.late_orders(p_reminder numeric, p_manager numeric, p_escalation numeric, p_limit int)
returns table (id uuid) language plpgsql stable
as $$
begin
  return query
  select o.id from app.orders as o
  where o.status in ('SUBMITTED', 'PROCESSING') and o.routed_to_subdist_id is not null
    and not (o.sla_reminder_sent and o.sla_manager_notified and o.sla_escalated)
    and o.sla_clock_started_at <= now() - p_reminder * interval '1 hour'
    and (
      not o.sla_reminder_sent
      or (not o.sla_manager_notified and o.sla_clock_started_at <= now() - p_manager * interval '1 hour')
      or (not o.sla_escalated and o.sla_clock_started_at <= now() - p_escalation * interval '1 hour')
    )
  order by o.sla_clock_started_at
  limit p_limit;
end $$;
comment on function app.late_orders(numeric, numeric, numeric, int) is
  'Orders whose clock, by the wall, has run out on a level that has not fired; oldest clocks first';

-- The log's unique key is what makes "once": run twice, at once, or after days, it adds nothing.
create function app.sweep_service_level(p_limit int default 20000)
returns int language plpgsql volatile set search_path = ''
as $$
declare
  v_calendar jsonb := (select c.config_value from app.system_configs as c where c.config_key = 'sla.calendar');
  v_reminder numeric := app.config_numeric('sla.reminder_hours');
  v_manager numeric := app.config_numeric('sla.manager_hours');
  v_escalation numeric := app.config_numeric('sla.escalation_hours');
  v_count int;
begin
  with late as (
    select
      o.id, o.partner_id, o.routed_to_subdist_id, o.sla_clock_started_at as clock, o.sla_reminder_sent, o.sla_manager_notified, o.sla_escalated
    from app.orders as o
    where o.id = any (array(select l.id from app.late_orders(v_reminder, v_manager, v_escalation, p_limit) as l))
      -- said again for what changed while its lock was awaited
      and o.status in ('SUBMITTED', 'PROCESSING') and o.routed_to_subdist_id is not null
      and o.sla_clock_started_at <= now() - v_reminder * interval '1 hour'
    for no key update skip locked
  ),
  placed as (
    select l.*, p.region_id from late as l join app.partners as p on p.id = l.partner_id
  ),
  zones as materialized (
    select r.region_id, app.region_time_zone(r.region_id) as zone from (select distinct w.region_id from placed as w) as r
  ),
  headquarters as materialized (
    select a.id from app.agents as a where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active
  ),
  managers as materialized (
    select z.region_id, a.id
    from zones as z
    cross join lateral app.ancestor_regions(z.region_id) as r
    join app.agents as a on a.region_id = r.region_id and a.role = 'SALESMAN' and a.is_active
  ),
  due as (
    select w.id, w.region_id, w.routed_to_subdist_id, w.clock, l.level, d.due_at
    from placed as w
    join zones as z on z.region_id is not distinct from w.region_id
    cross join lateral (values
      ('REMINDER'::app.escalation_level_enum, v_reminder, not w.sla_reminder_sent),
      ('MANAGER', v_manager, not w.sla_manager_notified),
      ('HQ_INTERVENTION', v_escalation, not w.sla_escalated)
    ) as l (level, hours, is_open)
    cross join lateral app.sla_due_at(w.clock, l.hours, v_calendar, z.zone) as d (due_at)
    where l.is_open and d.due_at <= now()
  ),
  owed as (
    select d.id, d.level, d.clock, d.due_at, d.routed_to_subdist_id as notified_to, 'SUBDIST'::app.notified_type_enum as notified_type
    from due as d where d.level = 'REMINDER'
    union all
    select d.id, d.level, d.clock, d.due_at, m.id, 'AGENT'
    from due as d join managers as m on m.region_id = d.region_id where d.level = 'MANAGER'
    union all
    select d.id, d.level, d.clock, d.due_at, h.id, 'ADMIN'
    from due as d cross join headquarters as h
    -- where no agent serves the region, headquarters stands in
    where d.level = 'HQ_INTERVENTION'
      or (d.level = 'MANAGER' and not exists (select from managers as m where m.region_id = d.region_id))
  ),
  logged as (
    insert into app.sla_escalation_logs (order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at)
    select w.id, w.level, w.notified_to, w.notified_type, w.clock, w.due_at from owed as w order by w.level, w.due_at, w.id
    on conflict do nothing
    returning *
  ),
  told as (
    insert into app.messages (template, recipient_type, recipient_id, order_id, variables)
    select
      case g.escalation_level when 'REMINDER' then 'sla_reminder' when 'MANAGER' then 'sla_manager' else 'sla_escalation' end,
      case g.notified_type when 'SUBDIST' then 'SUBDIST' else 'AGENT' end, g.notified_to, g.order_id, app.waiting_since(g.clock_started_at)
    from logged as g
    order by g.escalation_level, g.due_at, g.order_id
  )
  update app.orders as o set
    sla_reminder_sent = o.sla_reminder_sent or f.reminded,
    sla_manager_notified = o.sla_manager_notified or f.managed,
    sla_escalated = o.sla_escalated or f.escalated
  from (
    select
      w.id, bool_or(w.level = 'REMINDER') as reminded, bool_or(w.level = 'MANAGER') as managed,
      bool_or(w.level = 'HQ_INTERVENTION') as escalated
    from owed as w group by w.id
  ) as f
  where o.id = f.id;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function app.sweep_service_level(int) is
  'Logs and tells every escalation that is due, oldest clocks first, for up to so many orders; returns how many orders it escalated';

create function app.waiting_since(p_clock timestamptz) returns jsonb language sql stable
as $$
  select jsonb_build_object('waiting_since', to_char(p_clock at time zone 'Asia/Jakarta', 'DD-MM-YYYY HH24:MI') || ' WIB', 'reason', 'batas waktu terlampaui')
$$;
comment on function app.waiting_since(timestamptz) is 'What a message says of a clock';

create function app.escalate_now(p_order_id uuid, p_reason text)
returns void language plpgsql volatile set search_path = ''
as $$
declare
  v_order app.orders;
begin
  select * into v_order from app.orders as o
  where o.id = p_order_id and o.status in ('SUBMITTED', 'PROCESSING') and o.routed_to_subdist_id is not null and not o.sla_escalated
  for no key update;
  if not found then
    return;
  end if;
  with logged as (
    insert into app.sla_escalation_logs (order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at, reason)
    select p_order_id, 'HQ_INTERVENTION', a.id, 'ADMIN', v_order.sla_clock_started_at, now(), p_reason
    from app.agents as a where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active
    on conflict do nothing
    returning *
  )
  insert into app.messages (template, recipient_type, recipient_id, order_id, variables)
  select 'sla_escalation', 'AGENT', g.notified_to, g.order_id,
    app.waiting_since(g.clock_started_at) || jsonb_build_object('reason', p_reason)
  from logged as g;
  update app.orders as o set sla_escalated = true
  where o.id = p_order_id and exists (
    select from app.sla_escalation_logs as l
    where l.order_id = p_order_id and l.escalation_level = 'HQ_INTERVENTION' and l.clock_started_at = v_order.sla_clock_started_at
  );
end $$;
comment on function app.escalate_now(uuid, text) is 'Tells headquarters of an open order at once, with the reason; once for each clock';

-- Whoever was about to be bothered about an order that has been answered, need not be.
create function app.tg_orders__withdraw_reminders() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.withdraw_messages(new.id, '{sla_reminder,sla_manager,sla_escalation}', 'answered');
  return null;
end $$;
create trigger _400_withdraw_reminders after update on app.orders
for each row when (
  (old.sla_reminder_sent or old.sla_escalated)
  and (old.sla_clock_started_at is distinct from new.sla_clock_started_at or new.status not in ('SUBMITTED', 'PROCESSING'))
)
execute function app.tg_orders__withdraw_reminders();

create function app.acknowledge_escalation(p_escalation_id uuid)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_log app.sla_escalation_logs;
begin
  select * into v_log from app.sla_escalation_logs as l where l.id = p_escalation_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'escalation');
  elsif v_log.acknowledged_at is not null then
    perform app.fail('ALREADY_ACKNOWLEDGED', format('at %s', v_log.acknowledged_at));
  end if;
  update app.sla_escalation_logs as l set acknowledged_at = now(), acknowledged_by = auth.current_agent_id()
  where l.id = p_escalation_id returning * into v_log;
  return json_build_object('escalation_id', v_log.id, 'order_id', v_log.order_id, 'acknowledged_at', v_log.acknowledged_at);
end $$;
comment on function app.acknowledge_escalation(uuid) is 'Records who looks after an escalation; raises NOT_FOUND, ALREADY_ACKNOWLEDGED';

create function jobs.sweep_service_level()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_handed_over bigint;
begin
  -- An order that was being routed while its sub-distributor was being suspended was not seen by the suspension.
  select coalesce(sum(app.hand_over_orders(s.id)), 0) into v_handed_over
  from app.sub_distributors as s
  where s.status = 'SUSPENDED' and exists (
    select from app.orders as o where o.routed_to_subdist_id = s.id and o.status in ('SUBMITTED', 'PROCESSING')
  );
  return jobs.record_run('sla-sweep', v_started_at, v_handed_over + app.sweep_service_level());
end $$;
comment on function jobs.sweep_service_level() is
  'Escalates orders that wait too long, and hands over what a suspended sub-distributor still has; returns how many';
