-- Tier prices: a partner sees only their own tier.

alter table app.tier_prices enable row level security;

grant select on app.tier_prices to partner, agent, admin, subdist;

create policy tier_prices__partner_select on app.tier_prices for select to partner
using (tier = (select auth.current_tier()));
create policy tier_prices__admin_select on app.tier_prices for select to admin using (true);

-- Master data (D-5).
grant insert (
  id, product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until
),
update (
  id, product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until
),
delete on app.tier_prices to admin;

create policy tier_prices__admin_insert on app.tier_prices for insert to admin with check (true);
create policy tier_prices__admin_update on app.tier_prices for update to admin
using (true) with check (true);
create policy tier_prices__admin_delete on app.tier_prices for delete to admin using (true);
