-- Invariants of the workflow: status histories, routing, escalations, notices and sessions.
-- consistency.sql explains how they are run.

create view app.consistency_order_history as
with steps as (
  select
    e.order_id, e.from_status, e.to_status, lag(e.to_status) over history as before,
    lead(e.id) over history is null as is_last
  from app.order_events as e
  where e.event = 'STATUS'
  window history as (partition by e.order_id order by e.id)
),

paths as (
  select
    s.order_id, max(s.to_status) filter (where s.is_last) as ends_at,
    bool_and(
      app.is_legal_transition(s.from_status, s.to_status)
      and s.from_status is not distinct from s.before) as is_legal,
    string_agg(s.to_status::text, ' > ' order by s.to_status) as path
  from steps as s group by s.order_id
)

select
  o.id as subject_id,
  format('%s is %s; its history: %s', o.order_number, o.status, coalesce(p.path, 'none')) as details
from app.orders as o
left join paths as p on p.order_id = o.id
where (p.is_legal and p.ends_at = o.status) is not true;
comment on view app.consistency_order_history is
$$The history of each order is an unbroken sequence of legal transitions that ends at its status
Scan: order_events in the order of order_events_order_idx, no sort; orders whole.$$;

create view app.consistency_routing as
select o.id as subject_id, format('%s: %s', o.order_number, w.details) as details
from app.orders as o
cross join lateral (
  select case
    when (o.routed_to_subdist_id is null) <> (o.routed_at is null)
      then 'a sub-distributor or a time of routing without the other'
    when o.routed_to_subdist_id is not null and o.is_over_limit and o.released_at is null
      then 'routed over the limit'
    when exists (
      select from app.sub_distributors as d
      where d.id = o.routed_to_subdist_id and d.status = 'SUSPENDED'
        and d.updated_at < now() - interval '15 minutes'
    ) then 'routed to a suspended sub-distributor'
    when o.routed_to_subdist_id is not null and not exists (
      select from app.messages as m
      where m.order_id = o.id and m.template in ('order_routed', 'order_delivery_due')
        and m.recipient_id = o.routed_to_subdist_id and m.created_at >= o.routed_at
    ) then 'the sub-distributor was not notified'
    when o.routed_to_subdist_id is null and not exists (
      select from app.messages as m
      where m.order_id = o.id and m.template in ('order_unrouted', 'order_over_limit')
    ) then 'headquarters was not notified'
  end as details
) as w
where o.awaiting_since is not null and w.details is not null;
comment on view app.consistency_routing is
$$The sub-distributor of each order that is not shipped was notified; headquarters if it has none
Scan: only orders that wait for someone, by orders_awaiting_idx; messages by messages_order_idx.$$;

create view app.consistency_awaiting as
select o.id as subject_id, format('%s: %s', o.order_number, w.details) as details
from app.orders as o
cross join lateral (
  select case
    when o.awaiting <> app.order_awaiting(o.status, o.routed_to_subdist_id, o.last_response_at)
      then format('%s awaits %s', o.status, o.awaiting)
    when o.awaiting in ('SUBDIST', 'HEADQUARTERS') and o.awaiting_since is null
      then format('awaits %s without a clock', o.awaiting)
    when o.awaiting_since > now() + interval '1 minute'
      then format('the clock starts at %s', o.awaiting_since)
    when o.awaiting = 'SUBDIST'
      and o.awaiting_since <> greatest(o.routed_at, o.last_response_at, o.approved_at)
      then format('the clock of the sub-distributor starts at %s', o.awaiting_since)
    when o.status = 'PROCESSING' and o.awaiting = 'HEADQUARTERS'
      and o.routed_to_subdist_id is not null and not exists (
        select from app.messages as m
        where m.order_id = o.id and m.template = 'order_approval_due'
      ) then 'headquarters was not notified that it is to be approved'
  end as details
) as w
where w.details is not null
union all
select m.id as subject_id, format('%s held since %s', m.template, m.created_at) as details
from app.messages as m
where m.status = 'HELD' and m.created_at < now() - interval '15 minutes' and exists (
  select from app.agents as a
  where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active
    and a.updated_at < now() - interval '15 minutes'
)
union all
select coalesce(o.id, u.order_id) as subject_id,
  format('%s of order %s', case
    when u.order_id is null then 'headquarters does not see that it is unbilled'
    else 'in the queue although it is billed or closed'
  end, coalesce(o.id, u.order_id)) as details
from (
  select d.id
  from app.orders as d
  left join app.invoices as i on i.order_id = d.id and i.status <> 'CANCELLED'
  where d.status in ('APPROVED', 'SHIPPED', 'COMPLETED')
  group by d.id
  having d.grand_total > coalesce(sum(i.amount), 0)
) as o
full outer join app.unbilled_orders as u on u.order_id = o.id
where o.id is null or u.order_id is null;
comment on view app.consistency_awaiting is
$$Nothing waits without a clock, and the one whose turn it is was notified
Scan: orders and invoices whole; messages by messages_order_idx and messages_held_idx.$$;

