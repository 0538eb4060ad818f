-- Agents.

create view api.agents with (security_invoker = true) as
select
  a.id, a.email, a.full_name, a.phone, a.role, a.region_id, a.is_active, a.created_at, a.updated_at
from app.agents as a;
comment on view api.agents is
$$Agents and headquarters staff
Superadmins write all columns but id and the times. A new agent has no password until they are
invited; deactivating and another role close their sessions.
Errors: LAST_SUPERADMIN 409.$$;

create view api.staff with (security_invoker = true) as
select a.id, a.full_name, a.role, a.region_id, a.is_active from app.agents as a;
comment on view api.staff is
$$Names of agents and headquarters staff
Embed it where a list has an agent_id: orders?select=*,staff(full_name).$$;

-- Reads webhooks and the trail once, as export_partner does.
create function api.export_agent(agent_id uuid) returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp set statement_timeout = '10min'
as $$ select app.export_agent(export_agent.agent_id) $$;
comment on function api.export_agent(uuid) is
$$Return everything that is stored about an agent, for a person who asks for their data
An object with the account, messages to them, what they wrote, sessions with addresses, shadow
sessions, events and escalations; of rows that they created the key and the free text; the audit
trail of their account (masked), and how many rows they changed by day, table and address.
Messages name partners: check before you hand it out. The export itself is in the audit trail.
Errors: NOT_FOUND 404.$$;

grant select on api.agents to admin;
grant select on api.staff to agent, admin;

grant insert (email, full_name, phone, role, region_id, is_active),
update (email, full_name, phone, role, region_id, is_active) on api.agents to superadmin;
grant execute on function api.export_agent(uuid) to superadmin;
