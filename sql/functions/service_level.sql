-- The service level: whose turn it is has a clock. A sub-distributor is reminded, then the region's
-- agents are notified, then headquarters; admins are reminded, then superadmins are notified. Each
-- level once per running clock.

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

-- orders_awaiting_idx alone answers this: it holds only orders that wait for someone, so that
-- closed orders cost nothing. Headquarters has no level MANAGER.
create function app.late_orders(
  p_reminder numeric, p_manager numeric, p_escalation numeric, p_approval numeric, p_limit int
)
returns table (id uuid) language plpgsql stable
as $$
begin
  return query
  select l.id
  from (
    (
      select o.id, o.awaiting_since from app.orders as o
      where o.awaiting = 'SUBDIST' and o.awaiting_since <= now() - p_reminder * interval '1 hour'
        and (
          not o.sla_reminder_sent
          or (
            not o.sla_manager_notified
            and o.awaiting_since <= now() - p_manager * interval '1 hour'
          )
          or (
            not o.sla_escalated and o.awaiting_since <= now() - p_escalation * interval '1 hour'
          )
        )
      order by o.awaiting_since limit p_limit
    )
    union all
    (
      select o.id, o.awaiting_since from app.orders as o
      where o.awaiting = 'HEADQUARTERS'
        and o.awaiting_since <= now() - p_approval * interval '1 hour'
        and (
          not o.sla_reminder_sent
          or (
            not o.sla_escalated and o.awaiting_since <= now() - p_escalation * interval '1 hour'
          )
        )
      order by o.awaiting_since limit p_limit
    )
  ) as l
  order by l.awaiting_since
  limit p_limit;
end $$;
comment on function app.late_orders(numeric, numeric, numeric, numeric, int) is
  'Orders whose clock has passed the hours of a level that was not escalated, by the wall clock; '
  'oldest clocks first';

create function app.open_task(
  p_status app.order_status_enum, p_awaiting app.awaiting_enum, p_is_routed boolean,
  p_waits_for_release boolean
)
returns text language sql immutable
as $$
  select case
    when p_awaiting = 'SUBDIST'
      then case p_status when 'APPROVED' then 'dikirim' else 'dijawab' end
    when p_waits_for_release then 'keputusan plafon kredit'
    when not p_is_routed then case p_status
      when 'APPROVED' then 'pengiriman' else 'penunjukan sub-distributor'
    end
    else 'persetujuan'
  end
$$;
comment on function app.open_task(
  app.order_status_enum, app.awaiting_enum, boolean, boolean
) is
  'What an order waits for, in Indonesian words for messages about a late order';

create function app.waiting_since(p_clock timestamptz, p_task text, p_zone text)
returns jsonb language sql stable
as $$
  select jsonb_build_object(
    'waiting_since', app.format_moment(p_clock, p_zone),
    'task', p_task, 'reason', 'batas waktu terlampaui'
  )
$$;
comment on function app.waiting_since(timestamptz, text, text) is
  'Message variables that describe a running clock, in the zone of the reader';

create function app.escalation_template(
  p_level app.escalation_level_enum, p_awaiting app.awaiting_enum, p_status app.order_status_enum
)
returns text language sql immutable
as $$
  select case p_awaiting
    when 'HEADQUARTERS'
      then case p_level when 'REMINDER' then 'sla_hq_reminder' else 'sla_hq_escalation' end
    else case p_level
      when 'REMINDER'
        then case p_status when 'APPROVED' then 'sla_delivery_reminder' else 'sla_reminder' end
      when 'MANAGER' then 'sla_manager'
      else 'sla_escalation'
    end
  end
$$;
comment on function app.escalation_template(
  app.escalation_level_enum, app.awaiting_enum, app.order_status_enum
) is
  'Template of the message of a level, by whose clock it is';

create view app.headquarters_recipients with (security_invoker = true) as
select
  a.id,
  a.role = 'ADMIN' or bool_and(a.role <> 'ADMIN') over () as is_reminded,
  a.role = 'SUPERADMIN' or bool_and(a.role <> 'SUPERADMIN') over () as is_escalated_to
