-- Everything that the hub stores about one partner, for a person who asks (UU PDP).

-- A new table is in the export at once.
create function app.export_rows(p_partner_id uuid) returns jsonb language plpgsql stable
as $$
declare
  v_table record;
  v_rows jsonb;
  v_found jsonb := jsonb_build_object();
begin
  for v_table in
    select c.name, app.secret_columns(c.id) as secrets from app.partner_tables as c order by c.name
  loop
    execute format(
      'select coalesce(jsonb_agg(to_jsonb(t) - $2), ''[]'') from app.%I as t'
      ' where t.partner_id = $1',
      v_table.name)
    into v_rows using p_partner_id, v_table.secrets;
    v_found := v_found || jsonb_build_object(v_table.name, v_rows);
  end loop;
  return v_found;
end $$;
comment on function app.export_rows(uuid) is
  'The rows of a partner by table, without hashes of passwords';

create function app.export_partner(p_partner_id uuid)
returns jsonb language plpgsql volatile
as $$
declare
  v_account jsonb;
begin
  v_account := app.start_export('app.partners', p_partner_id, 'partner');
  return v_account || jsonb_build_object(
    'messages', app.export_messages(p_partner_id),
    'sessions', app.export_sessions(p_partner_id),
    'inbound_messages', (
      select coalesce(jsonb_agg(to_jsonb(b) - 'payload_hash'), '[]')
      from app.inbound_messages as b where b.id = any (app.webhooks_of(p_partner_id))
    ),
    'conversations', (
      select coalesce(jsonb_agg(to_jsonb(v) - 'hour_hashes'), '[]')
      from app.conversations as v
      where v.number in (
        select c.phone from app.partner_contacts(p_partner_id) as c where c.until = 'infinity'
      )
    ),
    'agent_sessions', (
      select coalesce(jsonb_agg(to_jsonb(s) order by s.started_at), '[]')
      from app.agent_sessions as s where s.impersonated_partner_id = p_partner_id
    ),
    'sla_escalation_logs', (
      select coalesce(jsonb_agg(to_jsonb(l)), '[]')
      from app.sla_escalation_logs as l
      where l.order_id in (select o.id from app.orders as o where o.partner_id = p_partner_id)
    ),
    'erp_quarantine', (
      select coalesce(jsonb_agg(to_jsonb(q)), '[]')
      from app.invoices as i
      join app.erp_quarantine as q on starts_with(q.key, i.invoice_number || ' ')
      where i.partner_id = p_partner_id
    ),
    'audit_logs', (
      select coalesce(jsonb_agg(to_jsonb(l) order by l.created_at), '[]')
      from app.audit_logs as l
      where l.actor_id = p_partner_id or l.on_behalf_of = p_partner_id
        or l.target_id = any (app.audited_ids(p_partner_id))
    )
  ) || app.export_rows(p_partner_id);
end $$;
comment on function app.export_partner(uuid) is
  'Everything that the hub stores about a partner; only superadmins. Raises NOT_ALLOWED, NOT_FOUND';
