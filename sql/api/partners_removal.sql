-- Deleting and erasing partners.

create function api.delete_partner(partner_id uuid, reason text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.delete_partner(delete_partner.partner_id, delete_partner.reason) $$;
comment on function api.delete_partner(uuid, text) is
$$Delete a partner who owes nothing and has no open order
They are hidden from every caller, their sessions are closed, their drafts cancelled and their
messages withdrawn; orders, invoices and points stay. A repeat changes nothing.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, PARTNER_NOT_SETTLED 409.$$;

-- PostgREST applies the time limit of the function instead of the role's.
create function api.erase_partner(partner_id uuid, reason text) returns json
language sql volatile security definer
set search_path = pg_catalog, pg_temp set statement_timeout = '10min'
as $$ select app.erase_partner(erase_partner.partner_id, erase_partner.reason) $$;
comment on function api.erase_partner(uuid, text) is
$$Erase the personal data of a partner who owes nothing and has no open order
Name, number, addresses and free text are removed from all tables, also from the audit trail,
messages and webhooks; every row and sum stays. Deletes the partner first.
reason is kept, so it should name no person. A repeat changes nothing.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, PARTNER_NOT_SETTLED 409.$$;

-- Reads messages, webhooks and the trail once, as an erasure does.
create function api.export_partner(partner_id uuid) returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp set statement_timeout = '10min'
as $$ select app.export_partner(export_partner.partner_id) $$;
comment on function api.export_partner(uuid) is
$$Return everything that is stored about a partner, for a person who asks for their data
An object with the account, and an array of rows for each table: orders, invoices, payments, points,
messages, what they wrote, sessions with addresses, the audit trail (masked). Nothing of it is
hidden from its reader, internal notes included: check before you hand it out.
The export itself is in the audit trail.
Errors: NOT_FOUND 404.$$;

create view api.partner_removals with (security_invoker = true) as
select r.id, r.partner_id, r.kind, r.reason, r.agent_id, r.created_at
from app.partner_removals as r;
comment on view api.partner_removals is
  'Partners who were deleted or erased: by whom, when and why';

grant execute on function api.delete_partner(uuid, text) to admin;
grant execute on function api.erase_partner(uuid, text), api.export_partner(uuid) to superadmin;
grant select on api.partner_removals to admin;
