-- Newest orders of callers whose rows are few among many, and counts of orders.

create function app.check_page(p_n int, p_before timestamptz) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_n is null or p_n not between 1 and 100 then
    perform app.fail('INVALID_ARGUMENT', 'n is from 1 to 100');
  end if;
  perform app.optional_timestamp('before', p_before);
end $$;
comment on function app.check_page(int, timestamptz) is
  'Raises INVALID_ARGUMENT unless n is from 1 to 100 and the time is plausible or null';

-- Row security decides what the caller sees, so this function runs with the caller's rights. The
-- index on created_at holds the orders of all partners: an agent with few partners would walk past
-- the orders of all others. Reading the newest order of each partner first costs one index probe
-- a partner, and leaves at most p_n partners to read further.
create function app.newest_order_ids(p_n int, p_before timestamptz)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_few_partners constant int := 1000;
  v_before constant timestamptz := coalesce(p_before, 'infinity');
begin
  perform app.check_page(p_n, p_before);
  if auth.caller_role() <> 'agent'
    or (select count(*) from (select from app.partners limit v_few_partners + 1) as p)
      > v_few_partners
  then
    return query
    select o.id from app.orders as o
    where o.created_at < v_before
    order by o.created_at desc, o.id desc
    limit p_n;
  else
    return query
    with heads as materialized (
      select p.id as partner_id, h.created_at
      from app.partners as p
      cross join lateral (
        select o.created_at from app.orders as o
        where o.partner_id = p.id and o.created_at < v_before
        order by o.created_at desc limit 1
      ) as h
    ),
    -- The page reaches back to the p_n-th newest of these at most.
    page as materialized (
      select h.partner_id, h.created_at from heads as h
      order by h.created_at desc fetch first p_n rows with ties
    ),
    reach as materialized (
      select case when count(*) >= p_n then min(h.created_at) else '-infinity' end as oldest_at
      from page as h
    )
    select i.id
    from page as h
    cross join reach as r
    cross join lateral (
      select o.id, o.created_at from app.orders as o
      where o.partner_id = h.partner_id
        and o.created_at between r.oldest_at and h.created_at
      order by o.created_at desc, o.id desc limit p_n
    ) as i
    order by i.created_at desc, i.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_order_ids(int, timestamptz) is
  'Ids of the newest orders that the caller sees, created before a time; raises INVALID_ARGUMENT';

-- As app.newest_order_ids. Events have no index by sub-distributor, which every submission would
-- pay for: theirs are looked up in their newest orders.
create function app.newest_order_event_ids(p_n int, p_before timestamptz)
returns setof bigint language plpgsql stable rows 20
as $$
declare
  v_few_partners constant int := 1000;
  v_newest_orders constant int := 200;
  v_before constant timestamptz := coalesce(p_before, 'infinity');
begin
  perform app.check_page(p_n, p_before);
  if auth.caller_role() = 'subdist' then
    return query
    select e.id
    from (
      select o.id, o.partner_id from app.orders as o
      where o.created_at < v_before order by o.created_at desc limit v_newest_orders
    ) as o
    cross join lateral (
      select v.id, v.created_at from app.order_events as v
      where v.order_id = o.id and v.partner_id = o.partner_id and v.created_at < v_before
      order by v.id desc limit p_n
    ) as e
    order by e.created_at desc, e.id desc
    limit p_n;
  elsif auth.caller_role() <> 'agent'
    or (select count(*) from (select from app.partners limit v_few_partners + 1) as p)
      > v_few_partners
  then
    return query
    select e.id from app.order_events as e
    where e.created_at < v_before
    order by e.created_at desc, e.id desc
    limit p_n;
  else
    return query
    with heads as materialized (
      select p.id as partner_id, h.created_at
      from app.partners as p
      cross join lateral (
        select e.created_at from app.order_events as e
        where e.partner_id = p.id and e.created_at < v_before
        order by e.created_at desc limit 1
      ) as h
    ),
    page as materialized (
      select h.partner_id, h.created_at from heads as h
      order by h.created_at desc fetch first p_n rows with ties
    ),
    reach as materialized (
      select case when count(*) >= p_n then min(h.created_at) else '-infinity' end as oldest_at
      from page as h
    )
    select i.id
    from page as h
    cross join reach as r
    cross join lateral (
      select e.id, e.created_at from app.order_events as e
      where e.partner_id = h.partner_id
        and e.created_at between r.oldest_at and h.created_at
      order by e.created_at desc, e.id desc limit p_n
    ) as i
    order by i.created_at desc, i.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_order_event_ids(int, timestamptz) is
  'Ids of the newest events that the caller sees, before a time; for a sub-distributor those of '
  'their newest 200 orders. Raises INVALID_ARGUMENT';

-- With the owner's rights and the conditions of the policies: under row security, the comparison of
-- a status, which is not leakproof, would neither use an index nor the statistics. A statement for
-- each status, with the status in its text, because the planner has to know how rare it is.
-- COMPLETED, REJECTED and CANCELLED are not counted: their number grows for ever, and no one works
-- on them.
create function app.order_counts()
returns table (status app.order_status_enum, order_count int)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_condition constant text := case auth.caller_role()
    when 'partner' then 'o.partner_id = $1'
    when 'subdist' then 'o.routed_to_subdist_id = $1'
    when 'agent' then 'exists (select from app.partners as p where p.id = o.partner_id'
      ' and p.region_id = any ($2) and p.deleted_at is null)'
    when 'admin' then 'true'
    when 'superadmin' then 'true'
    else 'false'
  end;
  v_regions constant uuid[] := array(select auth.agent_regions());
begin
  foreach status in array '{DRAFT,SUBMITTED,PROCESSING,APPROVED,SHIPPED}'::app.order_status_enum[]
  loop
    execute format(
      'select count(*)'
        ' from (select from app.orders as o where o.status = %L and %s limit 1000) as c',
      status, v_condition)
    into order_count using auth.current_user_id(), v_regions;
    return next;
  end loop;
end $$;
comment on function app.order_counts() is
  'Numbers of the orders that the caller sees and that are not closed or completed, by status, '
  'each up to 1,000';
