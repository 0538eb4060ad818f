-- Passwords: hashing, checking, changing.

create function auth.hash_password(p_password text) returns text
language plpgsql volatile
as $$
declare
  v_min_characters constant int := 10;
  v_max_bytes constant int := 72;  -- bcrypt ignores the rest
  v_bcrypt_cost constant int := 10;
begin
  if p_password is null or length(p_password) < v_min_characters
    or octet_length(p_password) > v_max_bytes
  then
    perform app.fail('PASSWORD_TOO_WEAK');
  end if;
  return extensions.crypt(p_password, extensions.gen_salt('bf', v_bcrypt_cost));
end $$;
comment on function auth.hash_password(text) is
  'Returns the bcrypt hash, cost 10; raises PASSWORD_TOO_WEAK under 10 characters or over 72 bytes';

-- A hash that is not bcrypt (there is no such account, or someone locked it by hand) takes as long
-- as a wrong password; crypt would raise an error of its own.
create function auth.password_matches(p_password text, p_hash text)
returns boolean language sql immutable
as $$
  select extensions.crypt(left(p_password, 72), case
    when p_hash ~ '^\$2[ax]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$' then p_hash
    else '$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5xHcVMrAJxP4N1VAMmZ0AzOdpQqIq'
  end) is not distinct from p_hash
$$;
comment on function auth.password_matches(text, text) is
  'True if this is the bcrypt hash of the password; takes the same time for every hash';

create function auth.change_password(p_current text, p_new text)
returns json language plpgsql volatile
as $$
declare
  v_id uuid := auth.current_user_id();
  v_role text := auth.caller_role();
  v_hash text;
  v_new_hash text;
  v_wait int;
begin
  if v_role not in ('partner', 'agent', 'admin', 'superadmin')
    or auth.acting_agent_id() is not null
  then
    perform app.fail(
      'NOT_ALLOWED', 'Partners and agents change their own password only',
      'Sign in with your own password');
  elsif p_current is null then
    perform app.fail('INVALID_ARGUMENT', 'current_password is missing');
  end if;
  v_wait := auth.count_attempt(
    auth.attempt_key('password', v_id::text), app.config_int('auth.max_failures'));
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', format('Wait %s seconds', v_wait), v_wait);
  end if;
  -- The attempt's row lock makes concurrent changes run one after another: each reads the hash that
  -- the one before it wrote.
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
  update auth.sessions as s set revoked_at = now(), revoked_reason = 'password changed'
  where s.subject_id = v_id and s.revoked_at is null and s.id is distinct from auth.session_id();
  update app.agent_sessions as s set ended_at = greatest(now(), s.started_at)
  where s.agent_id = v_id and s.ended_at is null;
  delete from auth.login_attempts as a
  where a.key = auth.attempt_key('password', v_id::text);
  return json_build_object('changed', true);
end $$;
comment on function auth.change_password(text, text) is
  'Changes the caller''s own password and closes their other sessions';
