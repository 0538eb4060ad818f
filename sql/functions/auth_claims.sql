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
as $$
  select coalesce(nullif(nullif(current_setting('role', true), 'none'), 'hub_owner'), 'system')
$$;
comment on function auth.caller_role() is
  'Database role of the caller, "system" for jobs, which run as hub_owner, and for maintenance';

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

-- The last hops of the chain: the first ones are what the caller wrote, however long that is.
create function auth.forwarded_for() returns text language sql stable
as $$ select right(auth.headers() ->> 'x-forwarded-for', 300) $$;
comment on function auth.forwarded_for() is
  'The end of X-Forwarded-For as received: not yet an address to trust';

create function auth.trusted_proxies() returns inet[] language plpgsql stable
as $$
begin
  return (
    select array(
      select n.network::inet from jsonb_array_elements_text(c.config_value) as n (network)
    )
    from app.system_configs as c where c.config_key = 'auth.trusted_proxies'
  );
end $$;
comment on function auth.trusted_proxies() is
  'Addresses and networks of the proxies whose entries in X-Forwarded-For are believed';

create function auth.is_network(p_text text) returns boolean language plpgsql immutable
as $$
begin
  return p_text::inet is not null;
exception
  when invalid_text_representation then
    return false;
end $$;
comment on function auth.is_network(text) is
  'Whether the text is an address or a network in CIDR form, of IPv4 or IPv6';

create function auth.is_network_list(p_value jsonb) returns boolean language sql immutable
as $$
  select case
    when jsonb_typeof(p_value) is distinct from 'array' then false
    when jsonb_array_length(p_value) > 20 then false
    else not exists (
      select from jsonb_array_elements(p_value) as d
      where jsonb_typeof(d) <> 'string' or auth.is_network(d #>> '{}') is not true
    )
  end
$$;
comment on function auth.is_network_list(jsonb) is
  'True for an array of at most 20 addresses and networks; it may be empty';

create function auth.hop_address(p_hop text) returns inet language plpgsql immutable
as $$
declare
  v_hop text := btrim(p_hop, E' \t"');
begin
  -- [2001:db8::1]:443, 192.0.2.1:443, ::ffff:192.0.2.1
  v_hop := coalesce(substring(v_hop from '^\[([^]]*)\]'), v_hop);
  if v_hop like '%.%.%.%' then
    v_hop := regexp_replace(regexp_replace(v_hop, '^::ffff:', '', 'i'), ':[0-9]+$', '');
  end if;
  return host(v_hop::inet)::inet;
exception
  when invalid_text_representation then
    return null;
end $$;
comment on function auth.hop_address(text) is
  'The address of one entry of X-Forwarded-For, without its port; null for other texts';

create function auth.forwarded_address(p_chain text, p_proxies inet[])
returns text language plpgsql immutable
as $$
declare
  v_hops text[] := string_to_array(p_chain, ',');
  v_address inet;
  v_client inet;
begin
  if coalesce(cardinality(p_proxies), 0) = 0 then
    return null;
  end if;
  for v_position in reverse coalesce(cardinality(v_hops), 0)..1 loop
    v_address := auth.hop_address(v_hops[v_position]);
    exit when v_address is null;
    v_client := v_address;
    exit when not exists (
      select from unnest(p_proxies) as p (network) where v_client <<= p.network
    );
  end loop;
  return host(v_client);
end $$;
comment on function auth.forwarded_address(text, inet[]) is
  'The last address of X-Forwarded-For that is none of these proxies, which is the one that the '
  'outermost proxy saw; null without proxies, because then the caller alone wrote the header';

create function auth.client_ip() returns text language plpgsql stable
as $$
begin
  return auth.forwarded_address(auth.forwarded_for(), auth.trusted_proxies());
end $$;
comment on function auth.client_ip() is
  'The caller''s address as a trusted proxy reports it; null where auth.trusted_proxies is empty';

-- A caller has a whole network of IPv6 addresses to choose from.
create function auth.network_of(p_ip text) returns text language sql immutable
as $$
  select case when p_ip like '%:%' then text(network(set_masklen(p_ip::inet, 64))) else p_ip end
$$;
comment on function auth.network_of(text) is
  'What counts as one caller in limits by address: an IPv4 address, or the /64 of an IPv6 one';

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
