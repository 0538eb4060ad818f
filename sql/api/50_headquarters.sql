-- Headquarters moves orders.

create function api.release_order(order_id uuid, reason text) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.release_order(release_order.order_id, release_order.reason);
  v_order api.orders;
begin
  select * into strict v_order from api.orders as o where o.id = v_id;
  return v_order;
end $$;
comment on function api.release_order(uuid, text) is $$Let an over-limit order through, with a reason, and route it
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, NOT_RELEASABLE 409.$$;

create function api.approve_order(order_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.move_order(approve_order.order_id, 'APPROVED');
  v_order api.orders;
begin
  select * into strict v_order from api.orders as o where o.id = v_id;
  return v_order;
end $$;
comment on function api.approve_order(uuid) is $$Approve an order: its invoice is made
From PROCESSING, and from SUBMITTED only what could be routed to no one. Errors: NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.reject_order(order_id uuid, reason text) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.move_order(reject_order.order_id, 'REJECTED', app.require_text('reason', reject_order.reason, 500));
  v_order api.orders;
begin
  select * into strict v_order from api.orders as o where o.id = v_id;
  return v_order;
end $$;
comment on function api.reject_order(uuid, text) is $$Reject an order before it is shipped, with a reason: stock, credit and used points go back
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.reroute_order(order_id uuid, subdist_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.reroute_order(reroute_order.order_id, reroute_order.subdist_id);
  v_order api.orders;
begin
  select * into strict v_order from api.orders as o where o.id = v_id;
  return v_order;
end $$;
comment on function api.reroute_order(uuid, uuid) is $$Hand an open order to another sub-distributor and restart the clock
Errors: NOT_FOUND 404, NOT_ROUTABLE 409, SUBDIST_UNAVAILABLE 409.$$;

create function api.ship_order(order_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.move_order(ship_order.order_id, 'SHIPPED');
  v_order api.orders;
begin
  select * into strict v_order from api.orders as o where o.id = v_id;
  return v_order;
end $$;
comment on function api.ship_order(uuid) is $$Say that an approved order is on its way
Errors: NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.complete_order(order_id uuid) returns api.orders
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.move_order(complete_order.order_id, 'COMPLETED');
  v_order api.orders;
begin
  select * into strict v_order from api.orders as o where o.id = v_id;
  return v_order;
end $$;
comment on function api.complete_order(uuid) is $$Say that a shipped order has arrived
Errors: NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

create function api.acknowledge_escalation(escalation_id uuid) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.acknowledge_escalation(acknowledge_escalation.escalation_id) $$;
comment on function api.acknowledge_escalation(uuid) is $$Say that an escalation is being looked after
Errors: NOT_FOUND 404, ALREADY_ACKNOWLEDGED 409.$$;

create function api.set_config(config_key text, config_value jsonb) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.set_config_value(set_config.config_key, set_config.config_value) $$;
comment on function api.set_config(text, jsonb) is $$Change a configuration value; it holds from the next request on
config_value is a JSON number or string as the key takes. Errors: INVALID_ARGUMENT 400, UNKNOWN_CONFIG 422, INVALID_CONFIG_VALUE 422.$$;

grant execute on function
  api.release_order(uuid, text), api.approve_order(uuid), api.reject_order(uuid, text), api.reroute_order(uuid, uuid),
  api.ship_order(uuid), api.complete_order(uuid), api.acknowledge_escalation(uuid), api.set_config(text, jsonb)
to admin;

create view api.partners with (security_invoker = true) as
select
  p.id, p.email, p.phone, p.business_name, p.tier, p.salon_type, p.chair_count, p.specialization, p.region_id, p.credit_limit,
  p.credit_used, p.point_balance, p.is_active, p.address, p.created_at, p.updated_at
from app.partners as p;
comment on view api.partners is 'Partners: all for headquarters, those of his regions for an agent';
comment on column api.partners.credit_used is 'IDR owed and on order';

create view api.agents with (security_invoker = true) as
select a.id, a.email, a.full_name, a.phone, a.role, a.region_id, a.is_active, a.created_at, a.updated_at from app.agents as a;
comment on view api.agents is 'Agents and headquarters staff';

create view api.regions with (security_invoker = true) as
select r.id, r.name, r.code, r.parent_region_id, r.created_at from app.regions as r;
comment on view api.regions is 'Sales regions, a tree by parent_region_id';

create view api.sub_distributors with (security_invoker = true) as
select s.id, s.region_id, s.business_name, s.whatsapp_number, s.email, s.contact_person, s.status, s.created_at, s.updated_at
from app.sub_distributors as s;
comment on view api.sub_distributors is 'Sub-distributors: all for headquarters, those of his regions for an agent';

create view api.system_configs with (security_invoker = true) as
select c.config_key, c.config_value, c.description, c.version, c.updated_by, c.updated_at from app.system_configs as c;
comment on view api.system_configs is 'Configuration in force; changed by rpc/set_config';

create view api.system_config_history with (security_invoker = true) as
select h.config_key, h.version, h.old_value, h.new_value, h.changed_by, h.changed_at from app.system_config_history as h;
comment on view api.system_config_history is 'Every change of the configuration, who made it and when';

create view api.audit_logs with (security_invoker = true) as
select
  l.id, l.actor_id, l.actor_type, l.actor_role, l.on_behalf_of, l.target_id, l.target_type, l.action, l.old_value, l.new_value,
  l.ip_address, l.created_at
from app.audit_logs as l;
comment on view api.audit_logs is 'Audit trail, personal data masked; at most a minute behind';

create view api.agent_sessions with (security_invoker = true) as
select s.id, s.agent_id, s.impersonated_partner_id, s.started_at, s.expires_at, s.ended_at, s.ip_address from app.agent_sessions as s;
comment on view api.agent_sessions is 'Shadow sessions: which agent acted for which partner, and when';

create view api.impersonation_notifications with (security_invoker = true) as
select n.id, n.agent_session_id, n.order_id, n.channel, n.status, n.sent_at, n.created_at from app.impersonation_notifications as n;
comment on view api.impersonation_notifications is 'Notices to partners of orders placed in their name';

create view api.sla_escalation_logs with (security_invoker = true) as
select
  l.id, l.order_id, l.escalation_level, l.notified_to, l.notified_type, l.clock_started_at, l.due_at, l.triggered_at, l.reason,
  l.acknowledged_at, l.acknowledged_by
from app.sla_escalation_logs as l;
comment on view api.sla_escalation_logs is 'Escalations of late orders, one row for each recipient';

create view api.messages with (security_invoker = true) as
select
  m.id, m.template, m.channel, m.recipient_type, m.recipient_id, m.order_id, m.status, m.attempts, m.next_attempt_at, m.provider_id,
  m.error_code, m.sent_at, m.delivered_at, m.created_at, m.priority, m.expires_at, m.unknown_since, m.repeats
from app.messages as m;
comment on view api.messages is 'Outbox: messages owed and what became of them';
comment on column api.messages.error_code is 'Why it failed: dead letters are those with status FAILED';
comment on column api.messages.repeats is 'How often it was sent again though an earlier sending may have arrived';

-- The owner's rights, on purpose: the schedule is nobody's row.
create view api.job_health with (security_invoker = false) as
select
  h.job, h.schedule, h.description, h.last_started_at, h.last_succeeded_at, h.last_rows, h.total_runs, h.seconds_since_success,
  h.last_failed_at, h.last_error, h.next_run_at, h.is_late
from jobs.health() as h;
comment on view api.job_health is $$Scheduled jobs and the streams of the ERP: when each last worked, its last error, its next run, whether it is late
Streams are the rows erp:products, erp:stock, erp:payments, erp:orders; they show once the ERP has used them.$$;
comment on column api.job_health.seconds_since_success is 'Lag: seconds since it last worked; null: it never has';
comment on column api.job_health.last_error is 'What the last failure said; it may lie before the last success';
comment on column api.job_health.next_run_at is 'When it is due next';
comment on column api.job_health.is_late is 'It should have worked by now';

create view api.erp_set_aside with (security_invoker = true) as
select a.stream, a.key, a.payload, a.reason, a.as_of, a.first_seen_at, a.last_seen_at, a.times from app.erp_set_aside as a;
comment on view api.erp_set_aside is $$What the ERP told and the hub could not take over
A level of an unknown SKU is applied when its product comes; the others leave the list when the ERP tells them in a form that can be taken over.$$;

grant select on api.partners, api.regions, api.sub_distributors to agent, admin;
grant select on
  api.agents, api.system_configs, api.audit_logs, api.agent_sessions, api.impersonation_notifications, api.sla_escalation_logs,
  api.messages, api.job_health, api.erp_set_aside
to admin;
grant select on api.system_config_history to superadmin;
