-- Accounts of partners, agents and sub-distributors: their roles, whether they are active, me().

create function auth.agent_database_role(p_role app.agent_role_enum)
returns text language sql immutable
as $$
  select case p_role
    when 'SALESMAN' then 'agent' when 'ADMIN' then 'admin' when 'SUPERADMIN' then 'superadmin'
  end
$$;
comment on function auth.agent_database_role(app.agent_role_enum) is 'Database role of an agent';

-- PL/pgSQL keeps its plans for the session; an SQL function would be planned at each request.
create function auth.subject_is_active(p_subject_id uuid, p_role text)
returns boolean language plpgsql stable
as $$
begin
  if p_role = 'partner' then
    return exists (
      select from app.partners as p
      where p.id = p_subject_id and p.is_active and p.deleted_at is null);
  elsif p_role in ('agent', 'admin', 'superadmin') then
    return exists (
      select from app.agents as a
      where a.id = p_subject_id and a.is_active and p_role = auth.agent_database_role(a.role));
  elsif p_role = 'subdist' then
    return exists (
      select from app.sub_distributors as s where s.id = p_subject_id and s.status = 'ACTIVE');
  end if;
  return p_role in ('erp', 'messenger', 'monitor');
end $$;
comment on function auth.subject_is_active(uuid, text) is
  'True if the account exists, is active and has this role';

-- Who manages an account: admins those of partners, sub-distributors and sales agents,
-- superadmins those of headquarters, too.
create function auth.check_manages(p_role text, p_id uuid)
returns void language plpgsql stable
as $$
begin
  if p_role is null
    or p_role not in ('partner', 'subdist', 'agent', 'admin', 'superadmin')
  then
    perform app.fail('INVALID_ARGUMENT',
      'role must be partner, subdist, agent, admin or superadmin');
  elsif auth.caller_role() not in ('admin', 'superadmin')
    or (p_role in ('admin', 'superadmin') and auth.caller_role() <> 'superadmin')
  then
    perform app.fail('NOT_ALLOWED', 'Only superadmins manage the accounts of headquarters',
      'Ask a superadmin');
  end if;
  if p_id is null or not (case p_role
    when 'partner' then exists (
      select from app.partners as p where p.id = p_id and p.deleted_at is null)
    when 'subdist' then exists (select from app.sub_distributors as s where s.id = p_id)
    else exists (
      select from app.agents as a
      where a.id = p_id and auth.agent_database_role(a.role) = p_role)
  end) then
    perform app.fail('NOT_FOUND', p_role);
  end if;
end $$;
comment on function auth.check_manages(text, uuid) is
  'Raises INVALID_ARGUMENT, NOT_ALLOWED or NOT_FOUND unless the caller manages this account';

create function auth.me()
returns table (
  id uuid, role text, name text, email text, phone text, region_id uuid, tier app.tier_enum,
  credit_limit numeric, credit_used numeric, credit_left numeric, point_balance int,
  acting_agent_id uuid, address text, salon_type app.salon_type_enum, chair_count int,
  specialization text
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select
    p.id, 'partner', p.business_name, p.email, p.phone, p.region_id, p.tier,
    p.credit_limit, p.credit_used, greatest(p.credit_limit - p.credit_used, 0), p.point_balance,
    auth.acting_agent_id(), p.address, p.salon_type, p.chair_count, p.specialization
  from app.partners as p
  where auth.caller_role() = 'partner' and p.id = auth.current_user_id()
    and p.is_active and p.deleted_at is null
  union all
  select
    a.id, auth.caller_role(), a.full_name, a.email, a.phone, a.region_id, null,
    null, null, null, null,
    null, null, null, null, null
  from app.agents as a
  where auth.caller_role() in ('agent', 'admin', 'superadmin') and a.id = auth.current_user_id()
    and a.is_active
  union all
  select
    s.id, 'subdist', s.business_name, s.email, s.whatsapp_number, s.region_id, null,
    null, null, null, null,
    null, null, null, null, null
  from app.sub_distributors as s
  where auth.caller_role() = 'subdist' and s.id = auth.current_user_id() and s.status = 'ACTIVE'
  union all
  select
    auth.current_user_id(), auth.caller_role(), auth.caller_role(), null, null, null, null,
    null, null, null, null,
    null, null, null, null, null
  where auth.caller_role() in ('erp', 'messenger')
$$;
comment on function auth.me() is
  'The caller''s own account; credit in IDR, null for callers other than partners';
