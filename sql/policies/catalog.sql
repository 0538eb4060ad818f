-- The catalogue: brands, categories, products. Everyone signed in reads all of it; the view shows a
-- withdrawn product without its price. A condition here would keep the planner from searching names
-- by products_search_idx.

alter table app.brands enable row level security;
alter table app.categories enable row level security;
alter table app.products enable row level security;
-- Only functions use them.
alter table app.cache_versions enable row level security;
alter table app.catalogue_bodies enable row level security;

grant select on app.brands, app.categories, app.products to partner, agent, admin, subdist;

create policy brands__select on app.brands for select to partner, agent, admin, subdist
using (true);
create policy categories__select on app.categories for select to partner, agent, admin, subdist
using (true);
create policy products__select on app.products for select to partner, agent, admin, subdist
using (true);

-- Master data (D-5).
grant insert (id, name, logo_url, display_order, is_active),
update (id, name, logo_url, display_order, is_active),
delete on app.brands to admin;

create policy brands__admin_insert on app.brands for insert to admin with check (true);
create policy brands__admin_update on app.brands for update to admin
using (true) with check (true);
create policy brands__admin_delete on app.brands for delete to admin using (true);

-- Master data (D-5).
grant insert (id, name, slug, parent_id, display_order),
update (id, name, slug, parent_id, display_order),
delete on app.categories to admin;

create policy categories__admin_insert on app.categories for insert to admin with check (true);
create policy categories__admin_update on app.categories for update to admin
using (true) with check (true);
create policy categories__admin_delete on app.categories for delete to admin using (true);

-- Master data (D-5). A trigger refuses what the ERP maintains.
grant insert (
  id, sku, name, description, brand_id, category_id, base_price, retail_price, image_url,
  is_active
),
update (
  id, sku, name, description, brand_id, category_id, base_price, retail_price, image_url,
  is_active
),
delete on app.products to admin;

create policy products__admin_insert on app.products for insert to admin with check (true);
create policy products__admin_update on app.products for update to admin
using (true) with check (true);
create policy products__admin_delete on app.products for delete to admin using (true);

-- The cache logs in with a role of its own, which reads no table.
grant usage on schema app to cache;
grant execute on function
  app.cache_state(jsonb), app.cache_catalogue(text), app.cache_configs(), app.cache_stock(),
  app.cache_standbys()
to cache;
