-- Catalogue views.

create view api.brands with (security_invoker = true) as
select b.id, b.name, b.logo_url, b.display_order, b.is_active from app.brands as b;
comment on view api.brands is 'Brands';

create view api.categories with (security_invoker = true) as
select c.id, c.name, c.slug, c.parent_id, c.display_order from app.categories as c;
comment on view api.categories is 'Product categories, a tree by parent_id';

-- The CTE reads the caller's tier once. As a sub-select among the arguments it would prevent the
-- inlining of price_in_force.
create view api.products with (security_invoker = true) as
with caller as materialized (select auth.current_tier() as tier)
select
  p.id, p.sku, p.name, p.description, p.brand_id, p.category_id,
  f.price, f.min_qty_discount, f.discount_price, p.retail_price,
  coalesce(s.display_stock, 0) as display_stock,
  coalesce(s.last_sync_at < (select app.stock_stale_before()), true) as stock_stale,
  s.last_sync_at as stock_synced_at,
  p.image_url, p.is_active, p.created_at, p.updated_at
from app.products as p
cross join caller as c
cross join lateral app.price_in_force(p.id, p.base_price, c.tier, now()) as f
left join app.inventory as s on s.product_id = p.id;
comment on view api.products is
$$Products at the caller's own price, with the stock that can be ordered
Partners see the current price of their tier; other roles see the base price.$$;
comment on column api.products.price is 'IDR a unit, at the caller''s tier';
comment on column api.products.min_qty_discount is
  'Units in one order from which discount_price is charged; null: no quantity discount';
comment on column api.products.discount_price is 'IDR a unit from min_qty_discount units on';
comment on column api.products.retail_price is 'IDR a unit, recommended price to the end customer';
comment on column api.products.display_stock is 'Units that can be ordered now';
comment on column api.products.stock_stale is
  'True: the ERP has not confirmed this stock for two sync intervals';
comment on column api.products.is_active is
  'False: withdrawn, listed because the caller has ordered it before';

grant select on api.brands, api.categories to partner, agent, admin;
grant select on api.products to partner, agent, admin, subdist;
