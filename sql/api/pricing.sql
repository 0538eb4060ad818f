-- The price schedule.

create view api.tier_prices with (security_invoker = true) as
select
  t.id, t.product_id, t.tier, t.price, t.min_qty_discount, t.discount_price, t.effective_from,
  t.effective_until
from app.tier_prices as t;
comment on view api.tier_prices is 'Price schedule of all tiers';

grant select on api.tier_prices to admin;
