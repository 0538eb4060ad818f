-- Escalations, and what awaits headquarters.

create function api.acknowledge_escalation(escalation_id uuid) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.acknowledge_escalation(acknowledge_escalation.escalation_id) $$;
comment on function api.acknowledge_escalation(uuid) is
$$Acknowledge an escalation: the caller follows it up
Agents acknowledge those of their regions; others are unknown to them.
Errors: NOT_FOUND 404, ALREADY_ACKNOWLEDGED 409.$$;

create view api.sla_escalation_logs with (security_invoker = true) as
select
  l.id, l.order_id, l.escalation_level, l.notified_to, l.notified_type, l.clock_started_at,
  l.due_at, l.triggered_at, l.reason, l.acknowledged_at, l.acknowledged_by
from app.sla_escalation_logs as l;
comment on view api.sla_escalation_logs is
$$Escalations of late orders, one row for each recipient
Agents see those of their regions and of the regions below.$$;

-- Each branch reads an index that holds only what is waiting: its cost follows from that, not from
-- the orders and messages of the past.
create view api.work_queue with (security_invoker = true) as
select
  w.kind, w.id, w.subject, w.order_id, w.partner_id,
  (select p.business_name from app.partners as p where p.id = w.partner_id) as business_name,
  w.subdist_id,
  (select s.business_name from app.sub_distributors as s where s.id = w.subdist_id)
    as subdist_name,
  w.amount, w.waiting_since,
  app.headquarters_due_at(case when w.has_clock then w.waiting_since end) as due_at, w.details
from (
  select
    case
      when o.is_over_limit and o.released_at is null then 'OVER_LIMIT'
      when o.status = 'APPROVED' then 'DELIVERY'
      when o.routed_to_subdist_id is null then 'UNROUTED'
      else 'APPROVAL'
    end as kind,
    o.id, o.order_number::text as subject, o.id as order_id, o.partner_id,
    o.routed_to_subdist_id as subdist_id, o.grand_total::numeric as amount,
    o.awaiting_since as waiting_since, true as has_clock,
    case when o.is_over_limit and o.released_at is null then o.over_limit_reason end as details
  from app.orders as o
  where o.awaiting = 'HEADQUARTERS' and o.awaiting_since is not null
  union all
  select
    'ESCALATION' as kind, e.id, o.order_number as subject, o.id as order_id, o.partner_id,
    o.routed_to_subdist_id as subdist_id, o.grand_total as amount,
    o.awaiting_since as waiting_since, false as has_clock, e.reason as details
  from app.orders as o
  cross join lateral (
    select l.id, l.reason, bool_or(l.acknowledged_at is not null) over () as is_acknowledged
    from app.sla_escalation_logs as l
    where l.order_id = o.id and l.escalation_level = 'HQ_INTERVENTION'
      and l.clock_started_at = o.awaiting_since
    order by l.id limit 1
  ) as e
  where o.awaiting = 'SUBDIST' and o.awaiting_since is not null and o.sla_escalated
    and not e.is_acknowledged
  union all
  select
    t.kind, t.id, t.subject, t.order_id, t.partner_id, t.subdist_id, t.amount, t.waiting_since,
    true as has_clock, t.details
  from app.headquarters_tasks as t
  union all
  select
    'MESSAGE' as kind, m.id, m.template as subject, m.order_id,
    case m.recipient_type when 'PARTNER' then m.recipient_id end as partner_id,
    case m.recipient_type when 'SUBDIST' then m.recipient_id end as subdist_id,
    null as amount, m.created_at as waiting_since, false as has_clock, m.error_code as details
  from app.messages as m
  where m.status = 'FAILED' and m.created_at > now() - interval '7 days'
    -- no e-mail went out in its place
    and (m.channel = 'EMAIL' or (
      m.recipient_type = 'SUBDIST' and exists (
        select from app.sub_distributors as s where s.id = m.recipient_id and s.email is null
      )
    ))
  union all
  select
    'QUARANTINE' as kind, null as id, q.stream || ' ' || q.key as subject, null as order_id,
    null as partner_id, null as subdist_id, null as amount, q.first_seen_at as waiting_since,
    false as has_clock, q.reason as details
  from app.erp_quarantine as q
) as w
order by w.waiting_since, w.id;
comment on view api.work_queue is
$$What awaits headquarters, oldest first
kind says what is to be done: OVER_LIMIT (release_order or reject_order), UNROUTED (reroute_order,
approve_order or reject_order), APPROVAL (approve_order), DELIVERY (approved without a
sub-distributor: reroute_order or ship_order), UNBILLED (issue_invoice), REFUND (an invoice that was
paid beyond what is billed: record_refund), ESCALATION (a silent sub-distributor:
acknowledge_escalation), REDEMPTION (advance_redemption), MESSAGE (could not be delivered within
the last 7 days), QUARANTINE (a row of the ERP that could not be applied).$$;
comment on column api.work_queue.id is
  'Id of the order, invoice, escalation, redemption or message; null for QUARANTINE';
comment on column api.work_queue.subject is
  'Number of the order or invoice, reward, template of the message, or stream and key of the row';
comment on column api.work_queue.amount is
  'IDR: total of the order; UNBILLED: what no live invoice bills; REFUND: what is to be refunded';
comment on column api.work_queue.waiting_since is 'Since when it has been waiting';
comment on column api.work_queue.due_at is
  'When admins are reminded, or were; null where headquarters has no clock';
comment on column api.work_queue.details is
  'A code (OVER_LIMIT: of the reason; MESSAGE: of the provider''s error), a number (REDEMPTION: '
  'points), text as it was entered or in Indonesian (REFUND: reason of the cancellation; '
  'ESCALATION: its reason), or why a row was refused (QUARANTINE: an error code or a sentence)';

grant execute on function api.acknowledge_escalation(uuid) to agent, admin;
grant select on api.sla_escalation_logs to agent, admin;
grant select on api.work_queue to admin;
grant select on app.headquarters_tasks to admin;
grant execute on function app.headquarters_due_at(timestamptz), app.unbilled_amount(uuid) to admin;
