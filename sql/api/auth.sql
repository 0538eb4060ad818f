-- Sign-in and the caller's own account.

create view api.me with (security_invoker = true) as
select
  m.id, m.role, m.name, m.email, m.phone, m.region_id, m.tier, m.credit_limit, m.credit_used,
  m.credit_left, m.point_balance, m.acting_agent_id
from auth.me() as m;
comment on view api.me is
  'The caller''s own account: name, role, and for partners tier, credit (IDR) and points';

create function api.me() returns api.me
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select m from api.me as m $$;
comment on function api.me() is
  'Return the caller''s own account: name, role, and for partners tier, credit (IDR) and points';

create function api.login(email text, password text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.login(login.email, login.password) $$;
comment on function api.login(text, text) is
$$Sign in with e-mail and password
Returns access_token (send it as "Authorization: Bearer ..."), expires_at, refresh_token, role,
subject_id.
Errors: INVALID_CREDENTIALS 401, TOO_MANY_ATTEMPTS 429.$$;

create function api.refresh_session(refresh_token text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.refresh_session(refresh_session.refresh_token) $$;
comment on function api.refresh_session(text) is
$$Get new tokens for a refresh token
Each refresh token can be used once; a second use closes the session.
Returns tokens as login does.
Errors: INVALID_REFRESH_TOKEN 401, REFRESH_TOKEN_REUSED 401.$$;

create function api.request_link(whatsapp_number text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.request_link(request_link.whatsapp_number) $$;
comment on function api.request_link(text) is
$$Send a sub-distributor a sign-in link over WhatsApp
Unknown numbers get the same answer.
Errors: TOO_MANY_ATTEMPTS 429.$$;

create function api.redeem_link(token text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.redeem_link(redeem_link.token) $$;
comment on function api.redeem_link(text) is
$$Sign a sub-distributor in with the token of a sign-in link
A token can be used once and expires after some minutes. Returns tokens as login does.
Errors: INVALID_LINK 401.$$;

create function api.logout() returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.logout() $$;
comment on function api.logout() is
  'Close the session: its access and refresh tokens are refused from now on';

create function api.change_password(current_password text, new_password text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select auth.change_password(change_password.current_password, change_password.new_password)
$$;
comment on function api.change_password(text, text) is
$$Change the caller's own password and close all other sessions
A password has at least 10 characters and at most 72 bytes.
Errors: INVALID_CREDENTIALS 401, NOT_ALLOWED 403, PASSWORD_TOO_WEAK 422, TOO_MANY_ATTEMPTS 429.$$;

grant execute on function
  api.login(text, text),
  api.refresh_session(text),
  api.request_link(text),
  api.redeem_link(text)
to anon, partner, agent, admin, subdist;
grant execute on function auth.me() to partner, agent, admin, subdist, erp, messenger;
grant select on api.me to partner, agent, admin, subdist, erp, messenger;
grant execute on function api.me(), api.logout() to partner, agent, admin, subdist, erp, messenger;
grant execute on function api.change_password(text, text) to partner, agent, admin;
