-- Newest orders of callers whose rows are few among many, and counts of orders.

-- The orders of an agent of few partners are looked up partner by partner: see leading_partners.
create function app.newest_order_ids(p_n int, p_before timestamptz, p_after uuid)
returns setof uuid language plpgsql stable rows 20
as $$
declare
  v_time timestamptz;
  v_id constant uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
begin
  v_time := coalesce(
    app.page_start('app.orders', 'created_at', p_n, p_before, p_after::text), 'infinity');
  if app.is_agent_of_few_partners() then
    return query
    select l.id
    from app.leading_partners('app.orders', 'created_at', false, p_n, v_time, v_id::text) as h
    cross join lateral (
      select o.id, o.created_at from app.orders as o
      where o.partner_id = h.partner_id and o.created_at between h.oldest_at and h.newest_at
        and (o.created_at, o.id) < (v_time, v_id)
      order by o.created_at desc, o.id desc limit p_n
    ) as l
    order by l.created_at desc, l.id desc
    limit p_n;
  else
    return query
    select o.id from app.orders as o
    where (o.created_at, o.id) < (v_time, v_id)
    order by o.created_at desc, o.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_order_ids(int, timestamptz, uuid) is
  'Ids of the newest orders that the caller sees, created before a time or after another in the '
  'list; raises INVALID_ARGUMENT, NOT_FOUND';

-- As app.newest_order_ids. Events have no index by sub-distributor, which every submission would
-- pay for: theirs are looked up in their newest orders.
create function app.newest_order_event_ids(p_n int, p_before timestamptz, p_after bigint)
returns setof bigint language plpgsql stable rows 20
as $$
declare
  v_newest_orders constant int := 200;
  v_time timestamptz;
  v_id constant bigint := coalesce(p_after, 0);
begin
  v_time := coalesce(
    app.page_start('app.order_events', 'created_at', p_n, p_before, p_after::text), 'infinity');
  if auth.caller_role() = 'subdist' then
    return query
    select e.id
    from (
      select o.id, o.partner_id from app.orders as o
      where o.created_at <= v_time order by o.created_at desc limit v_newest_orders
    ) as o
    cross join lateral (
      select v.id, v.created_at from app.order_events as v
      where v.order_id = o.id and v.partner_id = o.partner_id
        and (v.created_at, v.id) < (v_time, v_id)
      order by v.id desc limit p_n
    ) as e
    order by e.created_at desc, e.id desc
    limit p_n;
  elsif app.is_agent_of_few_partners() then
    return query
    select i.id
    from app.leading_partners(
      'app.order_events', 'created_at', false, p_n, v_time, v_id::text
    ) as h
    cross join lateral (
      select e.id, e.created_at from app.order_events as e
      where e.partner_id = h.partner_id and e.created_at between h.oldest_at and h.newest_at
        and (e.created_at, e.id) < (v_time, v_id)
      order by e.created_at desc, e.id desc limit p_n
    ) as i
    order by i.created_at desc, i.id desc
    limit p_n;
  else
    return query
    select e.id from app.order_events as e
    where (e.created_at, e.id) < (v_time, v_id)
    order by e.created_at desc, e.id desc
    limit p_n;
  end if;
end $$;
comment on function app.newest_order_event_ids(int, timestamptz, bigint) is
  'Ids of the newest events that the caller sees, before a time or after another in the list; for '
  'a sub-distributor those of 200 orders. Raises INVALID_ARGUMENT, NOT_FOUND';

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
