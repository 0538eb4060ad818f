-- Passwords: hashing, checking, storing, changing.

-- Some keyboards compose accents, others send them apart: both must be the same password.
create function auth.hash_password(p_password text) returns text
language plpgsql volatile
as $$
declare
  v_min_characters constant int := 10;
  v_max_bytes constant int := 72;  -- bcrypt ignores the rest
  v_bcrypt_cost constant int := 10;
  v_password text := normalize(left(p_password, 300), nfc);
begin
  if p_password is null or length(v_password) < v_min_characters
    or octet_length(v_password) > v_max_bytes
  then
    perform app.fail('PASSWORD_TOO_WEAK');
  end if;
  return extensions.crypt(v_password, extensions.gen_salt('bf', v_bcrypt_cost));
end $$;
comment on function auth.hash_password(text) is
  'Returns the bcrypt hash, cost 10, of the password in NFC; raises PASSWORD_TOO_WEAK under 10 '
  'characters or over 72 bytes';

-- A hash that is not bcrypt (there is no such account, or someone locked it by hand) takes as long
-- as a wrong password; crypt would raise an error of its own. $2b$ and $2y$, which other systems
-- write, name the same algorithm as $2a$ here, but crypt does not know their names.
create function auth.bcrypt_matches(p_password text, p_hash text)
returns boolean language sql immutable
as $$
  select extensions.crypt(left(p_password, 72), case
    when p_hash ~ '^\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$'
      then regexp_replace(p_hash, '^\$2[by]', '$2a')
    else '$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5xHcVMrAJxP4N1VAMmZ0AzOdpQqIq'
  end) is not distinct from regexp_replace(p_hash, '^\$2[by]', '$2a')
$$;
comment on function auth.bcrypt_matches(text, text) is
  'True if this is the bcrypt hash of exactly this text; takes the same time for every hash';

-- As it was typed, too: a hash of another system may be that of a password that was never
-- normalised. Only an unusual keyboard pays for the second hash.
create function auth.password_matches(p_password text, p_hash text)
returns boolean language plpgsql immutable
as $$
declare
  v_typed text := left(p_password, 300);
  v_password text := normalize(v_typed, nfc);
begin
  return auth.bcrypt_matches(v_password, p_hash)
    or (v_typed <> v_password and auth.bcrypt_matches(v_typed, p_hash));
end $$;
comment on function auth.password_matches(text, text) is
  'True if this is the bcrypt hash ($2a$, $2b$, $2x$ or $2y$) of the password, in NFC or as typed';

create function auth.set_password(
  p_role text, p_id uuid, p_new text, p_reason text, p_kept_session_id uuid
)
returns void language plpgsql volatile
as $$
declare
  v_hash text;
begin
  v_hash := auth.hash_password(p_new);
  if p_role = 'partner' then
    update app.partners as p set password_hash = v_hash where p.id = p_id;
  else
    update app.agents as a set password_hash = v_hash where a.id = p_id;
  end if;
  perform auth.end_codes(p_id);
  perform auth.close_account_sessions(p_id, p_reason, p_kept_session_id);
end $$;
comment on function auth.set_password(text, uuid, text, text, uuid) is
  'Stores a new password of a partner or an agent, closes their sessions but one and ends the '
  'codes that they were sent; raises PASSWORD_TOO_WEAK';

create function auth.change_password(p_current text, p_new text)
returns json language plpgsql volatile
as $$
declare
  v_id uuid := auth.current_user_id();
  v_role text := auth.caller_role();
  v_hash text;
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
    return app.refuse('TOO_MANY_ATTEMPTS', p_retry_after_seconds => v_wait);
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
  perform auth.set_password(v_role, v_id, p_new, 'password changed', auth.session_id());
  delete from auth.login_attempts as a
  where a.key = auth.attempt_key('password', v_id::text);
  return json_build_object('changed', true);
end $$;
comment on function auth.change_password(text, text) is
  'Changes the caller''s own password and closes their other sessions';
