-- Tokens and sessions: what every way of signing in shares.

create function auth.base64url(p_bytes bytea) returns text language sql immutable
as $$ select translate(encode(p_bytes, 'base64'), E'+/=\n', '-_') $$;
comment on function auth.base64url(bytea) is 'RFC 4648 base64url without padding';

create function auth.sign_token(p_claims jsonb, p_expires_at timestamptz)
returns text language plpgsql stable set search_path = ''
as $$
declare
  v_signed text;
  v_secret text;
begin
  select s.secret into v_secret from auth.jwt_secret as s;
  if v_secret is null then
    raise exception 'No signing secret: run "hub migrate" with HUB_JWT_SECRET set' using errcode = '55000';
  end if;
  -- exp is a whole number: a fraction would count as expired.
  v_signed := auth.base64url(convert_to('{"alg":"HS256","typ":"JWT"}', 'UTF8')) || '.' || auth.base64url(convert_to((
    p_claims || jsonb_build_object('iat', floor(extract(epoch from now()))::bigint, 'exp', floor(extract(epoch from p_expires_at))::bigint)
  )::text, 'UTF8'));
  return v_signed || '.' || auth.base64url(extensions.hmac(convert_to(v_signed, 'UTF8'), convert_to(v_secret, 'UTF8'), 'sha256'));
end $$;
comment on function auth.sign_token(jsonb, timestamptz) is 'A JWT (HS256) of these claims, with iat and exp; the only reader of auth.jwt_secret';

create function auth.hash_password(p_password text) returns text
language plpgsql volatile set search_path = ''
as $$
begin
  if p_password is null or length(p_password) < 10 or octet_length(p_password) > 72 then
    perform app.fail('PASSWORD_TOO_WEAK');
  end if;
  return extensions.crypt(p_password, extensions.gen_salt('bf', 10));
end $$;
comment on function auth.hash_password(text) is 'bcrypt, cost 10; raises PASSWORD_TOO_WEAK under 10 characters or over 72 bytes';

create function auth.new_secret(out token text, out token_hash bytea)
language plpgsql volatile set search_path = ''
as $$
begin
  token := auth.base64url(extensions.gen_random_bytes(32));
  token_hash := sha256(convert_to(token, 'UTF8'));
end $$;
comment on function auth.new_secret() is 'A random token of 256 bits and the hash under which it is kept';

create function auth.issue_tokens(p_session auth.sessions)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_refresh record;
  v_expires_at timestamptz := least(now() + make_interval(mins => app.config_int('auth.access_token_minutes')), p_session.expires_at);
begin
  select * into v_refresh from auth.new_secret();
  insert into auth.refresh_tokens (token_hash, session_id) values (v_refresh.token_hash, p_session.id);
  return json_build_object(
    'access_token', auth.sign_token(
      jsonb_build_object('role', p_session.role, 'sub', p_session.subject_id, 'sid', p_session.id), v_expires_at),
    'token_type', 'bearer',
    'expires_at', v_expires_at,
    'refresh_token', v_refresh.token,
    'role', p_session.role,
    'subject_id', p_session.subject_id
  );
end $$;
comment on function auth.issue_tokens(auth.sessions) is 'An access token and a fresh refresh token of a session';

create function auth.open_session(p_subject_id uuid, p_role text)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_session auth.sessions;
begin
  insert into auth.sessions (subject_id, role, ip_address, user_agent, expires_at)
  values (p_subject_id, p_role, auth.client_ip(), left(auth.headers() ->> 'user-agent', 300),
    now() + make_interval(days => app.config_int('auth.session_days')))
  returning * into v_session;
  return auth.issue_tokens(v_session);
end $$;
comment on function auth.open_session(uuid, text) is 'Signs a subject in and returns the tokens';

create function auth.subject_is_active(p_subject_id uuid, p_role text)
returns boolean language sql stable
as $$
  select case
    when p_role = 'partner' then exists (
      select from app.partners as p where p.id = p_subject_id and p.is_active and p.deleted_at is null)
    when p_role in ('agent', 'admin', 'superadmin') then exists (
      select from app.agents as a where a.id = p_subject_id and a.is_active and p_role = auth.agent_database_role(a.role))
    when p_role = 'subdist' then exists (
      select from app.sub_distributors as s where s.id = p_subject_id and s.status = 'ACTIVE')
    else p_role in ('erp', 'messenger')
  end
$$;
comment on function auth.subject_is_active(uuid, text) is 'True where the account exists, is active, and has this role';

create function auth.agent_database_role(p_role app.agent_role_enum) returns text language sql immutable
as $$ select case p_role when 'SALESMAN' then 'agent' when 'ADMIN' then 'admin' when 'SUPERADMIN' then 'superadmin' end $$;
comment on function auth.agent_database_role(app.agent_role_enum) is 'Database role of an agent';

create function auth.may_act_for(p_agent_id uuid, p_partner_id uuid)
returns boolean language sql stable
as $$
  select exists (
    select from app.agents as a, app.partners as p
    where a.id = p_agent_id and a.is_active and p.id = p_partner_id
      and (a.role <> 'SALESMAN' or a.region_id in (select r.region_id from app.ancestor_regions(p.region_id) as r))
  )
$$;
comment on function auth.may_act_for(uuid, uuid) is 'True for headquarters, and for an active agent of the partner''s region or one above it, as things stand now';

create function auth.revoke_session(p_session_id uuid, p_because text)
returns void language sql volatile
as $$
  update auth.sessions as s set revoked_at = now(), revoked_because = p_because
  where s.id = p_session_id and s.revoked_at is null
$$;
comment on function auth.revoke_session(uuid, text) is 'Makes every token of a session worthless from now on';

create function jobs.purge_sessions()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_count bigint;
  v_more bigint;
begin
  delete from auth.sessions as s where least(s.expires_at, s.revoked_at) < now() - interval '30 days';
  get diagnostics v_count = row_count;
  delete from auth.login_attempts as a where a.window_started_at < now() - interval '2 days';
  get diagnostics v_more = row_count;
  v_count := v_count + v_more;
  delete from auth.sign_in_links as l where l.expires_at < now() - interval '2 days';
  get diagnostics v_more = row_count;
  v_count := v_count + v_more;
  -- A number that may no longer be answered freely is personal data that nobody needs.
  delete from app.conversations as c where c.last_inbound_at < now() - interval '2 days';
  get diagnostics v_more = row_count;
  return jobs.record_run('session-purge', v_started_at, v_count + v_more);
end $$;
comment on function jobs.purge_sessions() is
  'Forgets sessions 30 days after their end, and old attempts, links and conversations; returns how many rows';
