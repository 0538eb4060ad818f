-- What each caller's role may use. Default privileges revoke EXECUTE from PUBLIC. USAGE on app and
-- auth lets policies and views call their predicates; rows and columns are granted one by one.

revoke all on schema app, api, auth, jobs, extensions from public;
grant usage on schema api
to anon, partner, agent, admin, superadmin, subdist, erp, messenger, monitor;
grant usage on schema app to anon, partner, agent, admin, subdist, erp, messenger;
grant usage on schema auth to anon, partner, agent, admin, subdist, erp, messenger, monitor;
grant execute on function auth.request_guard(), auth.reports_guard()
to anon, partner, agent, admin, subdist, erp, messenger, monitor;
grant execute on function
  auth.current_user_id(), auth.caller_role()
to anon, partner, agent, admin, subdist, erp, messenger;
grant execute on function auth.current_subdist_id() to partner, agent, admin, subdist;
-- A view that is not security_invoker still calls its functions as the caller: partner_statistics
-- uses agent_regions.
grant execute on function auth.agent_regions() to partner, agent, admin;
grant execute on function auth.current_agent_region() to agent;
-- The default of each table's id, which is evaluated as the caller.
grant execute on function app.uuid_v7() to admin;
grant execute on function auth.current_tier(), app.stock_stale_before()
to partner, agent, admin, subdist;

alter table app.idempotency_keys enable row level security;
