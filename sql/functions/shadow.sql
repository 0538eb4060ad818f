-- Shadow mode: an agent orders for a partner, and the partner is notified.

-- Called by each request in shadow mode: one look-up a region costs less than a recursive query.
create function auth.may_act_for(p_agent_id uuid, p_partner_id uuid)
returns boolean language plpgsql stable
as $$
declare
  v_in_all_regions boolean;
  v_agent_region_id uuid;
  v_region_id uuid;
begin
  select a.role <> 'SALESMAN', a.region_id, p.region_id
  into v_in_all_regions, v_agent_region_id, v_region_id
  from app.agents as a, app.partners as p
  where a.id = p_agent_id and a.is_active and p.id = p_partner_id;
  if v_in_all_regions is null then
    return false;
  end if;
  while v_region_id <> v_agent_region_id and not v_in_all_regions loop
    select r.parent_region_id into v_region_id from app.regions as r where r.id = v_region_id;
  end loop;
  return v_in_all_regions or coalesce(v_region_id = v_agent_region_id, false);
end $$;
comment on function auth.may_act_for(uuid, uuid) is
  'True for active headquarters staff, and for an active agent of the partner''s region or of '
  'one above it';

-- Checks the session too for callers that the gateway's guard did not check.
create function app.check_shadow_session(p_agent_id uuid, p_partner_id uuid)
returns void language plpgsql stable
as $$
begin
  if not exists (
    select from app.agent_sessions as s
    where s.id = auth.session_id() and s.agent_id = p_agent_id
      and s.impersonated_partner_id = p_partner_id
      and s.ended_at is null and s.expires_at > now()
      and auth.may_act_for(p_agent_id, p_partner_id)
  ) then
    perform app.fail('SESSION_CLOSED', 'shadow session', 'Start a new shadow session');
  end if;
end $$;
comment on function app.check_shadow_session(uuid, uuid) is
  'Raises SESSION_CLOSED unless the token''s shadow session lets the agent act for the partner';

create function app.start_shadow_session(p_partner_id uuid)
returns json language plpgsql volatile
as $$
declare
  v_agent_id uuid := auth.current_user_id();
  v_role text := auth.caller_role();
  v_session app.agent_sessions;
begin
  -- Locked, because a change of the agent's password closes the sessions that it finds.
  perform from app.agents as a where a.id = v_agent_id and a.is_active for no key update;
  if not found or v_role not in ('agent', 'admin', 'superadmin') then
    perform app.fail('NOT_ALLOWED', 'Only agents open shadow sessions', 'Sign in as an agent');
  elsif auth.session_id() is not null and not exists (
    select from auth.sessions as s where s.id = auth.session_id() and s.revoked_at is null
  ) then
    perform app.fail('SESSION_CLOSED', null, 'Sign in again');
  end if;
  -- A partner of another region is answered as an unknown one, so that agents cannot find out ids.
  if not exists (
    select from app.partners as p
    where p.id = p_partner_id and p.is_active and p.deleted_at is null
      and (v_role <> 'agent' or p.region_id in (select auth.agent_regions()))
  ) then
    perform app.fail('NOT_FOUND', 'partner');
  end if;
  insert into app.agent_sessions (agent_id, impersonated_partner_id, ip_address, expires_at)
  values (
    v_agent_id, p_partner_id, auth.client_ip(),
    now() + make_interval(mins => app.config_int('auth.shadow_session_minutes'))
  )
  returning * into v_session;
  perform auth.forbid_caching();
  -- The keys are those of the type api.shadow_session.
  return json_build_object(
    'session_id', v_session.id,
    'expires_at', v_session.expires_at,
    'expires_in', auth.seconds_until(v_session.expires_at),
    'access_token', auth.sign_token(jsonb_build_object(
      'role', 'partner', 'sub', p_partner_id, 'act', jsonb_build_object('sub', v_agent_id),
      'sid', v_session.id
    ), v_session.expires_at)
  );
end $$;
comment on function app.start_shadow_session(uuid) is
  'Opens a shadow session; returns a token with role partner, sub the partner, act.sub the agent '
  '(RFC 8693) and sid the session. Raises NOT_ALLOWED, NOT_FOUND';

create function app.end_shadow_session()
returns int language plpgsql volatile
as $$
declare
  v_count int;
begin
  update app.agent_sessions as s set ended_at = greatest(now(), s.started_at)
  where s.agent_id = auth.current_agent_id() and s.ended_at is null and s.expires_at > now()
    -- A shadow token closes its own session, the agent's own token closes all of their sessions.
    and (auth.acting_agent_id() is null or s.id = auth.session_id());
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function app.end_shadow_session() is
  'Closes the agent''s open shadow sessions; returns the number closed';

create function app.notify_impersonation(
  p_act text, p_partner_id uuid, p_order_id uuid, p_redemption_id uuid default null,
  p_variables jsonb default '{}'
)
returns void language plpgsql volatile
as $$
declare
  v_template text := case p_act
    when 'ORDER' then 'order_placed_for_you'
    when 'CANCELLATION' then 'order_cancelled_for_you'
    when 'DRAFT' then 'draft_saved_for_you'
    when 'REDEMPTION' then 'reward_redeemed_for_you'
  end;
begin
  insert into app.impersonation_notifications (
    agent_session_id, act, order_id, redemption_id, message_id
  )
  select
    s.id, p_act, p_order_id, p_redemption_id,
    app.enqueue_message(
      v_template, 'PARTNER', p_partner_id, p_order_id,
      p_variables || jsonb_build_object('agent_name', a.full_name))
  from app.agent_sessions as s join app.agents as a on a.id = s.agent_id
  where s.id = auth.session_id();
end $$;
comment on function app.notify_impersonation(text, uuid, uuid, uuid, jsonb) is
  'Notifies the partner of what an agent did for them: ORDER, CANCELLATION, DRAFT or REDEMPTION';

-- The notification names its channel: the e-mail that follows a failed WhatsApp message replaces
-- it.
create function app.mail_impersonation_notice(p_message_id uuid, p_mail_id uuid)
returns void language sql volatile
as $$
  update app.impersonation_notifications as n
  set channel = 'EMAIL', status = 'PENDING', sent_at = null, message_id = p_mail_id
  where n.message_id = p_message_id
$$;
comment on function app.mail_impersonation_notice(uuid, uuid) is
  'Points a notification to the e-mail that replaces its WhatsApp message';
