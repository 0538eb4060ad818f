-- PostgREST's db-pre-request: refuses inactive accounts and closed sessions before each request
-- (D-4.roles-4).

create function auth.may_write(p_role text, p_method text, p_path text)
returns boolean language plpgsql stable
as $$
declare
  v_view oid := to_regclass('api.' || quote_ident(substr(p_path, 2)));
begin
  return coalesce(case p_method
    when 'POST' then has_any_column_privilege(p_role, v_view, 'INSERT')
    when 'PATCH' then has_any_column_privilege(p_role, v_view, 'UPDATE')
    when 'DELETE' then has_table_privilege(p_role, v_view, 'DELETE')
    else has_any_column_privilege(p_role, v_view, 'INSERT')
      and has_any_column_privilege(p_role, v_view, 'UPDATE')
  end, false);
end $$;
comment on function auth.may_write(text, text, text) is
  'Whether the role is granted what an HTTP method writes to the view of this path';

-- Returns the refusal instead of raising it, so that the cache asks for many callers in one query.
create function auth.refusal_of(p_role text, p_claims jsonb) returns auth.refusal
language plpgsql stable
as $$
declare
  v_sub uuid := auth.claimed_uuid(p_claims ->> 'sub');
  v_act uuid;
  v_sid uuid := auth.claimed_uuid(p_claims ->> 'sid');
begin
  if v_sub is null or (v_sid is null and p_claims ->> 'sid' is not null) then
    return row('UNAUTHENTICATED', 'The token names no account', null)::auth.refusal;
  elsif not auth.subject_is_active(v_sub, p_role) then
    return row('ACCOUNT_INACTIVE', null, null)::auth.refusal;
  end if;
  -- Nested, because an expression with a sub-query is executed as a whole.
  if p_claims ? 'act' then
    v_act := auth.claimed_uuid(p_claims #>> '{act,sub}');
    if v_act is null and p_claims #>> '{act,sub}' is not null then
      return row('UNAUTHENTICATED', 'The token names no account', null)::auth.refusal;
    elsif p_role <> 'partner' or not exists (
      select from app.agent_sessions as s
      where s.id = v_sid and s.agent_id = v_act and s.impersonated_partner_id = v_sub
        and s.ended_at is null and s.expires_at > now() and auth.may_act_for(v_act, v_sub)
    ) then
      return row('SESSION_CLOSED', 'shadow session', 'Start a new shadow session')::auth.refusal;
    end if;
  elsif v_sid is not null then
    if not exists (
      select from auth.sessions as s
      where s.id = v_sid and s.subject_id = v_sub and s.role = p_role
        and s.revoked_at is null and s.expires_at > now()
    ) then
      return row('SESSION_CLOSED', null, 'Sign in again')::auth.refusal;
    end if;
  end if;
  return null;
end $$;
comment on function auth.refusal_of(text, jsonb) is
  'Why a caller with this role and these claims is refused: UNAUTHENTICATED, ACCOUNT_INACTIVE or '
  'SESSION_CLOSED; null if they are not';

-- Also in the log of the server and in pg_stat_activity. A proxy writes the header, and replaces
-- what a caller sends.
create function auth.keep_request_id() returns void language plpgsql stable
as $$
declare
  v_id text := auth.headers() ->> 'x-request-id';
begin
  if v_id ~ '^[A-Za-z0-9_.:-]{1,64}$' then
    perform set_config('hub.request_id', v_id, true), set_config('application_name', v_id, true);
  end if;
end $$;
comment on function auth.keep_request_id() is
  'Keeps the header X-Request-Id for the trail, for messages and for the log of the server, to the '
  'end of the transaction; an id of another form is passed by';

create function auth.request_guard() returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text := auth.caller_role();
  v_refusal auth.refusal;
begin
  if current_setting('request.headers', true) like '%"x-request-id"%' then
    perform auth.keep_request_id();
  end if;
  -- Without this check, PostgREST would answer 500 for a view that PostgreSQL cannot write through.
  -- Calls, which are most requests, need no more than the path for it.
  if current_setting('request.path', true) not like '/rpc/%' then
    if current_setting('request.method', true) in ('POST', 'PUT', 'PATCH', 'DELETE')
      and current_setting('request.path', true) like '/_%'
      and not auth.may_write(v_role, current_setting('request.method', true),
        current_setting('request.path', true))
    then
      perform app.fail(case v_role when 'anon' then 'UNAUTHENTICATED' else 'NOT_ALLOWED' end,
        'Your role cannot write to this view so', 'Use a call under /rpc/ to change data');
    end if;
    -- A plan for each request: a generic one assumes an average partner and an unknown status, and
    -- reads the whole history of the largest partner to find their open orders.
    if current_setting('request.path', true) = '/orders'
      and current_setting('request.method', true) = 'GET'
    then
      perform set_config('plan_cache_mode', 'force_custom_plan', true);
    end if;
  end if;
  if v_role = 'anon' then
    return;
  end if;
  v_refusal := auth.refusal_of(v_role, auth.claims());
  if v_refusal.code is not null then
    perform app.fail(v_refusal.code, v_refusal.details, v_refusal.hint);
  end if;
end $$;
comment on function auth.request_guard() is
  'Checks the caller before each request; read-only, because GET runs in a read-only '
  'transaction. Raises UNAUTHENTICATED, ACCOUNT_INACTIVE or SESSION_CLOSED, and NOT_ALLOWED for '
  'writes to a view';

-- The gateway for reports reads from the standby, where PostgreSQL itself refuses to begin a
-- transaction that could write, and from the primary while the standby is away.
create function auth.reports_guard() returns void
language plpgsql stable
as $$
begin
  if current_setting('transaction_read_only') = 'off' then
    raise exception using
      errcode = 'feature_not_supported',
      message = 'This is the gateway for reports: it changes nothing',
      hint = 'Send calls that change data to the main gateway';
  end if;
  perform auth.request_guard();
end $$;
comment on function auth.reports_guard() is
  'Checks the caller as request_guard does, and refuses whatever could write, with the code that '
  'a standby gives (0A000)';
