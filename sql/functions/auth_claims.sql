-- The caller, from the claims that the gateway sets. An unset claim reads as '' and is null here.
-- The predicates that policies use are SECURITY INVOKER without SET, so that they can be inlined.

create function auth.claims_text() returns text language sql stable
as $$ select nullif(current_setting('request.jwt.claims', true), '') $$;
comment on function auth.claims_text() is
  'The claims of the token as the gateway wrote them, null without a token';

create function auth.claims() returns jsonb language sql stable
as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
comment on function auth.claims() is 'The claims of the token, null without a token';

-- Called by each request: LIKE and translate cost a third of a regular expression.
create function auth.claimed_uuid(p_text text) returns uuid language sql immutable
as $$
  select case
    when p_text like '________-____-____-____-____________'
      and translate(p_text, '0123456789abcdefABCDEF', '') = '----'
    then p_text::uuid
  end
$$;
comment on function auth.claimed_uuid(text) is
  'The id that a claim holds, null unless it has the standard form of a UUID';

create function auth.current_user_id() returns uuid language sql stable
as $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
comment on function auth.current_user_id() is
  'Claim sub: id of the calling partner, agent or sub-distributor';

create function auth.current_subdist_id() returns uuid language sql stable
as $$ select case when current_setting('role', true) = 'subdist' then auth.current_user_id() end $$;
comment on function auth.current_subdist_id() is
  'Id of the calling sub-distributor, null for other roles';

create function auth.current_agent_region() returns uuid language sql stable
as $$ select a.region_id from app.agents as a where a.id = auth.current_user_id() $$;
comment on function auth.current_agent_region() is 'Region of the calling agent';

-- PL/pgSQL keeps the plan of the recursive query for the session; as an SQL function it is planned
-- in every list. The estimate of ten regions keeps the planner on indexes.
create function auth.agent_regions() returns setof uuid language plpgsql stable rows 10
as $$
begin
  return query
  with recursive below as (
    select auth.current_agent_region() as id
    union
    select r.id from app.regions as r join below as b on r.parent_region_id = b.id
  )
  select b.id from below as b where b.id is not null;
end $$;
comment on function auth.agent_regions() is 'The calling agent''s region and all regions below it';

create function auth.current_tier() returns app.tier_enum language sql stable
as $$ select p.tier from app.partners as p where p.id = auth.current_user_id() $$;
comment on function auth.current_tier() is 'Tier of the calling partner, null for other callers';

-- Inside SECURITY DEFINER functions current_user is the owner; this setting keeps the role that the
-- gateway switched to.
create function auth.caller_role() returns text language sql stable
as $$ select coalesce(nullif(current_setting('role', true), 'none'), 'system') $$;
comment on function auth.caller_role() is
  'Database role of the caller, "system" for jobs and maintenance';

create function auth.acting_agent_id() returns uuid language sql stable
as $$
  select (nullif(current_setting('request.jwt.claims', true), '')::jsonb #>> '{act,sub}')::uuid
$$;
comment on function auth.acting_agent_id() is
  'Claim act.sub (RFC 8693): the agent in shadow mode, null otherwise';

create function auth.session_id() returns uuid language sql stable
as $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sid')::uuid $$;
comment on function auth.session_id() is
  'Claim sid: auth.sessions.id, or app.agent_sessions.id in shadow mode';

create function auth.headers() returns jsonb language sql stable
as $$ select nullif(current_setting('request.headers', true), '')::jsonb $$;
comment on function auth.headers() is
  'Headers of the request, names in lower case; null outside a request';

create function auth.client_ip() returns text language sql stable
as $$ select left(btrim(split_part(auth.headers() ->> 'x-forwarded-for', ',', 1)), 45) $$;
comment on function auth.client_ip() is 'First address of X-Forwarded-For, null if no proxy set it';

-- The agent who is responsible for a change: headquarters staff, or the agent in shadow mode.
create function auth.current_agent_id() returns uuid language sql stable
as $$
  select case
    when auth.caller_role() in ('agent', 'admin', 'superadmin') then auth.current_user_id()
    else auth.acting_agent_id()
  end
$$;
comment on function auth.current_agent_id() is
  'Id of the calling or acting agent, null for partners and the system';
