-- Partners and agents sign in by e-mail address and password.
-- Errors are returned, not raised (app.refuse), because their counters must commit.

-- A stranger who guesses passwords makes an account wait. The devices from which the account signed
-- in before do not wait with it: each has a count of its own.
create function auth.known_device(p_subject_ids uuid[]) returns text language plpgsql stable
as $$
declare
  v_token text := auth.headers() ->> 'x-device-token';
  v_session_id uuid := auth.claimed_uuid(split_part(v_token, '.', 1));
begin
  if v_session_id is null or not exists (
    select from unnest(p_subject_ids) as s (id)
    cross join auth.keyed_hashes('device', v_session_id || '|' || s.id) as h (hash)
    where s.id is not null and v_session_id || '.' || h.hash = v_token
  ) then
    return null;
  end if;
  return v_session_id;
end $$;
comment on function auth.known_device(uuid[]) is
  'Id of the device, by the header X-Device-Token, from which one of these accounts once signed '
  'in; null for other devices';

create function auth.login(p_email text, p_password text, p_role text default null)
returns json language plpgsql volatile
as $$
declare
  v_email text;
  v_ip text := auth.network_of(auth.client_ip());
  v_max int := app.config_int('auth.max_failures');
  v_device text;
  v_wait int;
  v_partner record;
  v_agent record;
  v_is_partner boolean;
  v_is_agent boolean;
begin
  v_email := lower(app.require_text('email', p_email, 255));
  if p_password is null or p_password = '' then
    perform app.fail('INVALID_ARGUMENT', 'password is missing');
  elsif p_role not in ('partner', 'agent', 'admin', 'superadmin') then
    perform app.fail('INVALID_ARGUMENT', 'role must be partner, agent, admin or superadmin');
  end if;
  select p.id, p.password_hash, p.is_active and p.deleted_at is null as is_active
  into v_partner
  from app.partners as p where p.email = v_email;
  select a.id, a.password_hash, a.is_active, auth.agent_database_role(a.role) as role
  into v_agent
  from app.agents as a where a.email = v_email;

  v_device := auth.known_device(array[v_partner.id, v_agent.id]);
  if v_device is not null then
    v_wait := auth.count_attempt(auth.attempt_key('device', v_device), v_max);
  else
    v_wait := coalesce(
      auth.address_wait(v_ip), auth.count_attempt(auth.attempt_key('email', v_email), v_max));
  end if;
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', p_retry_after_seconds => v_wait);
  end if;

  -- Both are checked, so that the time does not reveal which accounts there are.
  v_is_partner := auth.password_matches(p_password, v_partner.password_hash);
  v_is_agent := auth.password_matches(p_password, v_agent.password_hash);
  v_is_partner := v_is_partner and v_partner.is_active and coalesce(p_role, 'partner') = 'partner';
  v_is_agent := v_is_agent and v_agent.is_active and coalesce(p_role, v_agent.role) = v_agent.role;
  if v_is_partner is not true and v_is_agent is not true then
    if v_ip is not null then
      perform auth.count_attempt('ip:' || v_ip, 0);
    end if;
    return app.refuse('INVALID_CREDENTIALS');
  end if;
  delete from auth.login_attempts as a
  where a.key in (auth.attempt_key('email', v_email), auth.attempt_key('device', v_device));
  if v_is_partner and v_is_agent then
    return app.refuse('CHOOSE_ROLE', 'partner, ' || v_agent.role);
  end if;
  -- Checking a password takes long. An account that changed meanwhile has closed its sessions, and
  -- gets no new one from the former password.
  if v_is_partner then
    perform from app.partners as p
    where p.id = v_partner.id and p.password_hash = v_partner.password_hash and p.is_active
      and p.deleted_at is null
    for no key update;
  else
    perform from app.agents as a
    where a.id = v_agent.id and a.password_hash = v_agent.password_hash and a.is_active
      and auth.agent_database_role(a.role) = v_agent.role
    for no key update;
  end if;
  if not found then
    return app.refuse('INVALID_CREDENTIALS');
  elsif v_is_partner then
    return auth.open_session(v_partner.id, 'partner');
  end if;
  return auth.open_session(v_agent.id, v_agent.role);
end $$;
comment on function auth.login(text, text, text) is
  'Signs a partner or an agent in by e-mail address and password; throttled by account and '
  'address, known devices by themselves';
