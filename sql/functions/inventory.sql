-- Stock: reservations, which are units of live orders that the ERP has not acknowledged yet, and
-- what headquarters enters.

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

-- One statement locks, compares and reserves. It compares the newest version of each row, and locks
-- the rows in the order in which the index of products returns them, which is that of
-- app.lock_inventory; the settings exclude every other plan. Takes arrays and does not join them: a
-- look into the array costs half of a join with unnest() for an order of five lines. The sub-select
-- hides the array's length, for which PostgreSQL would plan each order of a single line.
create function app.reserve_stock(p_product_ids uuid[], p_quantities int[])
returns void language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  v_reserved uuid[];
begin
  with reserved as (
    update app.inventory as s
    set reserved = s.reserved + p_quantities[array_position(p_product_ids, s.product_id)]
    where s.product_id = any ((select p_product_ids)::uuid[])
      and s.display_stock >= p_quantities[array_position(p_product_ids, s.product_id)]
    returning s.product_id
  )

  select coalesce(array_agg(r.product_id), '{}') into v_reserved from reserved as r;
  if cardinality(v_reserved) < cardinality(p_product_ids) then
    perform app.fail('OUT_OF_STOCK', (
      select string_agg(
        format('%s: %s left', p.sku, coalesce(s.display_stock, 0)), ', ' order by p.sku)
      from app.products as p
      left join app.inventory as s on s.product_id = p.id
      where p.id = any (p_product_ids) and p.id <> all (v_reserved)
    ));
  end if;
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

-- Without an ERP, the hub is its own: shipping acknowledges the order under its own number, which
-- lowers the stock and the reservation together. An ERP that comes later does not get the order.
create function app.issue_stock(p_order_id uuid)
returns void language plpgsql volatile
as $$
begin
  if app.config_text('erp.kind') <> 'none' then
    return;
  end if;
  update app.orders as o set erp_reference = o.order_number, erp_acknowledged_at = now()
  where o.id = p_order_id and o.erp_reference is null;
  if found then
    perform app.transfer_stock_to_erp(p_order_id, true);
  end if;
end $$;
comment on function app.issue_stock(uuid) is
  'Takes the units of a shipped order from stock and reservation, if config erp.kind is none';

-- In product order and before the statement's own locks, as orders do, which would deadlock with a
-- body of several rows in another order.
create function app.tg_inventory__lock() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform from app.inventory as s order by s.product_id for no key update;
  return null;
end $$;
create trigger _020_lock_insert before insert on app.inventory
for each statement when (current_user in ('admin', 'superadmin'))
execute function app.tg_inventory__lock();
create trigger _020_lock_update before update of safety_buffer, erp_stock on app.inventory
for each statement when (current_user in ('admin', 'superadmin'))
execute function app.tg_inventory__lock();

create function app.tg_inventory__erp_maintained() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if app.config_text('erp.kind') <> 'none' then
    perform app.fail('ERP_MAINTAINED', 'erp_stock of inventory');
  end if;
  new.last_sync_at := now();
  return new;
end $$;
create trigger _200_erp_maintained before update of erp_stock on app.inventory
for each row when (
  current_user in ('admin', 'superadmin') and new.erp_stock <> old.erp_stock
)
execute function app.tg_inventory__erp_maintained();

create function app.tg_inventory__keep() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  -- The row of a deleted product goes with it.
  if exists (select from app.products as p where p.id = old.product_id) then
    perform app.fail('NOT_ALLOWED', 'A product keeps its row of stock', 'Set its stock to 0');
  end if;
  return old;
end $$;
create trigger _300_keep before delete on app.inventory
for each row execute function app.tg_inventory__keep();

-- With an ERP, its readings are not writes of headquarters, who would never get a change through.
create function app.tg_inventory__touch() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if new.safety_buffer <> old.safety_buffer or new.updated_at <> old.updated_at
    or app.config_text('erp.kind') = 'none'
  then
    new.updated_at := now();
  end if;
  return new;
end $$;
create trigger _900_touch before update of safety_buffer, erp_stock, updated_at on app.inventory
for each row when (
  (new.safety_buffer, new.erp_stock, new.updated_at)
  is distinct from (old.safety_buffer, old.erp_stock, old.updated_at)
)
execute function app.tg_inventory__touch();

-- SECURITY DEFINER, so that readers of the catalogue need no right on configs; called once per
-- statement.
create function app.stock_stale_before() returns timestamptz
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select case app.config_text('erp.kind')
    when 'none' then '-infinity'
    else now() - make_interval(mins => 2 * app.config_int('stock.sync_interval_minutes'))
  end
$$;
comment on function app.stock_stale_before() is
  'Stock last synced before this time is stale, because two syncs were missed; -infinity without '
  'an ERP';