create view app.consistency_message_priorities as
select
  m.id as subject_id,
  format('%s has priority %s, its template %s has %s',
    m.id, m.priority, m.template, app.message_priority(m.template)) as details
from app.messages as m
where m.status in ('PENDING', 'CLAIMED', 'UNKNOWN')
  and m.priority <> app.message_priority(m.template);
comment on view app.consistency_message_priorities is
$$Each message that is to be sent has the priority of its template
Scan: messages whole.$$;

create view app.consistency_escalations as
with logged as (
  select
    l.order_id, l.notified_to, l.escalation_level, count(*) as times,
    min(l.id::text)::uuid as id
  from app.sla_escalation_logs as l
  group by l.order_id, l.notified_to, l.escalation_level
  -- those whose messages have not been purged
  having min(l.triggered_at) >= (select p.purged_until from app.messages_period as p)
)

select
  min(l.id::text)::uuid as subject_id,
  format('%s of order %s to %s logged %s times for one clock',
    l.escalation_level, l.order_id, l.notified_to, count(*)) as details
from app.sla_escalation_logs as l
group by l.order_id, l.escalation_level, l.notified_to, l.clock_started_at
having count(*) > 1
union all
select
  l.id as subject_id,
  format('%s of order %s logged at %s, due at %s, clock from %s',
    l.escalation_level, l.order_id, l.triggered_at, l.due_at, l.clock_started_at) as details
from app.sla_escalation_logs as l
where l.triggered_at < l.due_at or l.due_at < l.clock_started_at
union all
select
  g.id as subject_id,
  format('%s of order %s logged %s times for %s, with %s messages',
    g.escalation_level, g.order_id, g.times, g.notified_to, m.messages) as details
from logged as g
cross join lateral (
  select count(*) as messages from app.messages as m
  where m.order_id = g.order_id and m.recipient_id = g.notified_to and m.channel = 'WHATSAPP'
    and m.template = any (case g.escalation_level
      when 'REMINDER' then '{sla_reminder,sla_delivery_reminder,sla_hq_reminder}'::text[]
      when 'MANAGER' then '{sla_manager}'
      else '{sla_escalation,sla_hq_escalation}'
    end)
    -- a held escalation that was released has been enqueued for each recipient
    and m.error_code is distinct from 'released'
) as m
where m.messages <> g.times
union all
select
  o.id as subject_id,
  format('%s: flagged as escalated in its running clock, but not logged', o.order_number) as details
from app.orders as o
where o.awaiting_since is not null
  and (o.sla_reminder_sent or o.sla_manager_notified or o.sla_escalated)
  and exists (
    select from (values
      ('REMINDER'::app.escalation_level_enum, o.sla_reminder_sent),
      ('MANAGER', o.sla_manager_notified),
      ('HQ_INTERVENTION', o.sla_escalated)
    ) as f (level, is_set)
    where f.is_set and not exists (
      select from app.sla_escalation_logs as l
      where l.order_id = o.id and l.escalation_level = f.level
        and l.clock_started_at = o.awaiting_since
    )
  )
union all
-- The sweep runs every minute: an escalation that has been due for 15 minutes is missing.
select
  o.id as subject_id,
  format('%s: %s was due at %s', o.order_number, d.level, d.due_at) as details
from app.orders as o
inner join app.partners as p on p.id = o.partner_id
cross join lateral (
  select
    f.level,
    app.sla_due_at(
      o.awaiting_since, app.config_numeric(f.config_key),
      (select c.config_value from app.system_configs as c where c.config_key = 'sla.calendar'),
      case o.awaiting
        when 'SUBDIST' then app.region_time_zone(p.region_id) else 'Asia/Jakarta'
      end) as due_at
  from (values
    ('SUBDIST', 'REMINDER', 'sla.reminder_hours', o.sla_reminder_sent),
    ('SUBDIST', 'MANAGER', 'sla.manager_hours', o.sla_manager_notified),
    ('SUBDIST', 'HQ_INTERVENTION', 'sla.escalation_hours', o.sla_escalated),
    ('HEADQUARTERS', 'REMINDER', 'sla.approval_hours', o.sla_reminder_sent),
    ('HEADQUARTERS', 'HQ_INTERVENTION', 'sla.escalation_hours', o.sla_escalated)
  ) as f (awaiting, level, config_key, is_set)
  where f.awaiting = o.awaiting::text and not f.is_set
) as d
where o.awaiting_since < now() - interval '15 minutes'
  and d.due_at < now() - interval '15 minutes'
  and ((o.awaiting = 'SUBDIST' and d.level = 'REMINDER') or exists (
    select from app.agents as a where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active
  ))
union all
select
  t.id as subject_id,
  format('%s %s: %s was due at %s', t.kind, t.subject, d.level, d.due_at) as details
