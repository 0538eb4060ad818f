-- Escalations.

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
