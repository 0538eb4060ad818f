-- Who serves an order.

create function app.nearest_subdist(p_region_id uuid)
returns uuid language plpgsql stable
as $$
declare
  v_region_id uuid := p_region_id;
  v_candidates uuid[];
begin
  while v_region_id is not null loop
    select array_agg(s.id) into v_candidates
    from app.sub_distributors as s where s.region_id = v_region_id and s.status = 'ACTIVE';
    exit when v_candidates is not null;
    select r.parent_region_id into v_region_id from app.regions as r where r.id = v_region_id;
  end loop;
  if cardinality(v_candidates) = 1 then
    return v_candidates[1];
  end if;
  return (
    select c.id
    from unnest(v_candidates) as c (id)
    order by (
      select count(*) from app.orders as o where o.routed_to_subdist_id = c.id and o.status in ('SUBMITTED', 'PROCESSING')
    ), c.id
    limit 1
  );
end $$;
comment on function app.nearest_subdist(uuid) is
  'The ACTIVE sub-distributor of the region, else of its nearest ancestor; among several the one with the fewest open orders; null: none';