from app.agents as a
where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active;
comment on view app.headquarters_recipients is
  'Who is reminded and who is escalated to when headquarters is late: admins and superadmins, and '
  'where either are missing, the others';

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
  v_approval numeric := app.config_numeric('sla.approval_hours');
  v_late constant uuid[] := array(
    select l.id
    from app.late_orders(v_reminder, v_manager, v_escalation, v_approval, p_limit) as l
  );
  v_count int;
begin
  -- Mostly no order is late; the statement would read all orders that wait for someone.
  if v_late = '{}' then
    return 0;
  end if;
  with late as (
    select
      o.id, o.partner_id, o.awaiting, o.routed_to_subdist_id, o.awaiting_since as clock,
      o.sla_reminder_sent, o.sla_manager_notified, o.sla_escalated
    from app.orders as o
    where o.id = any (v_late)
      -- repeated for orders that changed while this waited for their lock
      and o.awaiting_since <= now() - case o.awaiting
        when 'SUBDIST' then v_reminder else v_approval
      end * interval '1 hour'
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
    select h.id, h.is_reminded, h.is_escalated_to from app.headquarters_recipients as h
  ),
  managers as materialized (
    select z.region_id, a.id
    from zones as z
    cross join lateral app.ancestor_regions(z.region_id) as r
    join app.agents as a on a.region_id = r.region_id and a.role = 'SALESMAN' and a.is_active
  ),
  due as (
    select
      w.id, w.region_id, w.awaiting, w.routed_to_subdist_id, w.clock, l.level, d.due_at
    from located as w
    join zones as z on z.region_id is not distinct from w.region_id
    cross join lateral (values
      ('SUBDIST'::app.awaiting_enum, 'REMINDER'::app.escalation_level_enum, v_reminder,
        not w.sla_reminder_sent),
      ('SUBDIST', 'MANAGER', v_manager, not w.sla_manager_notified),
      ('SUBDIST', 'HQ_INTERVENTION', v_escalation, not w.sla_escalated),
      ('HEADQUARTERS', 'REMINDER', v_approval, not w.sla_reminder_sent),
      ('HEADQUARTERS', 'HQ_INTERVENTION', v_escalation, not w.sla_escalated)
    ) as l (awaiting, level, hours, is_open)
    cross join lateral app.sla_due_at(
      w.clock, l.hours, v_calendar,
      case w.awaiting when 'SUBDIST' then z.zone else 'Asia/Jakarta' end) as d (due_at)
    where l.awaiting = w.awaiting and l.is_open and d.due_at <= now()
  ),
  escalations as (
    select
      d.id, d.level, d.clock, d.due_at, d.routed_to_subdist_id as notified_to,
      'SUBDIST'::app.notified_type_enum as notified_type
    from due as d where d.awaiting = 'SUBDIST' and d.level = 'REMINDER'
    union all
    select d.id, d.level, d.clock, d.due_at, m.id, 'AGENT'
    from due as d join managers as m on m.region_id = d.region_id where d.level = 'MANAGER'
    union all
    select d.id, d.level, d.clock, d.due_at, h.id, 'ADMIN'
    from due as d cross join headquarters as h
    where case
      when d.awaiting = 'HEADQUARTERS'
        then case d.level when 'REMINDER' then h.is_reminded else h.is_escalated_to end
      when d.level = 'HQ_INTERVENTION' then true
      -- Headquarters replaces the agents in a region without any.
      when d.level = 'MANAGER'
        then not exists (select from managers as m where m.region_id = d.region_id)
      else false
    end
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
      g.notified_to, g.order_id,
      app.waiting_since(g.clock_started_at, app.open_task(
        o.status, o.awaiting, o.routed_to_subdist_id is not null,
        o.is_over_limit and o.released_at is null),
        case g.notified_type when 'ADMIN' then 'Asia/Jakarta' else z.zone end),
      app.message_priority(t.template)
    from logged as g
    join app.orders as o on o.id = g.order_id
    join located as w on w.id = g.order_id
    join zones as z on z.region_id is not distinct from w.region_id
    cross join lateral (
      select app.escalation_template(g.escalation_level, o.awaiting, o.status) as template
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
  v_recipient_ids uuid[];
  v_notified uuid[];
  v_variables jsonb;
begin
  select * into v_order from app.orders as o
  where o.id = p_order_id and o.awaiting = 'SUBDIST' and not o.sla_escalated
  for no key update;
  if not found then
    return;
  end if;
  v_variables := app.waiting_since(
    v_order.awaiting_since, app.open_task(v_order.status, 'SUBDIST', true, false), 'Asia/Jakarta'
  ) || jsonb_build_object('reason', p_reason);
  v_recipient_ids := app.headquarters();
  if v_recipient_ids = '{}' then
    -- release_held_messages calls this function again
    perform app.notify_headquarters('sla_escalation', p_order_id, v_variables);
    return;
  end if;
  with logged as (
    insert into app.sla_escalation_logs (
      order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at, reason
    )
    select
      p_order_id, 'HQ_INTERVENTION', r.id, 'ADMIN', v_order.awaiting_since, now(), p_reason
    from unnest(v_recipient_ids) as r (id)
    on conflict do nothing
    returning *
  )
  select array_agg(g.notified_to) into v_notified from logged as g;
  perform app.enqueue_messages('sla_escalation', 'AGENT', v_notified, p_order_id, v_variables);
  update app.orders as o set sla_escalated = true where o.id = p_order_id;
end $$;
comment on function app.escalate_now(uuid, text) is
  'Escalates an order that awaits its sub-distributor to headquarters at once, with the reason; '
  'once per clock';

-- An escalation needs its row in the log, too. Rows that another transaction has locked are left
-- for the next run: a transition locks the order before its messages.
create function app.release_held_messages()
returns int language plpgsql volatile
as $$
declare
  v_recipient_ids uuid[] := app.headquarters();
  v_message app.messages;
  v_count int := 0;
begin
  if v_recipient_ids = '{}' then
    return 0;
  end if;
  for v_message in
    select m.* from app.messages as m
    where m.status = 'HELD' order by m.position
    for no key update skip locked
  loop
    if v_message.template = 'sla_escalation' then
      perform from app.orders as o
      where o.id = v_message.order_id for no key update skip locked;
      continue when not found;
      perform app.escalate_now(v_message.order_id, v_message.variables ->> 'reason');
    else
      perform app.enqueue_messages(
        v_message.template, 'AGENT', v_recipient_ids, v_message.order_id, v_message.variables,
        v_message.channel, v_message.expires_at);
    end if;
    update app.messages as m set status = 'WITHDRAWN', error_code = 'released', variables = '{}'
    where m.id = v_message.id;
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;
comment on function app.release_held_messages() is
  'Enqueues what was held until an admin is active, to each of them; returns how many messages '
  'were held';

create function app.withdraw_reminders(p_order_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform app.withdraw_messages(
    p_order_id, '{order_over_limit,order_unrouted,order_approval_due,sla_reminder,'
    'sla_delivery_reminder,sla_manager,sla_escalation,sla_hq_reminder,sla_hq_escalation}',
    'answered');
end $$;
comment on function app.withdraw_reminders(uuid) is
  'Withdraws messages that ask someone to act on an order, whose turn has ended in the meantime';

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
  v_count bigint;
begin
  -- A suspension does not see orders that a concurrent transaction routes to the sub-distributor.
  v_count := app.hand_over_orders(array(
    select s.id from app.sub_distributors as s where s.status = 'SUSPENDED'
  ));
  perform app.release_held_messages();
  v_count := v_count + app.sweep_service_level() + app.sweep_headquarters_tasks();
  return jobs.record_run('sla-sweep', v_started_at, v_count);
end $$;
comment on function jobs.sweep_service_level() is
  'Escalates late orders and other late tasks of headquarters, hands over the orders of suspended '
  'sub-distributors, and enqueues what was held until an admin is active; returns how many';
