-- Escalations.

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

grant execute on function api.acknowledge_escalation(uuid) to agent, admin;
grant select on api.sla_escalation_logs to agent, admin;
