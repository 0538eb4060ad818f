-- Sub-distributors.

create view api.sub_distributors with (security_invoker = true) as
select
  s.id, s.region_id, s.business_name, s.whatsapp_number, s.email, s.contact_person, s.status,
  s.created_at, s.updated_at
from app.sub_distributors as s;
comment on view api.sub_distributors is
$$Sub-distributors: all for headquarters, those of their own regions for agents
Headquarters writes all columns but the times; status SUSPENDED hands over their orders and closes
their sessions.$$;

grant select on api.sub_distributors to agent, admin;

grant insert (id, region_id, business_name, whatsapp_number, email, contact_person, status),
update (id, region_id, business_name, whatsapp_number, email, contact_person, status),
delete on api.sub_distributors to admin;
