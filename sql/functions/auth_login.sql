-- Ways to sign in. A failure has to be remembered, so it is answered, not raised: an exception would roll it back.

-- Counting comes before checking, under the row's lock: a thousand guesses at once are still one after the other.
create function auth.count_attempt(p_key text, p_max int)
returns int language plpgsql volatile set search_path = ''
as $$
declare
  v_window interval := make_interval(mins => app.config_int('auth.failure_window_minutes'));
  v_attempt auth.login_attempts;
begin
  insert into auth.login_attempts as a (key, failures) values (p_key, 1)
  on conflict (key) do update set
    failures = case when a.window_started_at + v_window <= now() then 1 else least(a.failures, 1000000) + 1 end,
    window_started_at = case when a.window_started_at + v_window <= now() then now() else a.window_started_at end
  returning * into v_attempt;
  return case when v_attempt.failures > p_max
    then greatest(1, ceil(extract(epoch from v_attempt.window_started_at + v_window - now()))::int) end;
end $$;
comment on function auth.count_attempt(text, int) is
  'Counts an attempt; returns null while there are at most so many in the window, else the seconds to wait';

create function auth.address_wait(p_ip text)
returns int language sql stable
as $$
  select greatest(1, ceil(extract(epoch from
    a.window_started_at + make_interval(mins => app.config_int('auth.failure_window_minutes')) - now()))::int)
  from auth.login_attempts as a
  where a.key = 'ip:' || p_ip and a.failures >= app.config_int('auth.max_failures_per_address')
    and a.window_started_at + make_interval(mins => app.config_int('auth.failure_window_minutes')) > now()
$$;
comment on function auth.address_wait(text) is 'Seconds that an address with too many failures has to wait, null otherwise';

create function auth.attempt_key(p_kind text, p_value text) returns text language sql immutable
as $$ select p_kind || ':' || encode(sha256(convert_to(p_value, 'UTF8')), 'hex') $$;
comment on function auth.attempt_key(text, text) is 'Key of login_attempts; e-mails and numbers are kept as hashes only';

