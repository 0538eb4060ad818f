-- Partners and agents sign in by e-mail address and password.
-- Errors are returned, not raised (app.refuse), because their counters must commit.

create function auth.login(p_email text, p_password text)
returns json language plpgsql volatile
as $$
declare
  v_email text;
  v_ip text := auth.client_ip();
  v_wait int;
  v_account record;
begin
  v_email := lower(app.require_text('email', p_email, 255));
  if p_password is null or p_password = '' then
    perform app.fail('INVALID_ARGUMENT', 'password is missing');
  end if;
  v_wait := coalesce(
    auth.address_wait(v_ip),
    auth.count_attempt(auth.attempt_key('email', v_email), app.config_int('auth.max_failures')));
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', format('Wait %s seconds', v_wait), v_wait);
  end if;

  select p.id, p.password_hash, 'partner' as role, p.is_active and p.deleted_at is null as is_active
  into v_account
  from app.partners as p where p.email = v_email
  union all
  select a.id, a.password_hash, auth.agent_database_role(a.role), a.is_active
  from app.agents as a where a.email = v_email
  limit 1;
  if not auth.password_matches(p_password, v_account.password_hash)
    or v_account.is_active is not true
  then
    if v_ip is not null then
      perform auth.count_attempt('ip:' || v_ip, 0);
    end if;
    return app.refuse('INVALID_CREDENTIALS');
  end if;
  delete from auth.login_attempts as a where a.key = auth.attempt_key('email', v_email);
  return auth.open_session(v_account.id, v_account.role);
end $$;
comment on function auth.login(text, text) is
  'Signs a partner or an agent in by e-mail address and password; throttled by account and address';
