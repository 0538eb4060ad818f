-- Catalogue views.

create view api.brands with (security_invoker = true) as
select
  b.id, b.name, b.logo_url, b.display_order, b.is_active, b.created_at, b.updated_at
from app.brands as b;
comment on view api.brands is
$$Brands
Headquarters writes all columns but the times.$$;

create view api.categories with (security_invoker = true) as
select
  c.id, c.name, c.slug, c.parent_id, c.display_order, c.created_at, c.updated_at
from app.categories as c;
comment on view api.categories is
$$Product categories, a tree by parent_id
Headquarters writes all columns but the times.
Errors: INVALID_CATEGORY 422.$$;

-- One relation in FROM, so that the view can be written through, and so that a list that embeds
-- products pays for no column that it does not select. Price and stock are look-ups by index. The
-- list price is a column of api.product_master alone: it is what other tiers may pay.
create view api.products with (security_invoker = true) as
select
  p.id, p.sku, p.name, p.description, p.brand_id, p.category_id,
  case when p.is_active then coalesce((
    select t.price from app.tier_prices as t
    where t.product_id = p.id and t.tier = (select auth.current_tier())
      and t.effective_from <= now() and (t.effective_until > now() or t.effective_until is null)
    order by t.effective_from desc limit 1
  ), p.base_price) end as price,
  case when p.is_active then (
    select t.min_qty_discount from app.tier_prices as t
    where t.product_id = p.id and t.tier = (select auth.current_tier())
      and t.effective_from <= now() and (t.effective_until > now() or t.effective_until is null)
    order by t.effective_from desc limit 1
  ) end as min_qty_discount,
  case when p.is_active then (
    select t.discount_price from app.tier_prices as t
    where t.product_id = p.id and t.tier = (select auth.current_tier())
      and t.effective_from <= now() and (t.effective_until > now() or t.effective_until is null)
    order by t.effective_from desc limit 1
  ) end as discount_price,
  case when p.is_active then p.retail_price end as retail_price,
  coalesce(
    (select s.display_stock from app.inventory as s where s.product_id = p.id), 0
  ) as display_stock,
  coalesce((
    select s.last_sync_at < (select app.stock_stale_before())
    from app.inventory as s where s.product_id = p.id
  ), true) as stock_stale,
  (select s.last_sync_at from app.inventory as s where s.product_id = p.id) as stock_synced_at,
  p.image_url, p.is_active, p.created_at, p.updated_at
from app.products as p;
comment on view api.products is
$$Products at the caller's own price, with the stock that can be ordered
Partners see the current price of their tier; other roles see the base price.
A withdrawn product is listed with is_active false and without a price.
Headquarters changes description, brand_id, category_id, image_url and is_active; with config
erp.kind none also sku and name. Prices are written in product_master, which inserts, too.
Errors: ERP_MAINTAINED 409.$$;
comment on column api.products.price is
  'IDR a unit, at the caller''s tier; null: the product is withdrawn';
comment on column api.products.min_qty_discount is
  'Units in one order from which discount_price is charged; null: no quantity discount';
comment on column api.products.discount_price is 'IDR a unit from min_qty_discount units on';
comment on column api.products.retail_price is
  'IDR a unit, recommended price to the end customer; null: the product is withdrawn, or has none';
comment on column api.products.display_stock is 'Units that can be ordered now';
comment on column api.products.stock_stale is
  'True: the ERP has not confirmed this stock for two sync intervals';
comment on column api.products.is_active is 'False: withdrawn, cannot be ordered';

-- For headquarters, because partners see the prices of their own tier only. A column that is hidden
-- from a role can be read in a view, but not written through it.
create view api.product_master with (security_invoker = true) as
select
  p.id, p.sku, p.name, p.description, p.brand_id, p.category_id, p.base_price, p.retail_price,
  p.image_url, p.is_active, p.created_at, p.updated_at
from app.products as p;
comment on view api.product_master is
$$Products as headquarters maintains them, with their list prices
Headquarters writes description, brand_id, category_id, image_url and is_active; with config
erp.kind none also sku, name, base_price and retail_price, and may insert and delete.
Errors: ERP_MAINTAINED 409.$$;
comment on column api.product_master.base_price is
  'IDR a unit, charged where a tier has no price in force';
comment on column api.product_master.retail_price is
  'IDR a unit, recommended price to the end customer';
comment on column api.product_master.is_active is 'False: withdrawn, cannot be ordered';

create function api.catalogue() returns api."*/*"
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return convert_to(app.catalogue()::text, 'UTF8');
end $$;
comment on function api.catalogue() is
$$The catalogue at the caller's own prices, as one document with an ETag
An object with version, price_list, brands, categories and the active products, without their stock.
GET it with If-None-Match: 304 without a body while nothing has changed and no price began or ended.
Errors: NOT_ALLOWED 403.$$;

grant execute on function api.catalogue() to partner, agent, admin, subdist;

grant select on api.brands, api.categories, api.products to partner, agent, admin, subdist;
grant select on api.product_master to admin;

grant insert (id, name, logo_url, display_order, is_active),
update (id, name, logo_url, display_order, is_active),
delete on api.brands to admin;

grant insert (id, name, slug, parent_id, display_order),
update (id, name, slug, parent_id, display_order),
delete on api.categories to admin;

grant update (sku, name, description, brand_id, category_id, image_url, is_active)
on api.products to admin;

grant insert (
  id, sku, name, description, brand_id, category_id, base_price, retail_price, image_url,
  is_active
),
update (
  id, sku, name, description, brand_id, category_id, base_price, retail_price, image_url,
  is_active
),
delete on api.product_master to admin;
