-- Sign-in and the caller's own account.

create view api.me with (security_invoker = true) as
select
  m.id, m.role, m.name, m.email, m.phone, m.region_id, m.tier, m.credit_limit, m.credit_used,
  m.credit_left, m.point_balance, m.acting_agent_id, m.address, m.salon_type, m.chair_count,
  m.specialization
from auth.me() as m;
comment on view api.me is
  'The caller''s own account: name, role, and for partners tier, credit (IDR), points and profile';

create function api.me() returns api.me
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select m from api.me as m $$;
comment on function api.me() is
  'Return the caller''s own account: name, role, and for partners tier, credit, points and profile';

-- Calls whose refusals must commit (a counted failure, a closed session) return them instead of
-- raising them, so they return json. These types name what they return on success.
create type api.session_tokens as (
  access_token text, token_type text, expires_at timestamptz, expires_in int, refresh_token text,
  device_token text, role text, subject_id uuid
);
comment on type api.session_tokens is
  'Answer of login, refresh_session and redeem_link; expires_in is in seconds';

create type api.code_sent as (sent boolean, minutes int);
comment on type api.code_sent is
  'Answer of request_link and request_password_reset; minutes is how long the code is valid';

create type api.password_changed as (changed boolean, role text);
comment on type api.password_changed is
  'Answer of change_password, and with the role to sign in with of reset_password';

create type api.invitation as (
  role text, id uuid, channel app.notification_channel_enum, expires_at timestamptz
);
comment on type api.invitation is 'Answer of invite: the account, and until when its code is valid';

create function api.login(email text, password text, role text default null) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.login(login.email, login.password, login.role) $$;
comment on function api.login(text, text, text) is
$$Sign in with e-mail and password
Returns api.session_tokens: send access_token as "Authorization: Bearer ..." for expires_in seconds,
then call refresh_session with refresh_token.
role (partner, agent, admin or superadmin) is required only after CHOOSE_ROLE: one person has a
partner's and an agent's account with the same address and password.
Send device_token of an earlier answer in the header X-Device-Token: strangers who guess the
password cannot make that device wait.
Errors: INVALID_ARGUMENT 400, INVALID_CREDENTIALS 401, CHOOSE_ROLE 409, TOO_MANY_ATTEMPTS 429.$$;

create function api.refresh_session(refresh_token text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.refresh_session(refresh_session.refresh_token) $$;
comment on function api.refresh_session(text) is
$$Get new tokens for a refresh token
Each refresh token can be exchanged once. A repeat within 30 seconds returns the same successor, for
clients that lost the answer; any other second use closes the session.
Returns api.session_tokens.
Errors: INVALID_REFRESH_TOKEN 401, REFRESH_TOKEN_REUSED 401.$$;

create function api.request_link(whatsapp_number text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.request_link(request_link.whatsapp_number) $$;
comment on function api.request_link(text) is
$$Send a sub-distributor a sign-in link over WhatsApp
Unknown numbers get the same answer: api.code_sent. A number that was sent enough links gets no
other one until they have expired; they stay valid.
Errors: INVALID_ARGUMENT 400, INVALID_PHONE 422, TOO_MANY_ATTEMPTS 429.$$;

create function api.redeem_link(token text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.redeem_link(redeem_link.token) $$;
comment on function api.redeem_link(text) is
$$Sign a sub-distributor in with the token of a sign-in link
A token can be used once and expires after some minutes. Returns api.session_tokens.
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
A password has at least 10 characters and at most 72 bytes. Returns api.password_changed.
Errors: INVALID_CREDENTIALS 401, NOT_ALLOWED 403, PASSWORD_TOO_WEAK 422, TOO_MANY_ATTEMPTS 429.$$;

create function api.request_password_reset(email text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.request_password_reset(request_password_reset.email) $$;
comment on function api.request_password_reset(text) is
$$Send a code for a new password by e-mail
Unknown addresses get the same answer: api.code_sent.
Errors: INVALID_ARGUMENT 400, TOO_MANY_ATTEMPTS 429.$$;

create function api.reset_password(token text, new_password text) returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.reset_password(reset_password.token, reset_password.new_password) $$;
comment on function api.reset_password(text, text) is
$$Set a password with the code of an invitation or of request_password_reset
A code can be used once. All sessions of the account are closed, and failed sign-ins no longer make
it wait. Returns api.password_changed with the role to sign in with.
A password has at least 10 characters and at most 72 bytes.
Errors: INVALID_LINK 401, PASSWORD_TOO_WEAK 422.$$;

create function api.invite(role text, id uuid) returns api.invitation
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select json_populate_record(null::api.invitation, auth.invite(invite.role, invite.id)) $$;
comment on function api.invite(text, uuid) is
$$Send a partner or an agent a code with which they set their first password
role is partner, agent, admin or superadmin; only superadmins invite admins and superadmins.
The code goes out over WhatsApp, or by e-mail if no phone number is known.
Errors: INVALID_ARGUMENT 400, NOT_ALLOWED 403, NOT_FOUND 404.$$;

create function api.revoke_sessions(role text, id uuid) returns int
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select auth.revoke_sessions(revoke_sessions.role, revoke_sessions.id) $$;
comment on function api.revoke_sessions(text, uuid) is
$$Close every session of an account, shadow sessions of an agent included
role is partner, subdist, agent, admin or superadmin; only superadmins close sessions of admins and
superadmins. Returns the number of closed sessions.
Errors: INVALID_ARGUMENT 400, NOT_ALLOWED 403, NOT_FOUND 404.$$;

grant execute on function
  api.login(text, text, text),
  api.refresh_session(text),
  api.request_link(text),
  api.redeem_link(text),
  api.request_password_reset(text),
  api.reset_password(text, text)
to anon, partner, agent, admin, subdist;
grant execute on function auth.me() to partner, agent, admin, subdist, erp, messenger;
grant select on api.me to partner, agent, admin, subdist, erp, messenger;
grant execute on function api.me(), api.logout() to partner, agent, admin, subdist, erp, messenger;
grant execute on function api.change_password(text, text) to partner, agent, admin;
grant execute on function api.invite(text, uuid), api.revoke_sessions(text, uuid) to admin;
