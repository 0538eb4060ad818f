-- The service level of sub-distributors: a reminder, then the region's agents, then headquarters,
-- each once per running clock.

create function app.sla_due_at(p_start timestamptz, p_hours numeric, p_calendar jsonb, p_zone text)
returns timestamptz language plpgsql stable
as $$
declare
  -- A calendar of holidays only must not loop for ever, nor take long for thousands of orders.
  v_max_days constant int := 3660;
  v_max_closed_days constant int := 100;
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
  for i in 0..v_max_days loop
    if extract(isodow from v_day)::int = any (v_days)
      and to_char(v_day, 'YYYY-MM-DD') <> all (v_holidays)
    then
      v_closed := 0;
      v_opens := greatest(
        p_start, (v_day + (p_calendar ->> 'from')::interval) at time zone p_zone);
      v_closes := (v_day + (p_calendar ->> 'until')::interval) at time zone p_zone;
      if v_closes - v_opens >= v_left then
        return v_opens + v_left;
      end if;
      v_left := v_left - greatest(v_closes - v_opens, interval '0');
    else
      v_closed := v_closed + 1;
      exit when v_closed > v_max_closed_days;
    end if;
    v_day := v_day + 1;
  end loop;
  return p_start + p_hours * interval '1 hour';
end $$;
comment on function app.sla_due_at(timestamptz, numeric, jsonb, text) is
  'When this many hours of the calendar have passed since the start, in this zone; by the wall '
  'clock if the calendar is closed for 100 days in a row';

-- orders_sla_clock_idx alone answers this: it holds only open orders with a level that has not been
-- reached, so that closed orders cost nothing.
create function app.late_orders(
  p_reminder numeric, p_manager numeric, p_escalation numeric, p_limit int
)
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
      or (
        not o.sla_manager_notified
        and o.sla_clock_started_at <= now() - p_manager * interval '1 hour'
      )
      or (
        not o.sla_escalated
        and o.sla_clock_started_at <= now() - p_escalation * interval '1 hour'
      )
    )
  order by o.sla_clock_started_at
  limit p_limit;
end $$;
comment on function app.late_orders(numeric, numeric, numeric, int) is
  'Orders whose clock has passed the hours of a level that was not escalated, by the wall clock; '
  'oldest clocks first';

create function app.waiting_since(p_clock timestamptz) returns jsonb language sql stable
as $$
  select jsonb_build_object(
    'waiting_since', to_char(p_clock at time zone 'Asia/Jakarta', 'DD-MM-YYYY HH24:MI') || ' WIB',
    'reason', 'batas waktu terlampaui'
  )
$$;
comment on function app.waiting_since(timestamptz) is
  'Message variables that describe a running clock';

-- The unique key of the log makes each escalation happen once: a repeated, concurrent or late run
-- adds nothing.
create function app.sweep_service_level(p_limit int default 20000)
returns int language plpgsql volatile
as $$
declare
  v_calendar jsonb := (
    select c.config_value from app.system_configs as c where c.config_key = 'sla.calendar'
  );
  v_reminder numeric := app.config_numeric('sla.reminder_hours');
  v_manager numeric := app.config_numeric('sla.manager_hours');
  v_escalation numeric := app.config_numeric('sla.escalation_hours');
  v_count int;
begin
  with late as (
    select
      o.id, o.partner_id, o.routed_to_subdist_id, o.sla_clock_started_at as clock,
      o.sla_reminder_sent, o.sla_manager_notified, o.sla_escalated
    from app.orders as o
    where o.id = any (array(
        select l.id from app.late_orders(v_reminder, v_manager, v_escalation, p_limit) as l
      ))
      -- repeated for orders that changed while this waited for their lock
      and o.status in ('SUBMITTED', 'PROCESSING') and o.routed_to_subdist_id is not null
      and o.sla_clock_started_at <= now() - v_reminder * interval '1 hour'
    for no key update skip locked
  ),
  located as (
    select l.*, p.region_id from late as l join app.partners as p on p.id = l.partner_id
  ),
  zones as materialized (
    select r.region_id, app.region_time_zone(r.region_id) as zone
    from (select distinct w.region_id from located as w) as r
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
    from located as w
    join zones as z on z.region_id is not distinct from w.region_id
    cross join lateral (values
      ('REMINDER'::app.escalation_level_enum, v_reminder, not w.sla_reminder_sent),
      ('MANAGER', v_manager, not w.sla_manager_notified),
      ('HQ_INTERVENTION', v_escalation, not w.sla_escalated)
    ) as l (level, hours, is_open)
    cross join lateral app.sla_due_at(w.clock, l.hours, v_calendar, z.zone) as d (due_at)
    where l.is_open and d.due_at <= now()
  ),
  escalations as (
    select
      d.id, d.level, d.clock, d.due_at, d.routed_to_subdist_id as notified_to,
      'SUBDIST'::app.notified_type_enum as notified_type
    from due as d where d.level = 'REMINDER'
    union all
    select d.id, d.level, d.clock, d.due_at, m.id, 'AGENT'
    from due as d join managers as m on m.region_id = d.region_id where d.level = 'MANAGER'
    union all
    select d.id, d.level, d.clock, d.due_at, h.id, 'ADMIN'
    from due as d cross join headquarters as h
    -- Headquarters replaces the agents in a region without any.
    where d.level = 'HQ_INTERVENTION' or (
      d.level = 'MANAGER'
      and not exists (select from managers as m where m.region_id = d.region_id)
    )
  ),
  logged as (
    insert into app.sla_escalation_logs (
      order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at
    )
    select e.id, e.level, e.notified_to, e.notified_type, e.clock, e.due_at
    from escalations as e order by e.level, e.due_at, e.id
    on conflict do nothing
    returning *
  ),
  enqueued as (
    insert into app.messages (
      template, recipient_type, recipient_id, order_id, variables, priority
    )
    select
      t.template, case g.notified_type when 'SUBDIST' then 'SUBDIST' else 'AGENT' end,
      g.notified_to, g.order_id, app.waiting_since(g.clock_started_at),
      app.message_priority(t.template)
    from logged as g
    cross join lateral (
      select case g.escalation_level
        when 'REMINDER' then 'sla_reminder' when 'MANAGER' then 'sla_manager'
        else 'sla_escalation'
      end as template
    ) as t
    order by g.escalation_level, g.due_at, g.order_id
  )
  update app.orders as o set
    sla_reminder_sent = o.sla_reminder_sent or f.reminded,
    sla_manager_notified = o.sla_manager_notified or f.manager_notified,
    sla_escalated = o.sla_escalated or f.escalated
  from (
    select
      e.id, bool_or(e.level = 'REMINDER') as reminded,
      bool_or(e.level = 'MANAGER') as manager_notified,
      bool_or(e.level = 'HQ_INTERVENTION') as escalated
    from escalations as e group by e.id
  ) as f
  where o.id = f.id;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function app.sweep_service_level(int) is
  'Logs every escalation that is due and enqueues its message, for up to p_limit orders, oldest '
  'clocks first; returns the number of orders escalated';

