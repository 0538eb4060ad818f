-- The promises as queries, second part: histories, clocks, notices, configs, sessions, and the audit trail.

create function app.check_since() returns timestamptz language sql stable
as $$ select coalesce(nullif(current_setting('hub.check_since', true), '')::timestamptz, now() - interval '2 days') $$;
comment on function app.check_since() is
  'From when on the trail is compared: setting hub.check_since (what "hub check --since" sets), else the last two days';

create function app.uuid_v7_floor(p_at timestamptz) returns uuid language sql immutable
as $$ select (lpad(to_hex(floor(extract(epoch from p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$;
comment on function app.uuid_v7_floor(timestamptz) is 'The least UUIDv7 of this moment: with it the primary key is an index by time';

create view app.consistency_order_history as
with steps as (
  select
    e.order_id, e.from_status, e.to_status, lag(e.to_status) over history as before, lead(e.id) over history is null as is_last
  from app.order_events as e
  where e.event = 'STATUS'
  window history as (partition by e.order_id order by e.id)
),

paths as (
  select
    s.order_id, max(s.to_status) filter (where s.is_last) as ends_at,
    bool_and(app.is_legal_transition(s.from_status, s.to_status) and s.from_status is not distinct from s.before) as is_legal,
    bool_or(s.from_status = 'SUBMITTED' and s.to_status = 'APPROVED') as unrouted,
    string_agg(s.to_status::text, ' > ' order by s.to_status) as path
  from steps as s group by s.order_id
)

select o.id as subject_id, format('%s is %s; its history: %s', o.order_number, o.status, coalesce(p.path, 'none')) as details
from app.orders as o
left join paths as p on p.order_id = o.id
where (p.is_legal and p.ends_at = o.status and not (p.unrouted and o.routed_to_subdist_id is not null)) is not true;
comment on view app.consistency_order_history is $$The history of each order is an unbroken legal path that ends at its status
Scan: order_events in the order of order_events_order_idx, no sort; orders whole.$$;

create view app.consistency_routing as
select o.id as subject_id, format('%s: %s', o.order_number, w.details) as details
from app.orders as o
cross join lateral (
  select case
    when o.routed_to_subdist_id is not null and (o.routed_at is null or o.sla_clock_started_at is null) then 'routed without a clock'
    when o.routed_to_subdist_id is null and o.routed_at is not null then 'a clock without a sub-distributor'
    when o.routed_to_subdist_id is not null and o.is_over_limit and o.released_at is null then 'routed over the limit'
    when exists (
      select from app.sub_distributors as d
      where d.id = o.routed_to_subdist_id and d.status = 'SUSPENDED' and d.updated_at < now() - interval '15 minutes'
    ) then 'with a sub-distributor who was suspended'
    when o.routed_to_subdist_id is not null and not exists (
      select from app.messages as m
      where m.order_id = o.id and m.template = 'order_routed' and m.recipient_id = o.routed_to_subdist_id and m.created_at >= o.routed_at
    ) then 'the sub-distributor was not told'
    when o.routed_to_subdist_id is null and not exists (
      select from app.messages as m where m.order_id = o.id and m.template in ('order_unrouted', 'order_over_limit')
    ) and exists (
      -- an admin who has been one since before
      select from app.agents as a where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active and a.updated_at < o.updated_at
    ) then 'headquarters was not told'
  end as details
) as w
where o.status in ('SUBMITTED', 'PROCESSING') and w.details is not null;
comment on view app.consistency_routing is $$No open order is routed without its clock and its message; of one that is routed to no one, headquarters was told
Scan: only open orders, by idx_orders_status; messages by messages_order_idx.$$;

create view app.consistency_escalations as
with told as (
  select l.order_id, l.notified_to, l.escalation_level, count(*) as logged, min(l.id::text)::uuid as id
  from app.sla_escalation_logs as l group by l.order_id, l.notified_to, l.escalation_level
)

select min(l.id::text)::uuid as subject_id,
  format('%s of order %s to %s logged %s times for one clock', l.escalation_level, l.order_id, l.notified_to, count(*)) as details
from app.sla_escalation_logs as l
group by l.order_id, l.escalation_level, l.notified_to, l.clock_started_at
having count(*) > 1
union all
select
  l.id as subject_id,
  format('%s of order %s logged at %s, due at %s, clock from %s', l.escalation_level, l.order_id, l.triggered_at, l.due_at,
    l.clock_started_at) as details
from app.sla_escalation_logs as l
where l.triggered_at < l.due_at or l.due_at < l.clock_started_at
union all
select
  t.id as subject_id,
  format('%s of order %s logged %s times for %s, told %s times', t.escalation_level, t.order_id, t.logged, t.notified_to,
    m.messages) as details
from told as t
cross join lateral (
  select count(*) as messages from app.messages as m
  where m.order_id = t.order_id and m.recipient_id = t.notified_to and m.channel = 'WHATSAPP'
    and m.template = case t.escalation_level when 'REMINDER' then 'sla_reminder' when 'MANAGER' then 'sla_manager' else 'sla_escalation' end
) as m
where m.messages <> t.logged
union all
select o.id as subject_id, format('%s: flagged as told of its running clock, but nothing is logged', o.order_number) as details
from app.orders as o
where o.status in ('SUBMITTED', 'PROCESSING') and (o.sla_reminder_sent or o.sla_manager_notified or o.sla_escalated)
  and exists (
    select from (values
      ('REMINDER'::app.escalation_level_enum, o.sla_reminder_sent), ('MANAGER', o.sla_manager_notified),
      ('HQ_INTERVENTION', o.sla_escalated)
    ) as f (level, is_set)
    where f.is_set and not exists (
      select from app.sla_escalation_logs as l
      where l.order_id = o.id and l.escalation_level = f.level and l.clock_started_at = o.sla_clock_started_at
    )
  )
union all
-- The sweep comes every few minutes: what is due for a quarter of an hour is owed.
select o.id as subject_id, format('%s: %s was due at %s', o.order_number, d.level, d.due_at) as details
from app.orders as o
inner join app.partners as p on p.id = o.partner_id
cross join lateral (
  select f.level, app.sla_due_at(o.sla_clock_started_at, app.config_numeric(f.config_key),
    (select c.config_value from app.system_configs as c where c.config_key = 'sla.calendar'), app.region_time_zone(p.region_id)) as due_at
  from (values
    ('REMINDER', 'sla.reminder_hours', o.sla_reminder_sent), ('MANAGER', 'sla.manager_hours', o.sla_manager_notified),
    ('HQ_INTERVENTION', 'sla.escalation_hours', o.sla_escalated)
  ) as f (level, config_key, is_set)
  where not f.is_set
) as d
where o.status in ('SUBMITTED', 'PROCESSING') and o.routed_to_subdist_id is not null
  and not (o.sla_reminder_sent and o.sla_manager_notified and o.sla_escalated)
  and o.sla_clock_started_at < now() - (select app.config_numeric('sla.reminder_hours')) * interval '1 hour' - interval '15 minutes'
  and d.due_at < now() - interval '15 minutes'
  and (d.level = 'REMINDER' or exists (select from app.agents as a where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active));
comment on view app.consistency_escalations is $$Every escalation owed is logged and told once for each level, recipient and clock
Scan: sla_escalation_logs whole, messages by messages_order_idx; open orders by idx_orders_status.$$;

create view app.consistency_shadow_orders as
select o.id as subject_id, format('%s by agent %s: %s notices', o.order_number, o.agent_id, n.notices) as details
from app.orders as o
cross join lateral (
  select
    count(*) as notices,
    bool_and(s.agent_id = o.agent_id and s.impersonated_partner_id = o.partner_id and n.message_id is not null) as is_right
  from app.impersonation_notifications as n inner join app.agent_sessions as s on s.id = n.agent_session_id
  where n.order_id = o.id
) as n
where o.agent_id is not null and o.submitted_at is not null and (n.notices = 1 and n.is_right) is not true;
comment on view app.consistency_shadow_orders is $$Of each order that an agent placed the partner was told once, from a session of that agent for that partner
Scan: only such orders, by orders_agent_idx; notices by impersonation_notifications_order_idx.$$;

create view app.consistency_configs as
select c.id as subject_id, format('%s is %s in version %s; its history has %s, the last %s', c.config_key, c.config_value, c.version,
  coalesce(h.versions, 0), h.new_value) as details
from app.system_configs as c
left join lateral (
  select (select count(*) from app.system_config_history as a where a.config_key = c.config_key) as versions, l.version, l.new_value
  from app.system_config_history as l where l.config_key = c.config_key order by l.version desc limit 1
) as h on true
where (h.version = c.version and h.versions = c.version and h.new_value = c.config_value) is not true;
comment on view app.consistency_configs is $$Each config stands as its newest history row says, and no version is missing
Scan: both small tables, the history by its key.$$;

create view app.consistency_sessions as
select s.id as subject_id, format('open session of %s with %s unused refresh tokens', s.role, count(*)) as details
from auth.refresh_tokens as t
inner join auth.sessions as s on s.id = t.session_id
where t.used_at is null and s.revoked_at is null
group by s.id, s.role
having count(*) > 1
union all
select s.id as subject_id, 'signed in as what the account is not' as details
from auth.sessions as s
where s.revoked_at is null and s.expires_at > now() and case
  when s.role = 'partner' then not exists (select from app.partners as p where p.id = s.subject_id)
  when s.role = 'subdist' then not exists (select from app.sub_distributors as d where d.id = s.subject_id)
  when s.role in ('agent', 'admin', 'superadmin') then not exists (select from app.agents as a where a.id = s.subject_id)
  else true
end;
comment on view app.consistency_sessions is $$An open session has one unused refresh token at most, and belongs to somebody
Scan: sessions and refresh tokens whole; purged after 30 days.$$;

create view app.audited_rows as
select 'partners' as target_type, r.id from app.partners as r
union all
select 'agents' as target_type, r.id from app.agents as r
union all
select 'sub_distributors' as target_type, r.id from app.sub_distributors as r
union all
select 'orders' as target_type, r.id from app.orders as r
union all
select 'order_items' as target_type, r.id from app.order_items as r
union all
select 'invoices' as target_type, r.id from app.invoices as r
union all
select 'invoice_payments' as target_type, r.id from app.invoice_payments as r
union all
select 'point_transactions' as target_type, r.id from app.point_transactions as r
union all
select 'redemptions' as target_type, r.id from app.redemptions as r
union all
select 'tier_prices' as target_type, r.id from app.tier_prices as r
union all
select 'system_configs' as target_type, r.id from app.system_configs as r
union all
select 'agent_sessions' as target_type, r.id from app.agent_sessions as r;
comment on view app.audited_rows is 'Every row whose changes are audited';

-- Each statement of the trail as it will be or is in audit_logs: what still waits in the buffer is taken apart here.
create view app.consistency_audit_trail as
with trail as materialized (
  select l.target_type, l.target_id, l.action, l.new_value, l.created_at
  from app.audit_logs as l where l.created_at >= (select app.check_since())
  union all
  select
    b.target_type, (r.row ->> 'id')::uuid as target_id, b.action, case when b.action <> 'DELETE' then r.row end as new_value,
    b.created_at
  from app.audit_buffer as b
  cross join lateral jsonb_array_elements(coalesce(b.new_rows, b.old_rows)::jsonb) as r (row)
  where b.created_at >= (select app.check_since())
),

recent as materialized (
  select r.target_type, r.id from app.audited_rows as r where r.id >= (select app.uuid_v7_floor(app.check_since()))
),

money as (
  select 'orders' as target_type, o.id, jsonb_build_object('status', o.status, 'subtotal', o.subtotal, 'discount_amount', o.discount_amount,
    'point_discount', o.point_discount, 'grand_total', o.grand_total, 'points_earned', o.points_earned, 'points_used', o.points_used,
    'is_over_limit', o.is_over_limit) as now
  from app.orders as o where o.updated_at >= (select app.check_since())
  union all
  select
    'invoices' as target_type, i.id,
    jsonb_build_object('status', i.status, 'amount', i.amount, 'amount_paid', i.amount_paid) as now
  from app.invoices as i where i.updated_at >= (select app.check_since())
  union all
  select
    'partners' as target_type, p.id, jsonb_build_object('tier', p.tier, 'credit_limit', p.credit_limit, 'credit_used', p.credit_used,
      'point_balance', p.point_balance) as now
  from app.partners as p where p.updated_at >= (select app.check_since())
),

newest as (
  select
    t.target_type, t.target_id,
    jsonb_object_agg(e.key, e.value order by t.created_at) filter (where e.key is not null) as told
  from trail as t
  left join lateral jsonb_each(t.new_value) as e on e.key in (
    'status', 'subtotal', 'discount_amount', 'point_discount', 'grand_total', 'points_earned', 'points_used', 'is_over_limit',
    'amount', 'amount_paid', 'tier', 'credit_limit', 'credit_used', 'point_balance'
  )
  where t.target_type in ('orders', 'invoices', 'partners')
  group by t.target_type, t.target_id
)

select r.id as subject_id, format('%s: its making is not in the trail', r.target_type) as details
from recent as r
where not exists (select from trail as t where t.target_type = r.target_type and t.target_id = r.id and t.action = 'INSERT')
union all
select t.target_id as subject_id, format('%s: gone, and the trail does not tell', t.target_type) as details
from trail as t
where t.action = 'INSERT' and t.target_id >= (select app.uuid_v7_floor(app.check_since()))
  and not exists (select from recent as r where r.target_type = t.target_type and r.id = t.target_id)
  and not exists (select from trail as d where d.target_type = t.target_type and d.target_id = t.target_id and d.action = 'DELETE')
union all
select
  m.id as subject_id,
  format('%s: is %s, the trail says %s', m.target_type, m.now, coalesce(n.told::text, 'nothing')) as details
from money as m
left join newest as n on n.target_type = m.target_type and n.target_id = m.id
where n.target_id is null or not m.now @> coalesce(n.told, '{}');
comment on view app.consistency_audit_trail is $$Every change of an audited table since app.check_since() is in the trail, which ends with the amounts that the rows have
Scan: rows made since then by their UUIDv7 primary keys, the trail by idx_audit_created, partitions of earlier months not at all; orders and invoices whole for updated_at.$$;
