-- Reservations of stock: units of live orders that the ERP has not acknowledged yet.

create function app.holds_stock(p_status app.order_status_enum, p_erp_reference text)
returns boolean language sql immutable
as $$
  select p_status in ('SUBMITTED', 'PROCESSING', 'APPROVED', 'SHIPPED', 'COMPLETED')
    and p_erp_reference is null
$$;
comment on function app.holds_stock(app.order_status_enum, text) is
  'True while the hub reserves the units of such an order';

-- Locks in product order, so that two orders of the same products in opposite order cannot
-- deadlock, and before checking, so that the check sees what the order before left.
create function app.lock_inventory(p_product_ids uuid[])
returns void language plpgsql volatile
as $$
begin
  perform from app.inventory as s
  where s.product_id = any (p_product_ids) order by s.product_id for no key update;
end $$;
comment on function app.lock_inventory(uuid[]) is
  'Locks the inventory of these products, in product order';

-- Takes arrays and does not join them: a scan by index and a look into the array cost half of a
-- join with unnest() for an order of five lines.
create function app.reserve_stock(p_product_ids uuid[], p_quantities int[])
returns void language plpgsql volatile
as $$
declare
  v_available int;
begin
  -- The lock returns the newest version of each row; offset 0 keeps the comparison above the lock.
  select count(*) into v_available
  from (
    select i.product_id, i.display_stock from app.inventory as i
    where i.product_id = any (p_product_ids) order by i.product_id offset 0 for no key update
  ) as s
  where s.display_stock >= p_quantities[array_position(p_product_ids, s.product_id)];
  if v_available < cardinality(p_product_ids) then
    perform app.fail('OUT_OF_STOCK', (
      select string_agg(
        format('%s: %s left', p.sku, coalesce(s.display_stock, 0)), ', ' order by p.sku)
      from unnest(p_product_ids, p_quantities) as l (product_id, quantity)
      join app.products as p on p.id = l.product_id
      left join app.inventory as s on s.product_id = l.product_id
      where coalesce(s.display_stock, 0) < l.quantity
    ));
  end if;
  update app.inventory as s
  set reserved = s.reserved + p_quantities[array_position(p_product_ids, s.product_id)]
  where s.product_id = any (p_product_ids);
end $$;
comment on function app.reserve_stock(uuid[], int[]) is
  'Reserves units of each product; raises OUT_OF_STOCK with what is left. The products are '
  'distinct';

create function app.release_stock(p_order_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform app.lock_inventory(
    array(select i.product_id from app.order_items as i where i.order_id = p_order_id));
  update app.inventory as s set reserved = s.reserved - i.quantity
  from app.order_items as i
  where i.order_id = p_order_id and s.product_id = i.product_id;
end $$;
comment on function app.release_stock(uuid) is 'Releases the units that an order reserved';

-- SECURITY DEFINER, so that readers of the catalogue need no right on configs; called once per
-- statement.
create function app.stock_stale_before() returns timestamptz
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select now() - make_interval(mins => 2 * app.config_int('stock.sync_interval_minutes')) $$;
comment on function app.stock_stale_before() is
  'Stock last synced before this time is stale, because two syncs were missed';
