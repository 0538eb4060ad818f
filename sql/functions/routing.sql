-- Who serves an order.

create function app.nearest_subdist(p_region_id uuid)
returns uuid language sql stable
as $$
  with candidates as (
    select s.id, a.distance
    from app.ancestor_regions(p_region_id) as a
    join app.sub_distributors as s on s.region_id = a.region_id
    where s.status = 'ACTIVE'
  ),
  nearest as (
    select c.id, count(*) over () as rivals
    from candidates as c
    where c.distance = (select min(m.distance) from candidates as m)
  )
  select n.id
  from nearest as n
  order by
    -- counted only where there is a choice
    case when n.rivals > 1 then (
      select count(*) from app.orders as o
      where o.routed_to_subdist_id = n.id and o.status in ('SUBMITTED', 'PROCESSING')
    ) end,
    n.id
  limit 1
$$;
comment on function app.nearest_subdist(uuid) is
  'The ACTIVE sub-distributor of the region, else of its nearest ancestor; among several the one with the fewest open orders; null: none';
