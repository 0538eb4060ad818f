-- Reservation: units of live orders that the ERP has not taken over yet.

create function app.holds_stock(p_status app.order_status_enum, p_erp_reference text)
returns boolean language sql immutable
as $$ select p_status in ('SUBMITTED', 'PROCESSING', 'APPROVED', 'SHIPPED', 'COMPLETED') and p_erp_reference is null $$;
comment on function app.holds_stock(app.order_status_enum, text) is 'True while the units of such an order are reserved in the hub';

-- Locks come first, in product order: two orders of the same products in opposite order cannot deadlock,
-- and the check after the lock sees what the last buyer left.
create function app.lock_inventory(p_order_id uuid)
returns void language plpgsql volatile set search_path = ''
as $$
begin
  perform from app.inventory as s
  where s.product_id = any (array(select i.product_id from app.order_items as i where i.order_id = p_order_id))
  order by s.product_id
  for no key update;
end $$;
comment on function app.lock_inventory(uuid) is 'Locks the inventory of the order''s products, in product order';

create function app.reserve_stock(p_order_id uuid)
returns void language plpgsql volatile set search_path = ''
as $$
declare
  v_short text;
begin
  perform app.lock_inventory(p_order_id);
  select string_agg(format('%s: %s left', p.sku, coalesce(s.display_stock, 0)), ', ' order by p.sku) into v_short
  from app.order_items as i
  join app.products as p on p.id = i.product_id
  left join app.inventory as s on s.product_id = i.product_id
  where i.order_id = p_order_id and i.quantity > coalesce(s.display_stock, 0);
  if v_short is not null then
    perform app.fail('OUT_OF_STOCK', v_short);
  end if;
  update app.inventory as s set reserved = s.reserved + i.quantity
  from app.order_items as i
  where i.order_id = p_order_id and s.product_id = i.product_id;
end $$;
comment on function app.reserve_stock(uuid) is 'Reserves the order''s units or raises OUT_OF_STOCK with what is left of each product';

create function app.release_stock(p_order_id uuid)
returns void language plpgsql volatile set search_path = ''
as $$
begin
  perform app.lock_inventory(p_order_id);
  update app.inventory as s set reserved = s.reserved - i.quantity
  from app.order_items as i
  where i.order_id = p_order_id and s.product_id = i.product_id;
end $$;
comment on function app.release_stock(uuid) is 'Gives the order''s reserved units back';
