-- The price schedule.

create view api.tier_prices with (security_invoker = true) as
select
  t.id, t.product_id, t.tier, t.price, t.min_qty_discount, t.discount_price, t.effective_from,
  t.effective_until, t.created_at, t.updated_at
from app.tier_prices as t;
comment on view api.tier_prices is
$$Price schedule of all tiers
Headquarters writes all columns but the times. Periods of one product and tier never overlap
(23P01); a period that has begun can only be ended.
Errors: PRICE_IN_FORCE 409.$$;
comment on column api.tier_prices.price is 'IDR a unit';
comment on column api.tier_prices.effective_from is 'First moment of the period';
comment on column api.tier_prices.effective_until is
  'First moment after the period; null: open';

grant select on api.tier_prices to admin;

grant insert (
  id, product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until
),
update (
  id, product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until
),
delete on api.tier_prices to admin;
