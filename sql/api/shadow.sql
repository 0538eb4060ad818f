-- Shadow mode: agents who act for partners.

create view api.agent_sessions with (security_invoker = true) as
select
  s.id, s.agent_id, s.impersonated_partner_id, s.started_at, s.expires_at, s.ended_at, s.ip_address
from app.agent_sessions as s;
comment on view api.agent_sessions is
  'Shadow sessions: which agent acted for which partner, and when';

create view api.impersonation_notifications with (security_invoker = true) as
select
  n.id, n.agent_session_id, n.act, n.order_id, n.redemption_id, n.channel, n.status, n.sent_at,
  n.created_at
from app.impersonation_notifications as n;
comment on view api.impersonation_notifications is
  'Notices to partners of what an agent did for them: orders, cancellations, drafts, redemptions';

create type api.shadow_session as (
  session_id uuid, access_token text, expires_at timestamptz, expires_in int
);
comment on type api.shadow_session is
  'Answer of start_shadow_session; expires_in is in seconds';

create function api.start_shadow_session(partner_id uuid) returns api.shadow_session
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select json_populate_record(
    null::api.shadow_session, app.start_shadow_session(start_shadow_session.partner_id))
$$;
comment on function api.start_shadow_session(uuid) is
$$Open a shadow session to act for a partner of the caller's regions
Returns a short-lived access token with the partner's rights.
Orders submitted with it are AGENT_ASSISTED. All that is done with it is audited under the agent's
name, and the partner is notified of each order, cancellation, draft and redemption.
Errors: NOT_ALLOWED 403, NOT_FOUND 404.$$;

create function api.end_shadow_session() returns int
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select app.end_shadow_session() $$;
comment on function api.end_shadow_session() is
$$Close the caller's open shadow sessions; their tokens are refused from now on
Called with a shadow token, it closes that session only. Returns the number of closed sessions.$$;

grant select on api.agent_sessions, api.impersonation_notifications to admin;
grant execute on function api.start_shadow_session(uuid), api.end_shadow_session() to agent, admin;
