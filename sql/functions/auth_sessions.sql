-- Sessions and their tokens: opened by every way of signing in, refreshed, closed, purged.

create function auth.base64url(p_bytes bytea) returns text language sql immutable
as $$ select translate(encode(p_bytes, 'base64'), E'+/=\n', '-_') $$;
comment on function auth.base64url(bytea) is 'RFC 4648 base64url without padding';

create function auth.signing_secret() returns text language plpgsql stable
as $$
declare
  v_secret text;
begin
  select s.secret into v_secret from auth.jwt_secret as s;
  if v_secret is null then
    raise exception 'There is no signing secret' using
      hint = 'Run "hub migrate" with HUB_JWT_SECRET set', errcode = '55000';
  end if;
  return v_secret;
end $$;
comment on function auth.signing_secret() is
  'The key of auth.jwt_secret; raises an error if "hub migrate" has not stored one';

create function auth.sign_token(p_claims jsonb, p_expires_at timestamptz)
returns text language plpgsql stable
as $$
declare
  v_secret text;
  v_header text;
  v_payload jsonb;
  v_signed text;
begin
  v_secret := auth.signing_secret();
  v_header := auth.base64url(convert_to('{"alg":"HS256","typ":"JWT"}', 'UTF8'));
  -- Whole seconds: a fraction in exp counts as expired.
  v_payload := p_claims || jsonb_build_object(
    'iat', floor(extract(epoch from now()))::bigint,
    'exp', floor(extract(epoch from p_expires_at))::bigint);
  v_signed := v_header || '.' || auth.base64url(convert_to(v_payload::text, 'UTF8'));
  return v_signed || '.' || auth.base64url(
    extensions.hmac(convert_to(v_signed, 'UTF8'), convert_to(v_secret, 'UTF8'), 'sha256'));
end $$;
comment on function auth.sign_token(jsonb, timestamptz) is
  'Returns a JWT (HS256) of these claims with iat and exp';

-- The signed part of a JWT never contains a bar, so that no such hash passes as its signature.
create function auth.keyed_hash(p_purpose text, p_text text) returns text language plpgsql stable
as $$
begin
  return auth.base64url(extensions.hmac(
    convert_to(p_purpose || '|' || p_text, 'UTF8'),
    convert_to(auth.signing_secret(), 'UTF8'), 'sha256'));
end $$;
comment on function auth.keyed_hash(text, text) is
  'HMAC of a text under the signing secret, base64url; each purpose has hashes of its own';

create function auth.keyed_hashes(p_purpose text, p_text text)
returns setof text language sql stable
as $$
  select auth.keyed_hash(p_purpose, p_text)
  union all
  select auth.base64url(extensions.hmac(
    convert_to(p_purpose || '|' || p_text, 'UTF8'),
    convert_to(s.previous_secret, 'UTF8'), 'sha256'))
  from auth.jwt_secret as s where s.previous_until > now()
$$;
comment on function auth.keyed_hashes(text, text) is
  'The hash of auth.keyed_hash(), and during a rotation also the one under the former secret';

create function auth.token_hash(p_token text) returns bytea language sql immutable
as $$ select sha256(convert_to(coalesce(p_token, ''), 'UTF8')) $$;
comment on function auth.token_hash(text) is 'SHA-256 of a token, as it is stored';

create function auth.new_secret(out token text, out token_hash bytea)
language plpgsql volatile
as $$
begin
  token := auth.base64url(extensions.gen_random_bytes(32));
  token_hash := auth.token_hash(token);
end $$;
comment on function auth.new_secret() is
  'Returns a random token of 256 bits, and the hash that is stored';

-- 15 characters are the most that WhatsApp's authentication templates take. 32 divides 256, so each
-- character is equally likely.
create function auth.new_code(out token text, out token_hash bytea)
language plpgsql volatile
as $$
declare
  v_bytes bytea := extensions.gen_random_bytes(15);
