-- Tier prices: a partner sees only their own tier.

alter table app.tier_prices enable row level security;

grant select on app.tier_prices to partner, agent, admin, subdist;

create policy tier_prices__partner_select on app.tier_prices for select to partner
using (tier = (select auth.current_tier()));
create policy tier_prices__admin_select on app.tier_prices for select to admin using (true);
