-- The catalogue: brands, categories, products.

alter table app.brands enable row level security;
alter table app.categories enable row level security;
alter table app.products enable row level security;

grant select on app.brands, app.categories, app.products to partner, agent, admin, subdist;

create policy brands__partner_select on app.brands for select to partner using (is_active);
create policy brands__staff_select on app.brands for select to agent, admin using (true);
create policy categories__select on app.categories for select to partner, agent, admin using (true);
-- A withdrawn product stays readable to partners who ordered it, so that old orders keep their
-- names.
create policy products__partner_select on app.products for select to partner
using (is_active or id in (
  select i.product_id from app.order_items as i
  where i.partner_id = (select auth.current_user_id())
));
create policy products__staff_select on app.products for select to agent, admin using (true);
create policy products__subdist_select on app.products for select to subdist
using (id in (select i.product_id from app.order_items as i));