from app.headquarters_tasks as t
cross join lateral (
  select
    f.level,
    app.sla_due_at(
      t.waiting_since, app.config_numeric(f.config_key),
      (select c.config_value from app.system_configs as c where c.config_key = 'sla.calendar'),
      'Asia/Jakarta') as due_at
  from (values
    ('REMINDER'::app.escalation_level_enum, 'sla.approval_hours'),
    ('HQ_INTERVENTION', 'sla.escalation_hours')
  ) as f (level, config_key)
) as d
where d.due_at < now() - interval '15 minutes'
  and not exists (
    select from app.task_escalations as e
    where e.subject_id = t.id and e.clock_started_at = t.waiting_since
      and e.escalation_level = d.level
  )
  and exists (
    select from app.agents as a
    where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active
      and a.updated_at < now() - interval '15 minutes'
  );
comment on view app.consistency_escalations is
$$Every due escalation is logged and enqueued once for each level, recipient and clock
Scan: sla_escalation_logs whole, messages by messages_order_idx; orders that wait for someone by
orders_awaiting_idx, other tasks of headquarters by the indexes of work_queue.$$;

create view app.consistency_shadow_orders as
select
  o.id as subject_id,
  format('%s by agent %s: %s notices', o.order_number, o.agent_id, n.notices) as details
from app.orders as o
cross join lateral (
  select
    count(*) as notices,
    bool_and(
      s.agent_id = o.agent_id and s.impersonated_partner_id = o.partner_id
      and (n.message_id is not null or n.created_at < p.purged_until)) as is_right
  from app.impersonation_notifications as n
  inner join app.agent_sessions as s on s.id = n.agent_session_id
  cross join app.messages_period as p
  where n.order_id = o.id and n.act = 'ORDER'
) as n
where o.agent_id is not null and o.submitted_at is not null
  and (n.notices = 1 and n.is_right) is not true;
comment on view app.consistency_shadow_orders is
$$The partner was notified once of each order that an agent placed for them in a shadow session
Scan: only such orders, by orders_agent_idx; notices by impersonation_notifications_order_idx.$$;

create view app.consistency_erp_cancellations as
select
  coalesce(o.id, c.order_id) as subject_id,
  format('%s is %s: its cancellation in the ERP is %s',
    o.order_number, coalesce(o.status::text, 'neither cancelled nor rejected'), case
      when c.order_id is null then 'missing' else coalesce(c.outcome, 'pending')
    end) as details
from (
  select d.id, d.order_number, d.status from app.orders as d
  where d.status in ('REJECTED', 'CANCELLED') and d.approved_at is not null
) as o
full outer join app.erp_cancellations as c on c.order_id = o.id
where o.id is null or c.order_id is null;
comment on view app.consistency_erp_cancellations is
$$Every order cancelled or rejected after approval, and no other, has a cancellation for the ERP
Scan: only cancelled and rejected orders, by idx_orders_status.$$;

create view app.consistency_sessions as
select
  s.id as subject_id,
  format('open session of %s with %s unused refresh tokens', s.role, count(*)) as details
from auth.refresh_tokens as t
inner join auth.sessions as s on s.id = t.session_id
where t.used_at is null and s.revoked_at is null
group by s.id, s.role
having count(*) > 1
union all
select s.id as subject_id, 'open session without an account of its role' as details
from auth.sessions as s
where s.revoked_at is null and s.expires_at > now() and case
  when s.role = 'partner' then not exists (
    select from app.partners as p where p.id = s.subject_id)
  when s.role = 'subdist' then not exists (
    select from app.sub_distributors as d where d.id = s.subject_id)
  when s.role in ('agent', 'admin', 'superadmin') then not exists (
    select from app.agents as a where a.id = s.subject_id)
  else true
end;
comment on view app.consistency_sessions is
$$An open session has at most one unused refresh token and belongs to an existing account
Scan: sessions and refresh tokens whole; purged after retention.session_days.$$;

create view app.consistency_phones as
select n.id as subject_id, format('%s of %s is not a phone number', n.name, n.owner) as details
from (
  select p.id, 'partners' as owner, 'phone' as name, p.phone as number from app.partners as p
  union all
  select a.id, 'agents' as owner, 'phone' as name, a.phone as number from app.agents as a
  union all
  select
    s.id, 'sub_distributors' as owner, 'whatsapp_number' as name, s.whatsapp_number as number
  from app.sub_distributors as s
) as n
where app.normalise_phone(n.number) is distinct from n.number;
comment on view app.consistency_phones is
$$Every phone number is one number in the form in which the hub stores it
Scan: partners, agents and sub_distributors whole.$$;

-- Would show a write past the triggers that raise the version: caches would keep the old catalogue.
create view app.consistency_catalogue_bodies as
select
  null::uuid as subject_id,
  format('%s: the stored catalogue of state %s differs from the products and prices',
    b.price_list, b.state) as details
from app.catalogue_state() as s
inner join app.catalogue_bodies as b on b.state = s.state
inner join app.catalogue_documents as d on d.price_list = b.price_list
where d.body::text <> b.body::text;
comment on view app.consistency_catalogue_bodies is
$$A stored catalogue whose state holds is the catalogue that would be built now
Scan: active products, and their prices by tier_prices_lookup_idx, once for each price list.$$;