create function app.escalate_now(p_order_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
declare
  v_order app.orders;
  v_notified uuid[];
begin
  select * into v_order from app.orders as o
  where o.id = p_order_id and o.status in ('SUBMITTED', 'PROCESSING')
    and o.routed_to_subdist_id is not null and not o.sla_escalated
  for no key update;
  if not found then
    return;
  end if;
  with logged as (
    insert into app.sla_escalation_logs (
      order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at, reason
    )
    select
      p_order_id, 'HQ_INTERVENTION', a.id, 'ADMIN', v_order.sla_clock_started_at, now(), p_reason
    from app.agents as a where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active
    on conflict do nothing
    returning *
  )
  select array_agg(g.notified_to) into v_notified from logged as g;
  perform app.enqueue_messages('sla_escalation', 'AGENT', v_notified, p_order_id,
    app.waiting_since(v_order.sla_clock_started_at) || jsonb_build_object('reason', p_reason));
  update app.orders as o set sla_escalated = true
  where o.id = p_order_id and exists (
    select from app.sla_escalation_logs as l
    where l.order_id = p_order_id and l.escalation_level = 'HQ_INTERVENTION'
      and l.clock_started_at = v_order.sla_clock_started_at
  );
end $$;
comment on function app.escalate_now(uuid, text) is
  'Escalates an open order to headquarters at once, with the reason; once per clock';

create function app.withdraw_reminders(p_order_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform app.withdraw_messages(
    p_order_id, '{sla_reminder,sla_manager,sla_escalation}', 'answered');
end $$;
comment on function app.withdraw_reminders(uuid) is
  'Withdraws messages about a late order that was answered in the meantime';

create function app.acknowledge_escalation(p_escalation_id uuid)
returns json language plpgsql volatile
as $$
declare
  v_log app.sla_escalation_logs;
begin
  select * into v_log
  from app.sla_escalation_logs as l where l.id = p_escalation_id for no key update;
  -- An escalation of another region is answered as an unknown one, like its partner.
  if not found or (
    auth.caller_role() = 'agent'
    and (v_log.region_id in (select auth.agent_regions())) is not true
  ) then
    perform app.fail('NOT_FOUND', 'escalation');
  elsif v_log.acknowledged_at is not null then
    perform app.fail('ALREADY_ACKNOWLEDGED', format('at %s', v_log.acknowledged_at));
  end if;
  update app.sla_escalation_logs as l
  set acknowledged_at = now(), acknowledged_by = auth.current_agent_id()
  where l.id = p_escalation_id returning * into v_log;
  return json_build_object(
    'escalation_id', v_log.id, 'order_id', v_log.order_id,
    'acknowledged_at', v_log.acknowledged_at);
end $$;
comment on function app.acknowledge_escalation(uuid) is
  'Records who follows up an escalation; raises NOT_FOUND, ALREADY_ACKNOWLEDGED';

create function jobs.sweep_service_level()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_handed_over bigint;
begin
  -- A suspension does not see orders that a concurrent transaction routes to the sub-distributor.
  select coalesce(sum(app.hand_over_orders(s.id)), 0) into v_handed_over
  from app.sub_distributors as s
  where s.status = 'SUSPENDED' and exists (
    select from app.orders as o
    where o.routed_to_subdist_id = s.id and o.status in ('SUBMITTED', 'PROCESSING')
  );
  return jobs.record_run(
    'sla-sweep', v_started_at, v_handed_over + app.sweep_service_level());
end $$;
comment on function jobs.sweep_service_level() is
  'Escalates late orders, and hands over the orders of suspended sub-distributors; returns the '
  'number of orders';
