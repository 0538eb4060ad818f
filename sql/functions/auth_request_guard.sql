-- What PostgREST calls before every request (db-pre-request): refuses the inactive, the deleted and the closed session.

create function auth.request_guard() returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text := auth.caller_role();
  v_claims jsonb := auth.claims();
  v_sub uuid;
  v_act uuid;
  v_sid uuid;
  v_uuid constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
begin
  -- A view that PostgreSQL could not write through anyway would be answered 500.
  if current_setting('request.method', true) in ('POST', 'PUT', 'PATCH', 'DELETE')
    and current_setting('request.path', true) ~ '^/(?!rpc/)[^/]'
  then
    perform app.fail(case v_role when 'anon' then 'UNAUTHENTICATED' else 'NOT_ALLOWED' end,
      'Lists are read-only: what changes something is a call under /rpc/');
  end if;
  if v_role = 'anon' then
    return;
  end if;
  if coalesce(v_claims ->> 'sub', '') !~ v_uuid or coalesce(v_claims #>> '{act,sub}', v_claims ->> 'sub') !~ v_uuid
    or coalesce(v_claims ->> 'sid', v_claims ->> 'sub') !~ v_uuid
  then
    perform app.fail('UNAUTHENTICATED', 'The token names no account');
  end if;
  v_sub := (v_claims ->> 'sub')::uuid;
  v_act := (v_claims #>> '{act,sub}')::uuid;
  v_sid := (v_claims ->> 'sid')::uuid;

  if not auth.subject_is_active(v_sub, v_role) then
    perform app.fail('ACCOUNT_INACTIVE');
  end if;
  if v_claims ? 'act' then
    if v_role <> 'partner' or not exists (
      select from app.agent_sessions as s
      where s.id = v_sid and s.agent_id = v_act and s.impersonated_partner_id = v_sub
        and s.ended_at is null and s.expires_at > now() and auth.may_act_for(v_act, v_sub)
    ) then
      perform app.fail('SESSION_CLOSED', 'shadow session');
    end if;
  elsif v_sid is not null and not exists (
    select from auth.sessions as s
    where s.id = v_sid and s.subject_id = v_sub and s.role = v_role and s.revoked_at is null and s.expires_at > now()
  ) then
    perform app.fail('SESSION_CLOSED');
  end if;
end $$;
comment on function auth.request_guard() is
  'Raises UNAUTHENTICATED, ACCOUNT_INACTIVE or SESSION_CLOSED, and NOT_ALLOWED to who writes to a list; writes nothing, for GET runs read-only';

create function auth.me()
returns table (
  id uuid, role text, name text, email text, phone text, region_id uuid, tier app.tier_enum, credit_limit numeric,
  credit_used numeric, credit_left numeric, point_balance int, acting_agent_id uuid
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select
    p.id, 'partner', p.business_name, p.email, p.phone, p.region_id, p.tier, p.credit_limit, p.credit_used,
    greatest(p.credit_limit - p.credit_used, 0), p.point_balance, auth.acting_agent_id()
  from app.partners as p
  where auth.caller_role() = 'partner' and p.id = auth.current_user_id() and p.is_active and p.deleted_at is null
  union all
  select a.id, auth.caller_role(), a.full_name, a.email, a.phone, a.region_id, null, null, null, null, null, null
  from app.agents as a
  where auth.caller_role() in ('agent', 'admin', 'superadmin') and a.id = auth.current_user_id() and a.is_active
  union all
  select s.id, 'subdist', s.business_name, s.email, s.whatsapp_number, s.region_id, null, null, null, null, null, null
  from app.sub_distributors as s
  where auth.caller_role() = 'subdist' and s.id = auth.current_user_id() and s.status = 'ACTIVE'
  union all
  select auth.current_user_id(), auth.caller_role(), auth.caller_role(), null, null, null, null, null, null, null, null, null
  where auth.caller_role() in ('erp', 'messenger')
$$;
comment on function auth.me() is 'The caller''s own account; credit in IDR, null for all but partners';