-- A hash that is not bcrypt (nobody's, or one put in by hand to lock an account) takes as long as a wrong password:
-- crypt would refuse it with an error of its own.
create function auth.password_matches(p_password text, p_hash text)
returns boolean language sql immutable
as $$
  select extensions.crypt(left(p_password, 72), case
    when p_hash ~ '^\$2[ax]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$' then p_hash
    else '$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5xHcVMrAJxP4N1VAMmZ0AzOdpQqIq'
  end) is not distinct from p_hash
$$;
comment on function auth.password_matches(text, text) is 'True where this is the bcrypt hash of this password; takes its time whatever the hash';

create function auth.login(p_email text, p_password text)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_email text := lower(app.require_text('email', p_email, 255));
  v_ip text := auth.client_ip();
  v_wait int;
  v_account record;
begin
  if p_password is null or p_password = '' then
    perform app.fail('INVALID_ARGUMENT', 'password is missing');
  end if;
  v_wait := coalesce(auth.address_wait(v_ip),
    auth.count_attempt(auth.attempt_key('email', v_email), app.config_int('auth.max_failures')));
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', format('Wait %s seconds', v_wait), v_wait);
  end if;

  select p.id, p.password_hash, 'partner' as role, p.is_active and p.deleted_at is null as is_active into v_account
  from app.partners as p where p.email = v_email
  union all
  select a.id, a.password_hash, auth.agent_database_role(a.role), a.is_active from app.agents as a where a.email = v_email
  limit 1;
  if not auth.password_matches(p_password, v_account.password_hash) or v_account.is_active is not true then
    if v_ip is not null then
      perform auth.count_attempt('ip:' || v_ip, 0);
    end if;
    return app.refuse('INVALID_CREDENTIALS');
  end if;
  delete from auth.login_attempts as a where a.key = auth.attempt_key('email', v_email);
  return auth.open_session(v_account.id, v_account.role);
end $$;
comment on function auth.login(text, text) is 'Signs a partner or an agent in by e-mail and password; throttled by account and address';

create function auth.refresh_session(p_refresh_token text)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_token auth.refresh_tokens;
  v_session auth.sessions;
begin
  select * into v_token from auth.refresh_tokens as t
  where t.token_hash = sha256(convert_to(coalesce(p_refresh_token, ''), 'UTF8')) for no key update;
  if not found then
    return app.refuse('INVALID_REFRESH_TOKEN');
  end if;
  if v_token.used_at is not null then
    -- Either the thief or the owner comes second: nobody goes on with this session.
    perform auth.revoke_session(v_token.session_id, 'refresh token reused');
    return app.refuse('REFRESH_TOKEN_REUSED');
  end if;
  select * into strict v_session from auth.sessions as s where s.id = v_token.session_id for no key update;
  if v_session.revoked_at is not null or v_session.expires_at <= now()
    or not auth.subject_is_active(v_session.subject_id, v_session.role)
  then
    return app.refuse('INVALID_REFRESH_TOKEN');
  end if;
  update auth.refresh_tokens as t set used_at = now() where t.token_hash = v_token.token_hash;
  return auth.issue_tokens(v_session);
end $$;
comment on function auth.refresh_session(text) is 'New tokens for a refresh token, once; a second use closes the session';

create function auth.request_link(p_whatsapp_number text)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_number text := app.normalise_phone(app.require_text('whatsapp_number', p_whatsapp_number, 30));
  v_minutes int := app.config_int('auth.link_minutes');
  v_wait int;
  v_subdist record;
  v_link record;
begin
  if v_number is null then
    perform app.fail('INVALID_ARGUMENT', 'whatsapp_number holds no digits');
  end if;
  v_wait := auth.count_attempt(auth.attempt_key('link', v_number), app.config_int('auth.max_failures'));
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', format('Wait %s seconds', v_wait), v_wait);
  end if;
  for v_subdist in
    select s.id from app.sub_distributors as s where s.whatsapp_number = v_number and s.status = 'ACTIVE' order by s.id
  loop
    select * into v_link from auth.new_secret();
    insert into auth.sign_in_links (token_hash, subdist_id, expires_at)
    values (v_link.token_hash, v_subdist.id, now() + make_interval(mins => v_minutes));
    insert into app.messages (template, recipient_type, recipient_id, variables, expires_at)
    values ('sign_in_link', 'SUBDIST', v_subdist.id, jsonb_build_object('token', v_link.token, 'minutes', v_minutes),
      now() + make_interval(mins => v_minutes));
  end loop;
  -- The same answer for every number: which ones are ours is not to be probed.
  return json_build_object('sent', true, 'minutes', v_minutes);
end $$;
comment on function auth.request_link(text) is 'Sends a single-use sign-in token to a sub-distributor over WhatsApp';

create function auth.redeem_link(p_token text)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_link auth.sign_in_links;
begin
  select * into v_link from auth.sign_in_links as l
  where l.token_hash = sha256(convert_to(coalesce(p_token, ''), 'UTF8')) for no key update;
  if not found or v_link.used_at is not null or v_link.expires_at <= now()
    or not auth.subject_is_active(v_link.subdist_id, 'subdist')
  then
    return app.refuse('INVALID_LINK');
  end if;
  update auth.sign_in_links as l set used_at = now() where l.token_hash = v_link.token_hash;
  delete from auth.login_attempts as a where a.key = (
    select auth.attempt_key('link', s.whatsapp_number) from app.sub_distributors as s where s.id = v_link.subdist_id
  );
  return auth.open_session(v_link.subdist_id, 'subdist');
end $$;
comment on function auth.redeem_link(text) is 'Signs a sub-distributor in by the token of his link, once';

create function auth.logout()
returns void language plpgsql volatile set search_path = ''
as $$
begin
  if auth.acting_agent_id() is not null then
    perform app.end_shadow_session();
  else
    perform auth.revoke_session(auth.session_id(), 'logout');
  end if;
end $$;
comment on function auth.logout() is 'Closes the session of the calling token';

create function auth.change_password(p_current text, p_new text)
returns json language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid := auth.current_user_id();
  v_role text := auth.caller_role();
  v_hash text;
  v_new_hash text;
  v_wait int;
begin
  if v_role not in ('partner', 'agent', 'admin', 'superadmin') or auth.acting_agent_id() is not null then
    perform app.fail('NOT_ALLOWED', 'Only one''s own password, and only where there is one');
  elsif p_current is null then
    perform app.fail('INVALID_ARGUMENT', 'current_password is missing');
  end if;
  v_wait := auth.count_attempt(auth.attempt_key('password', v_id::text), app.config_int('auth.max_failures'));
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', format('Wait %s seconds', v_wait), v_wait);
  end if;
  -- Counting the attempt has made two changes at once take turns: each sees the other's hash.
  if v_role = 'partner' then
    select p.password_hash into v_hash from app.partners as p where p.id = v_id;
  else
    select a.password_hash into v_hash from app.agents as a where a.id = v_id;
  end if;
  if not auth.password_matches(p_current, v_hash) then
    return app.refuse('INVALID_CREDENTIALS', 'current_password');
  end if;
  v_new_hash := auth.hash_password(p_new);
  if v_role = 'partner' then
    update app.partners as p set password_hash = v_new_hash where p.id = v_id;
  else
    update app.agents as a set password_hash = v_new_hash where a.id = v_id;
  end if;
  update auth.sessions as s set revoked_at = now(), revoked_because = 'password changed'
  where s.subject_id = v_id and s.revoked_at is null and s.id is distinct from auth.session_id();
  update app.agent_sessions as s set ended_at = greatest(now(), s.started_at) where s.agent_id = v_id and s.ended_at is null;
  delete from auth.login_attempts as a where a.key = auth.attempt_key('password', v_id::text);
  return json_build_object('changed', true);
end $$;
comment on function auth.change_password(text, text) is 'Changes the caller''s own password and closes his other sessions';
