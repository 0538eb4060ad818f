-- Phase 2, step 3 (M-7.2-3): prices of a tier and their periods.

create table app.tier_prices (
  id uuid primary key default app.uuid_v7(),
  product_id uuid not null
  constraint tier_prices_product_id_fkey references app.products (id),
  tier app.tier_enum not null,
  price numeric(15, 2) not null
  constraint tier_prices_price_check check (price between 0 and 9999999999999.99),
  min_qty_discount numeric(10, 2)
  constraint tier_prices_min_qty_discount_check
  check (min_qty_discount > 0 and min_qty_discount < 'NaN'),
  discount_price numeric(15, 2),
  effective_from timestamptz not null default now(),
  effective_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint tier_prices_discount_price_check check (discount_price between 0 and price),
  constraint tier_prices_discount_pair_check
  check ((min_qty_discount is null) = (discount_price is null)),
  constraint tier_prices_period_check check (effective_until > effective_from),
  constraint tier_prices_finite_check
  check (isfinite(effective_from) and isfinite(coalesce(effective_until, effective_from))),
  -- On the id's text, so that the planner looks prices up in tier_prices_lookup_idx, at a quarter
  -- of this index's cost. Deferrable, so that one transaction can shorten a period and start the
  -- next in either order.
  constraint tier_prices_no_overlap_excl exclude using gist (
    (product_id::text) with =, tier with =, tstzrange(effective_from, effective_until, '[)') with &&
  ) deferrable initially immediate
);
create index tier_prices_lookup_idx on app.tier_prices (product_id, tier, effective_from);
create index tier_prices_effective_idx on app.tier_prices (effective_from);
create index tier_prices_until_idx on app.tier_prices (effective_until)
where effective_until is not null;
comment on table app.tier_prices is
  'Price of a product for a tier in [effective_from, effective_until); periods of one product '
  'and tier never overlap';
comment on column app.tier_prices.price is 'IDR per unit';
comment on column app.tier_prices.min_qty_discount is
  'Units in one order from which discount_price is charged; null: no discount';
comment on column app.tier_prices.discount_price is
  'IDR per unit from min_qty_discount units on; at most price';
comment on column app.tier_prices.effective_until is 'End of the period, exclusive; null: open';

create type app.priced_lines as (
  product_ids uuid[],
  quantities int[],
  list_prices numeric[],
  unit_prices numeric[],
  subtotal numeric,
  line_total numeric
);
comment on type app.priced_lines is
  'Lines of an order with the prices in force, as parallel arrays, and their sums in IDR';

create type app.priced_order as (
  product_ids uuid[],
  quantities int[],
  list_prices numeric[],
  unit_prices numeric[],
  subtotal numeric,
  discount_amount numeric,
  point_discount numeric,
  grand_total numeric,
  is_eligible_for_points boolean,
  points_promised int,
  over_limit_policy text,
  max_overdue_days int,
  due_days int,
  rules_applied jsonb
);
comment on type app.priced_order is
  'The lines of an order as in priced_lines, what it costs (IDR) and promises (points), and the '
  'rules that decide it. Flat: each access to a composite in a composite takes it apart again';