begin
  token := (
    select string_agg(
      substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', get_byte(v_bytes, n) % 32 + 1, 1), '' order by n)
    from generate_series(0, 14) as n
  );
  token_hash := auth.token_hash(token);
end $$;
comment on function auth.new_code() is
  'Returns a random code of 75 bits, 15 digits and capital letters without I, L, O and U, and the '
  'hash that is stored';

create function auth.seconds_until(p_at timestamptz) returns int language sql stable
as $$
  select greatest(0, floor(extract(epoch from p_at)) - floor(extract(epoch from now())))::int
$$;
comment on function auth.seconds_until(timestamptz) is
  'Whole seconds from now on, as a token counts them: exp - iat';

create function auth.forbid_caching() returns void language plpgsql volatile
as $$
begin
  perform set_config('response.headers', '[{"Cache-Control": "no-store"}]', true);
end $$;
comment on function auth.forbid_caching() is
  'Sets Cache-Control: no-store on the answer of the request';

create function auth.device_token(p_session_id uuid, p_subject_id uuid)
returns text language sql stable
as $$
  select p_session_id || '.' || auth.keyed_hash('device', p_session_id || '|' || p_subject_id)
$$;
comment on function auth.device_token(uuid, uuid) is
  'Proves later that this account once signed in from the device that keeps the token';

-- The keys are those of the type api.session_tokens.
create function auth.session_tokens(p_session auth.sessions, p_refresh_token text)
returns json language plpgsql volatile
as $$
declare
  v_expires_at timestamptz := least(
    now() + make_interval(mins => app.config_int('auth.access_token_minutes')),
    p_session.expires_at);
begin
  perform auth.forbid_caching();
  return json_build_object(
    'access_token', auth.sign_token(jsonb_build_object(
      'role', p_session.role, 'sub', p_session.subject_id, 'sid', p_session.id), v_expires_at),
    'token_type', 'bearer',
    'expires_at', v_expires_at,
    'expires_in', auth.seconds_until(v_expires_at),
    'refresh_token', p_refresh_token,
    'device_token', auth.device_token(p_session.id, p_session.subject_id),
    'role', p_session.role,
    'subject_id', p_session.subject_id
  );
end $$;
comment on function auth.session_tokens(auth.sessions, text) is
  'The answer to a sign-in or refresh: a new access token of the session, and this refresh token';

create function auth.open_session(p_subject_id uuid, p_role text)
returns json language plpgsql volatile
as $$
declare
  v_session auth.sessions;
  v_refresh record;
begin
  insert into auth.sessions (subject_id, role, ip_address, user_agent, expires_at)
  values (
    p_subject_id, p_role, auth.client_ip(), left(auth.headers() ->> 'user-agent', 300),
    now() + make_interval(days => app.config_int('auth.session_days'))
  )
  returning * into v_session;
  select * into v_refresh from auth.new_secret();
  insert into auth.refresh_tokens (token_hash, session_id)
  values (v_refresh.token_hash, v_session.id);
  return auth.session_tokens(v_session, v_refresh.token);
end $$;
comment on function auth.open_session(uuid, text) is
  'Opens a session of an account and returns its tokens';

-- A client that loses the answer repeats the call. Its token is then the predecessor of a token
-- that no one has used, and the answer can be given again: the successor follows from the
-- predecessor and the signing secret, so that it need not be stored. Later, or once the successor
-- is in use, a repeat comes from a second holder of the token: either they or the owner is a thief,
-- so neither keeps the session. Errors are returned, not raised (app.refuse), because the
-- revocation must commit.
create function auth.refresh_session(p_refresh_token text)
returns json language plpgsql volatile
as $$
declare
  v_grace constant interval := interval '30 seconds';
  v_token auth.refresh_tokens;
  v_session auth.sessions;
  v_successor text;
begin
  select * into v_token from auth.refresh_tokens as t
  where t.token_hash = auth.token_hash(p_refresh_token) for no key update;
  if not found then
    return app.refuse('INVALID_REFRESH_TOKEN');
  end if;
  select * into strict v_session
  from auth.sessions as s where s.id = v_token.session_id for no key update;
  if v_token.used_at is null then
    v_successor := auth.keyed_hash('refresh', p_refresh_token);
  else
    select h.hash into v_successor
    from auth.keyed_hashes('refresh', p_refresh_token) as h (hash)
    join auth.refresh_tokens as t on t.token_hash = auth.token_hash(h.hash) and t.used_at is null;
  end if;
  if v_token.used_at < now() - v_grace or v_successor is null then
    perform auth.revoke_session(v_token.session_id, 'refresh token reused');
    return app.refuse('REFRESH_TOKEN_REUSED');
  end if;
  if v_session.revoked_at is not null or v_session.expires_at <= now()
    or not auth.subject_is_active(v_session.subject_id, v_session.role)
  then
    return app.refuse('INVALID_REFRESH_TOKEN');
  end if;
  if v_token.used_at is null then
    update auth.refresh_tokens as t set used_at = now() where t.token_hash = v_token.token_hash;
    insert into auth.refresh_tokens (token_hash, session_id)
    values (auth.token_hash(v_successor), v_session.id);
  end if;
  return auth.session_tokens(v_session, v_successor);
end $$;
comment on function auth.refresh_session(text) is
  'Exchanges a refresh token for new tokens; a repeat within 30 seconds gets the same successor, '
  'any other second use closes the session';

create function auth.revoke_session(p_session_id uuid, p_reason text)
returns void language sql volatile
as $$
  update auth.sessions as s set revoked_at = now(), revoked_reason = p_reason
  where s.id = p_session_id and s.revoked_at is null
$$;
comment on function auth.revoke_session(uuid, text) is
  'Closes a session: its tokens are refused from now on';

create function auth.close_account_sessions(
  p_subject_id uuid, p_reason text, p_kept_session_id uuid default null
)
returns bigint language plpgsql volatile
as $$
declare
  v_count bigint;
  v_shadow bigint;
begin
  -- In one order, because two calls may close the sessions of one account.
  perform from auth.sessions as s
  where s.subject_id = p_subject_id and s.revoked_at is null order by s.id for no key update;
  perform from app.agent_sessions as s
  where (s.agent_id = p_subject_id or s.impersonated_partner_id = p_subject_id)
    and s.ended_at is null
  order by s.id for no key update;
  update auth.sessions as s set revoked_at = now(), revoked_reason = p_reason
  where s.subject_id = p_subject_id and s.revoked_at is null
    and s.id is distinct from p_kept_session_id;
  get diagnostics v_count = row_count;
  update app.agent_sessions as s set ended_at = greatest(now(), s.started_at)
  where (s.agent_id = p_subject_id or s.impersonated_partner_id = p_subject_id)
    and s.ended_at is null;
  get diagnostics v_shadow = row_count;
  return v_count + v_shadow;
end $$;
comment on function auth.close_account_sessions(uuid, text, uuid) is
  'Closes every session of a partner, agent or sub-distributor but one, shadow sessions by and for '
  'them too; returns how many';

-- The request guard refuses the tokens of an account that is not active. Closing its sessions keeps
-- them refused when the account becomes active again.
create function auth.tg_close_sessions() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform auth.close_account_sessions(new.id, 'account closed or changed');
  return null;
end $$;

create function auth.revoke_sessions(p_role text, p_id uuid)
returns int language plpgsql volatile
as $$
begin
  perform auth.check_manages(p_role, p_id);
  return auth.close_account_sessions(p_id, 'revoked')::int;
end $$;
comment on function auth.revoke_sessions(text, uuid) is
  'Closes every session of an account; raises INVALID_ARGUMENT, NOT_ALLOWED, NOT_FOUND';

create function auth.logout()
returns void language plpgsql volatile
as $$
begin
  if auth.acting_agent_id() is not null then
    perform app.end_shadow_session();
  else
    perform auth.revoke_session(auth.session_id(), 'logout');
  end if;
end $$;
comment on function auth.logout() is 'Closes the session of the caller''s token';

create function auth.purge_sessions(p_limit int)
returns int language plpgsql volatile
as $$
declare
  v_before timestamptz := now() - make_interval(days => app.config_int('retention.session_days'));
  v_count int;
begin
  delete from auth.sessions as s
  where s.id = any (array(
    select e.id from auth.sessions as e
    where least(e.expires_at, e.revoked_at) < v_before
    order by least(e.expires_at, e.revoked_at)
    limit p_limit for update skip locked
  ));
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function auth.purge_sessions(int) is
  'Deletes up to p_limit sessions, with their refresh tokens, that ended more than '
  'retention.session_days ago; returns how many';

-- The number of a conversation is personal data that has no use once the 24 hours for free-form
-- replies are over.
create function auth.purge_sign_ins(p_limit int)
returns int language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_custom_plan
as $$
declare
  v_before constant timestamptz := now() - interval '2 days';
  v_count int;
  v_deleted int;
begin
  delete from auth.login_attempts as a
  where a.key = any (array(
    select o.key from auth.login_attempts as o
    where o.window_started_at < v_before
    order by o.window_started_at
    limit p_limit for update skip locked
  ));
  get diagnostics v_count = row_count;
  delete from auth.sign_in_links as l
  where l.token_hash = any (array(
    select o.token_hash from auth.sign_in_links as o
    where o.expires_at < v_before
    order by o.expires_at
    limit p_limit for update skip locked
  ));
  get diagnostics v_deleted = row_count;
  v_count := v_count + v_deleted;
  delete from auth.password_codes as c
  where c.token_hash = any (array(
    select o.token_hash from auth.password_codes as o
    where o.expires_at < v_before
    order by o.expires_at
    limit p_limit for update skip locked
  ));
  get diagnostics v_deleted = row_count;
  v_count := v_count + v_deleted;
  delete from app.conversations as c
  where c.number = any (array(
    select o.number from app.conversations as o
    where o.last_inbound_at < v_before
    order by o.last_inbound_at
    limit p_limit for update skip locked
  ));
  get diagnostics v_deleted = row_count;
  return v_count + v_deleted;
end $$;
comment on function auth.purge_sign_ins(int) is
  'Deletes sign-in attempts, links, codes and conversations that ended two days ago, up to p_limit '
  'of each, oldest first; returns how many';

create procedure jobs.purge_sign_ins(p_batch int default 1000, p_seconds int default 600)
language plpgsql
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_total bigint := 0;
begin
  call jobs.purge_in_batches(
    'auth.purge_sign_ins', p_batch, v_started_at + make_interval(secs => p_seconds), v_total);
  perform jobs.record_run('session-purge', v_started_at, v_total);
end $$;
comment on procedure jobs.purge_sign_ins(int, int) is
  'Deletes old sign-in attempts, links, codes and conversations, p_batch rows of each in a '
  'transaction, until none are left or p_seconds have passed. Sessions are purged by '
  'jobs.purge_expired()';
