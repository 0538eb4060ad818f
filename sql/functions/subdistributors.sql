-- Sub-distributors: which one serves an order, and what a suspension does to their orders.

-- Counted in the order of orders_open_subdist_routed_idx and at most to a thousand, so that neither
-- closed orders nor a long queue make routing slow. One plan for arrays of every length: with the
-- length of each array known, the query looks cheaper and would be planned again for each order.
create function app.least_busy_subdist(p_subdist_ids uuid[])
returns uuid language plpgsql stable
set plan_cache_mode = force_generic_plan
as $$
begin
  return (
    select c.id
    from unnest(p_subdist_ids) as c (id)
    order by (
      select count(*) from (
        select from app.orders as o
        where o.routed_to_subdist_id = c.id and o.status in ('SUBMITTED', 'PROCESSING')
        order by o.routed_at limit 1000
      ) as open_orders
    ), c.id
    limit 1
  );
end $$;
comment on function app.least_busy_subdist(uuid[]) is
  'The one of these sub-distributors with the fewest open orders (1,000 and more count alike); '
  'null if there is none';

-- By the index of regions: the planner would read a table of few pages from end to end.
create function app.nearest_subdist(p_region_id uuid)
returns uuid language plpgsql stable
set enable_seqscan = off
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
  return app.least_busy_subdist(v_candidates);
end $$;
comment on function app.nearest_subdist(uuid) is
  'The ACTIVE sub-distributor of the region, else of its nearest ancestor; among several the one '
  'with the fewest open orders (1,000 and more count alike); null if there is none';

-- A suspension is master data, written as a column: it has no function of its own to call this. For
-- all that one statement suspends, because their orders are locked together.
create function app.tg_sub_distributors__hand_over() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.hand_over_orders(array(
    select n.id from new_rows as n join old_rows as o on o.id = n.id
    where o.status = 'ACTIVE' and n.status = 'SUSPENDED'
  ));
  return null;
end $$;
create trigger _200_hand_over after update on app.sub_distributors
referencing old table as old_rows new table as new_rows
for each statement execute function app.tg_sub_distributors__hand_over();

create trigger _300_close_sessions after update of status on app.sub_distributors
for each row when (old.status = 'ACTIVE' and new.status <> 'ACTIVE')
execute function auth.tg_close_sessions();

create trigger _100_normalise_whatsapp_number
before insert or update of whatsapp_number on app.sub_distributors
for each row execute function app.tg_normalise_whatsapp_number();
create trigger _900_touch before update on app.sub_distributors
for each row execute function app.tg_touch_updated_at();

create function app.export_subdist(p_subdist_id uuid)
returns jsonb language plpgsql volatile
as $$
begin
  return app.export_staff(
    'app.sub_distributors', p_subdist_id, 'sub-distributor', 'whatsapp_number', false);
end $$;
comment on function app.export_subdist(uuid) is
  'Everything that the hub stores about a sub-distributor; only superadmins. Raises NOT_ALLOWED, '
  'NOT_FOUND';
