-- Agents.

create view api.agents with (security_invoker = true) as
select
  a.id, a.email, a.full_name, a.phone, a.role, a.region_id, a.is_active, a.created_at, a.updated_at
from app.agents as a;
comment on view api.agents is 'Agents and headquarters staff';

grant select on api.agents to admin;
