-- A first password after an invitation, and a new one for who has forgotten theirs: both by a code
-- that is sent to the account's own number or address and is valid once. No answer, no view and no
-- log contains a code: the outbox erases it as soon as it is sent.

create function auth.send_code(
  p_role text, p_id uuid, p_template text, p_channel app.notification_channel_enum,
  p_lifetime interval, p_variables jsonb
)
returns timestamptz language plpgsql volatile
as $$
declare
  v_code record;
  v_expires_at timestamptz := now() + p_lifetime;
begin
  select * into v_code from auth.new_secret();
  insert into auth.password_codes (token_hash, partner_id, agent_id, expires_at)
  values (
    v_code.token_hash, case when p_role = 'partner' then p_id end,
    case when p_role <> 'partner' then p_id end, v_expires_at
  );
  perform app.enqueue_messages(
    p_template, case when p_role = 'partner' then 'PARTNER' else 'AGENT' end, array[p_id], null,
    p_variables || jsonb_build_object('token', v_code.token), p_channel, v_expires_at);
  return v_expires_at;
end $$;
comment on function auth.send_code(
  text, uuid, text, app.notification_channel_enum, interval, jsonb
) is
  'Sends an account a code with which it can set a password once; returns when the code expires';

-- The keys are those of the type api.invitation.
create function auth.invite(p_role text, p_id uuid)
returns json language plpgsql volatile
as $$
declare
  v_hours int := app.config_int('auth.invitation_hours');
  v_account record;
  v_channel app.notification_channel_enum;
  v_expires_at timestamptz;
begin
  perform auth.check_manages(p_role, p_id);
  if p_role = 'subdist' then
    perform app.fail('INVALID_ARGUMENT', 'Sub-distributors have no password',
      'They sign in by a link: request_link');
  elsif p_role = 'partner' then
    select p.business_name as name, p.phone, p.is_active into v_account
    from app.partners as p where p.id = p_id;
  else
    select a.full_name as name, a.phone, a.is_active into v_account
    from app.agents as a where a.id = p_id;
  end if;
  if not v_account.is_active then
    perform app.fail('NOT_FOUND', 'active ' || p_role, 'Activate the account first');
  end if;
  v_channel := (case when v_account.phone is null then 'EMAIL' else 'WHATSAPP' end)
    ::app.notification_channel_enum;
  v_expires_at := auth.send_code(p_role, p_id, 'invitation', v_channel,
    make_interval(hours => v_hours),
    jsonb_build_object('name', v_account.name, 'hours', v_hours));
  return json_build_object(
    'role', p_role, 'id', p_id, 'channel', v_channel, 'expires_at', v_expires_at);
end $$;
comment on function auth.invite(text, uuid) is
  'Sends a partner or an agent the code for their first password, over WhatsApp, else by e-mail; '
  'raises INVALID_ARGUMENT, NOT_ALLOWED, NOT_FOUND';

-- Each request sends a new code and leaves earlier ones valid: a stranger's requests would
-- otherwise end the code that the owner is typing.
create function auth.request_password_reset(p_email text)
returns json language plpgsql volatile
as $$
declare
  v_email text;
  v_ip text := auth.network_of(auth.client_ip());
  v_minutes int := app.config_int('auth.reset_minutes');
  v_wait int;
  v_account record;
