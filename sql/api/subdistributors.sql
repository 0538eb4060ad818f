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

-- Reads webhooks and the trail once, as export_partner does.
create function api.export_subdist(subdist_id uuid) returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp set statement_timeout = '10min'
as $$ select app.export_subdist(export_subdist.subdist_id) $$;
comment on function api.export_subdist(uuid) is
$$Return everything that is stored about a sub-distributor, for a person who asks for their data
An object with the account, messages to them, what they wrote, sessions with addresses, answers to
orders and escalations; of orders routed to them the key; the audit trail of their account
(masked), and how many rows they changed by day, table and address. Also of one who was deleted.
Messages name partners: check before you hand it out. The export itself is in the audit trail.
Errors: NOT_FOUND 404.$$;

grant select on api.sub_distributors to agent, admin;

grant insert (id, region_id, business_name, whatsapp_number, email, contact_person, status),
update (id, region_id, business_name, whatsapp_number, email, contact_person, status),
delete on api.sub_distributors to admin;

grant execute on function api.export_subdist(uuid) to superadmin;
