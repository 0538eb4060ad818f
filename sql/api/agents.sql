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

grant select on api.agents to admin;
grant select on api.staff to agent, admin;

grant insert (email, full_name, phone, role, region_id, is_active),
update (email, full_name, phone, role, region_id, is_active) on api.agents to superadmin;
