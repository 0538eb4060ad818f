-- The catalogue: brands, the tree of categories, products and who maintains them.

-- As for regions: every statement takes the lock first, and the tree is checked after it.
create trigger _020_lock before insert or update of parent_id on app.categories
for each statement execute function app.tg_lock_table();

create function app.tg_categories__acyclic() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    with recursive ancestors as (
      select c.id, c.parent_id from app.categories as c where c.id = new.parent_id
      union
      select c.id, c.parent_id
      from ancestors as a join app.categories as c on c.id = a.parent_id
    )
    select from ancestors as a where a.id = new.id
  ) then
    perform app.fail('INVALID_CATEGORY', format('%s would be its own ancestor', new.slug));
  end if;
  return null;
end $$;
create trigger _100_acyclic after insert or update of parent_id on app.categories
for each row when (new.parent_id is not null) execute function app.tg_categories__acyclic();

-- The row of stock belongs to the product, whatever path creates it.
create function app.tg_products__inventory() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.inventory (product_id) values (new.id);
  return null;
end $$;
create trigger _100_inventory after insert on app.products
for each row execute function app.tg_products__inventory();

-- With an ERP, the next sync would undo a change of these columns, and create a deleted product
-- again. After the insert, so that an upsert that only updates may name them.
create function app.tg_products__erp_maintained() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if app.config_text('erp.kind') <> 'none' then
    perform app.fail('ERP_MAINTAINED', 'sku, name, base_price and retail_price of products');
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger _200_erp_maintained_insert after insert on app.products
for each row when (current_user in ('admin', 'superadmin'))
execute function app.tg_products__erp_maintained();
create trigger _200_erp_maintained_update
before update of sku, name, base_price, retail_price on app.products
for each row when (
  current_user in ('admin', 'superadmin')
  and (new.sku, new.name, new.base_price, new.retail_price)
  is distinct from (old.sku, old.name, old.base_price, old.retail_price)
)
execute function app.tg_products__erp_maintained();
create trigger _200_erp_maintained_delete before delete on app.products
for each row when (current_user in ('admin', 'superadmin'))
execute function app.tg_products__erp_maintained();

-- Everyone but the functions of the hub, among them the ERP's sync, which leaves it alone.
create function app.tg_products__withdraw() returns trigger
language plpgsql
as $$
begin
  new.is_withdrawn := not new.is_active;
  return new;
end $$;
create trigger _300_withdraw_insert before insert on app.products
for each row when (not new.is_active and current_user <> 'hub_owner')
execute function app.tg_products__withdraw();
create trigger _300_withdraw_update before update of is_active on app.products
for each row when (new.is_active <> old.is_active and current_user <> 'hub_owner')
execute function app.tg_products__withdraw();

create trigger _900_touch before update on app.brands
for each row execute function app.tg_touch_updated_at();
create trigger _900_touch before update on app.categories
for each row execute function app.tg_touch_updated_at();
create trigger _900_touch before update on app.products
for each row execute function app.tg_touch_updated_at();
