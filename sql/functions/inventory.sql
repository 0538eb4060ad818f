-- Reservation: units of live orders that the ERP has not taken over yet.

create function app.holds_stock(p_status app.order_status_enum, p_erp_reference text)
returns boolean language sql immutable
as $$ select p_status in ('SUBMITTED', 'PROCESSING', 'APPROVED', 'SHIPPED', 'COMPLETED') and p_erp_reference is null $$;
comment on function app.holds_stock(app.order_status_enum, text) is 'True while the units of such an order are reserved in the hub';

-- Locks come first, in product order: two orders of the same products in opposite order cannot deadlock,
-- and the check after the lock sees what the last buyer left.
create function app.lock_inventory(p_product_ids uuid[])
returns void language plpgsql volatile
as $$
begin
  perform from app.inventory as s where s.product_id = any (p_product_ids) order by s.product_id for no key update;
end $$;
comment on function app.lock_inventory(uuid[]) is 'Locks the inventory of these products, in product order';

-- Products and quantities come as arrays, and are not joined: a scan by index and a look into the array cost an
-- order of five lines half of what a join with unnest() does.
create function app.reserve_stock(p_product_ids uuid[], p_quantities int[])
returns void language plpgsql volatile
as $$
declare
  v_enough int;
begin
  -- What the lock returns is the newest version of each row, and stays so; offset 0 keeps the comparison above the lock.
  select count(*) into v_enough
  from (
    select i.product_id, i.display_stock from app.inventory as i
    where i.product_id = any (p_product_ids) order by i.product_id offset 0 for no key update
  ) as s
  where s.display_stock >= p_quantities[array_position(p_product_ids, s.product_id)];
  if v_enough < cardinality(p_product_ids) then
    perform app.fail('OUT_OF_STOCK', (
      select string_agg(format('%s: %s left', p.sku, coalesce(s.display_stock, 0)), ', ' order by p.sku)
      from unnest(p_product_ids, p_quantities) as l (product_id, quantity)
      join app.products as p on p.id = l.product_id
      left join app.inventory as s on s.product_id = l.product_id
      where coalesce(s.display_stock, 0) < l.quantity
    ));
  end if;
  update app.inventory as s set reserved = s.reserved + p_quantities[array_position(p_product_ids, s.product_id)]
  where s.product_id = any (p_product_ids);
end $$;
comment on function app.reserve_stock(uuid[], int[]) is
  'Reserves so many units of each product or raises OUT_OF_STOCK with what is left; each product stands once';

create function app.reserve_order(p_order_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform app.reserve_stock(array_agg(i.product_id order by i.product_id), array_agg(i.quantity order by i.product_id))
  from app.order_items as i where i.order_id = p_order_id;
end $$;
comment on function app.reserve_order(uuid) is 'Reserves the units of an order''s lines';

create function app.release_stock(p_order_id uuid)
returns void language plpgsql volatile
as $$
begin
  perform app.lock_inventory(array(select i.product_id from app.order_items as i where i.order_id = p_order_id));
  update app.inventory as s set reserved = s.reserved - i.quantity
  from app.order_items as i
  where i.order_id = p_order_id and s.product_id = i.product_id;
end $$;
comment on function app.release_stock(uuid) is 'Gives the order''s reserved units back';
