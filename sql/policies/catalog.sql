-- The catalogue: everybody who orders or delivers sees goods; a price only at his own tier.

alter table app.brands enable row level security;
alter table app.categories enable row level security;
alter table app.products enable row level security;
alter table app.inventory enable row level security;
alter table app.tier_prices enable row level security;

grant select on app.brands, app.categories, app.products, app.tier_prices to partner, agent, admin, subdist;
grant select on app.inventory to admin;
-- what can be ordered, not how much the warehouse holds
grant select (id, product_id, display_stock, last_sync_at) on app.inventory to partner, agent, subdist;

create policy brands__partner_select on app.brands for select to partner using (is_active);
create policy brands__staff_select on app.brands for select to agent, admin using (true);
create policy categories__select on app.categories for select to partner, agent, admin using (true);

-- A withdrawn product stays readable to those who once ordered it, so that old orders keep their names.
create policy products__partner_select on app.products for select to partner
using (is_active or id in (select i.product_id from app.order_items as i where i.partner_id = (select auth.current_user_id())));
create policy products__staff_select on app.products for select to agent, admin using (true);
create policy products__subdist_select on app.products for select to subdist
using (id in (select i.product_id from app.order_items as i));

create policy inventory__select on app.inventory for select to partner, agent, admin using (true);

create policy tier_prices__partner_select on app.tier_prices for select to partner using (tier = (select auth.current_tier()));
create policy tier_prices__admin_select on app.tier_prices for select to admin using (true);