begin
  v_email := lower(app.require_text('email', p_email, 255));
  if v_ip is not null then
    v_wait := auth.count_attempt(
      'reset-ip:' || v_ip, app.config_int('auth.max_failures_per_address'));
  end if;
  v_wait := coalesce(v_wait, auth.count_attempt(
    auth.attempt_key('reset', v_email), app.config_int('auth.max_failures')));
  if v_wait is not null then
    return app.refuse('TOO_MANY_ATTEMPTS', p_retry_after_seconds => v_wait);
  end if;
  for v_account in
    select p.id, 'partner' as role, 'mitra' as account
    from app.partners as p where p.email = v_email and p.is_active and p.deleted_at is null
    union all
    select a.id, auth.agent_database_role(a.role), 'staf'
    from app.agents as a where a.email = v_email and a.is_active
  loop
    perform auth.send_code(v_account.role, v_account.id, 'password_reset', 'EMAIL',
      make_interval(mins => v_minutes),
      jsonb_build_object('account', v_account.account, 'minutes', v_minutes));
  end loop;
  -- The same answer for every address, so that callers cannot find out which are registered.
  return json_build_object('sent', true, 'minutes', v_minutes);
end $$;
comment on function auth.request_password_reset(text) is
  'Sends the accounts of this address a code for a new password, by e-mail; throttled by address';

-- Who reads the mailbox of the account owns it: failed sign-ins no longer make it wait. Their
-- counts are locked before the account, as login does, and the account before the code, because two
-- codes of one account may be used at the same time.
create function auth.reset_password(p_token text, p_new text)
returns json language plpgsql volatile
as $$
declare
  v_code auth.password_codes;
  v_id uuid;
  v_role text;
  v_attempts text[];
begin
  select c.* into v_code
  from auth.password_codes as c where c.token_hash = auth.token_hash(p_token);
  select array[auth.attempt_key('email', e.email), auth.attempt_key('reset', e.email)]
  into v_attempts
  from (
    select p.email from app.partners as p where p.id = v_code.partner_id
    union all
    select a.email from app.agents as a where a.id = v_code.agent_id
  ) as e;
  perform from auth.login_attempts as a
  where a.key = any (v_attempts) order by a.key for update;
  if v_code.partner_id is not null then
    select p.id, 'partner' into v_id, v_role
    from app.partners as p
    where p.id = v_code.partner_id and p.is_active and p.deleted_at is null
    for no key update;
  else
    select a.id, auth.agent_database_role(a.role) into v_id, v_role
    from app.agents as a where a.id = v_code.agent_id and a.is_active
    for no key update;
  end if;
  select c.* into v_code from auth.password_codes as c
  where c.token_hash = v_code.token_hash for no key update;
  if v_id is null or v_code.used_at is not null or v_code.expires_at <= now() then
    return app.refuse('INVALID_LINK');
  end if;
  perform auth.set_password(v_role, v_id, p_new, 'password reset', null);
  -- Not the attempts of change_password, which locks them before the account.
  delete from auth.login_attempts as a where a.key = any (v_attempts);
  return json_build_object('changed', true, 'role', v_role);
end $$;
comment on function auth.reset_password(text, text) is
  'Sets the password of the account to which the code was sent, once, and closes its sessions';

create function auth.end_codes(p_account_id uuid) returns void language sql volatile
as $$
  update auth.password_codes as c set used_at = now()
  where (c.partner_id = p_account_id or c.agent_id = p_account_id) and c.used_at is null
$$;
comment on function auth.end_codes(uuid) is
  'Ends the codes that a partner or an agent was sent to set a password';

-- A code that went to a mistyped number, or to a mailbox that is no longer theirs, must not open
-- the account after headquarters has corrected the number or the address.
create function auth.tg_end_codes() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform auth.end_codes(new.id);
  update auth.sign_in_links as l set used_at = now()
  where l.subdist_id = new.id and l.used_at is null;
  return null;
end $$;
create trigger _310_end_codes after update of email, phone on app.partners
for each row when (old.email <> new.email or old.phone is distinct from new.phone)
execute function auth.tg_end_codes();
create trigger _310_end_codes after update of email, phone on app.agents
for each row when (old.email <> new.email or old.phone is distinct from new.phone)
execute function auth.tg_end_codes();
create trigger _310_end_codes after update of whatsapp_number on app.sub_distributors
for each row when (old.whatsapp_number <> new.whatsapp_number)
execute function auth.tg_end_codes();
