-- Prices: what a unit costs, and what the lines of an order come to.

create function app.max_quantity() returns int language sql immutable
as $$ select 100000 $$;
comment on function app.max_quantity() is 'Most units of one product in an order';

create function app.max_items() returns int language sql immutable
as $$ select 5000 $$;
comment on function app.max_items() is 'Most items in a call; one product may come more than once';

-- The text of a list in the usual form shows that nothing is wrong with it, cheaper than a look at
-- each item. jsonb writes the keys in this order and with these spaces; SKUs with a quotation mark,
-- and 2.0 for 2, take the longer way.
create function app.have_usual_form(p_items jsonb) returns boolean language sql stable
as $$
  select p_items::text ~ '^\[(?:\{"sku": "[^"\\]*", "quantity": [1-9][0-9]{0,4}\}(?:, |\]$))+$'
    and jsonb_array_length(p_items) <= app.max_items()
$$;
comment on function app.have_usual_form(jsonb) is
  'True if the text of these items shows that nothing is wrong with them';

create function app.check_items(p_items jsonb) returns void
language plpgsql stable
as $$
begin
  if app.have_usual_form(p_items) is not true then
    perform app.check_each_item(p_items);
  end if;
end $$;
comment on function app.check_items(jsonb) is
  'Raises INVALID_ITEMS or TOO_MANY_LINES unless the items have the promised form';

create function app.check_each_item(p_items jsonb) returns void
language plpgsql stable
as $$
declare
  v_valid_item constant jsonpath := 'strict $[*] ? (@.sku.type() == "string" && @.quantity >= 1'
    ' && @.quantity <= $max && @.quantity.floor() == @.quantity)'::jsonpath;
  v_limits constant jsonb := ('{"max":' || app.max_quantity()::text || '}')::jsonb;
  v_line bigint;
begin
  if jsonb_typeof(p_items) is distinct from 'array' then
    perform app.fail('INVALID_ITEMS', 'items is not an array');
  elsif jsonb_array_length(p_items) not between 1 and app.max_items() then
    perform app.fail(
      case jsonb_array_length(p_items) when 0 then 'INVALID_ITEMS' else 'TOO_MANY_LINES' end,
      format('items has %s lines', jsonb_array_length(p_items)));
  elsif jsonb_array_length(jsonb_path_query_array(p_items, v_valid_item, v_limits, silent => true))
    < jsonb_array_length(p_items)
  then
    select min(i.line) into v_line
    from jsonb_array_elements(p_items) with ordinality as i (item, line)
    where not jsonb_path_exists(
      jsonb_build_array(i.item), v_valid_item, v_limits, silent => true);
    perform app.fail('INVALID_ITEMS', format('line %s', v_line));
  -- Each item has both keys: more values than two an item are keys that the hub would ignore.
  elsif jsonb_array_length(jsonb_path_query_array(p_items, 'strict $[*].*'))
    > 2 * jsonb_array_length(p_items)
  then
    perform app.fail('INVALID_ITEMS', app.unknown_item_key(p_items));
  end if;
end $$;
comment on function app.check_each_item(jsonb) is
  'As check_items, by looking at each item: the judge of what is not in the usual form';

create function app.unknown_item_key(p_items jsonb) returns text language plpgsql stable
as $$
begin
  return (
    select format('line %s: unknown key %s', i.line, to_json(left(k.key, 60)))
    from jsonb_array_elements(p_items) with ordinality as i (item, line),
      jsonb_object_keys(i.item) as k (key)
    where k.key not in ('sku', 'quantity')
    order by i.line, k.key limit 1
  );
end $$;
comment on function app.unknown_item_key(jsonb) is
  'The first key of these items that is neither sku nor quantity, with its line';

-- The lines of an order at the tier's prices. Adds up lines of one SKU: stock and quantity discount
-- apply to their sum.
create function app.price_lines(p_items jsonb, p_tier app.tier_enum, p_max_lines int)
returns app.priced_lines language plpgsql stable
as $$
declare
  v_lines app.priced_lines;
begin
  -- As check_items does, without a call that each order would pay for.
  if app.have_usual_form(p_items) is not true then
    perform app.check_each_item(p_items);
  end if;
  -- Sub-queries that return one row each, so that the planner looks up every product and price by
  -- its index, whatever the statistics and random_page_cost.
  select
    array_agg(w.product_id), array_agg(w.quantity::int), array_agg(w.price),
    array_agg(w.unit_price),
    sum(w.quantity * w.price), sum(w.quantity * w.unit_price)
  into v_lines
  from (
    select
      i.product_id, i.quantity, coalesce(t.price, i.base_price) as price,
      case
        when i.quantity >= t.min_qty_discount then t.discount_price
        else coalesce(t.price, i.base_price)
      end as unit_price
    from (
      select
        p.id as product_id, p.base_price, sum((r.item -> 'quantity')::int)::numeric as quantity
      from jsonb_array_elements(p_items) as r (item)
      left join lateral (
        select q.id, q.base_price from app.products as q
        where q.sku = r.item ->> 'sku' and q.is_active limit 1
      ) as p on true
      group by p.id, p.base_price
    ) as i
    left join lateral (
      select c.price, c.min_qty_discount, c.discount_price from app.tier_prices as c
      where c.product_id = i.product_id and c.tier = p_tier
        and c.effective_from <= now() and (c.effective_until > now() or c.effective_until is null)
      order by c.effective_from desc limit 1
    ) as t on true
    order by i.product_id
  ) as w;
  if array_position(v_lines.product_ids, null) is not null then
    perform app.fail('UNKNOWN_SKU', app.unknown_skus(p_items));
  elsif app.max_quantity() < any (v_lines.quantities) then
    perform app.fail('INVALID_ITEMS',
      format('one product comes more than %s times', app.max_quantity()));
  elsif cardinality(v_lines.product_ids) > p_max_lines then
    perform app.fail('TOO_MANY_LINES', format('%s products, at most %s',
      cardinality(v_lines.product_ids), p_max_lines));
  elsif v_lines.subtotal >= app.amount_limit() then
    perform app.fail('INVALID_ITEMS', 'The total is beyond 9,999,999,999,999.99',
      'Split the order');
  end if;
  return v_lines;
end $$;
comment on function app.price_lines(jsonb, app.tier_enum, int) is
  'The lines of an order at the prices in force, ordered by product id; raises INVALID_ITEMS, '
  'TOO_MANY_LINES, UNKNOWN_SKU';

create function app.unknown_skus(p_items jsonb) returns text language plpgsql stable
as $$
begin
  return (
    select string_agg(left(u.sku, 64), ', ' order by u.sku)
    from (
      select distinct r.sku from jsonb_to_recordset(p_items) as r (sku text)
      where not exists (select from app.products as p where p.sku = r.sku and p.is_active)
      order by r.sku limit 20
    ) as u
  );
end $$;
comment on function app.unknown_skus(jsonb) is
  'The first 20 SKUs of these items that are no active product';

-- Orders keep the prices that they were submitted at; the schedule says which these were. An
-- unchanged row of an upsert is no change.
create function app.tg_tier_prices__guard() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' then
    if old.effective_from <= now() then
      perform app.fail('PRICE_IN_FORCE', app.price_period(old), 'End the period instead');
    end if;
    return old;
  elsif old.effective_from > now() and new.effective_from >= now() then
    return new;
  elsif old.effective_until <= now() then
    perform app.fail('PRICE_IN_FORCE', app.price_period(old) || ' has ended',
      'Enter a new period instead');
  elsif (
    new.product_id, new.tier, new.price, new.min_qty_discount, new.discount_price,
    new.effective_from
  ) is distinct from (
    old.product_id, old.tier, old.price, old.min_qty_discount, old.discount_price,
    old.effective_from
  ) then
    perform app.fail('PRICE_IN_FORCE', app.price_period(old),
      'End the period and enter a new one');
  elsif new.effective_until < now() then
    perform app.fail('PRICE_IN_FORCE', 'effective_until is in the past',
      'End the period now or later; "now" is accepted as a time');
  end if;
  return new;
end $$;
create trigger _100_guard_update before update of
  product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until
on app.tier_prices
for each row when (
  (
    new.product_id, new.tier, new.price, new.min_qty_discount, new.discount_price,
    new.effective_from, new.effective_until
  ) is distinct from (
    old.product_id, old.tier, old.price, old.min_qty_discount, old.discount_price,
    old.effective_from, old.effective_until
  )
)
execute function app.tg_tier_prices__guard();
create trigger _100_guard_delete before delete on app.tier_prices
for each row execute function app.tg_tier_prices__guard();

create function app.tg_tier_prices__guard_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.fail('PRICE_IN_FORCE', app.price_period(new) || ' has ended before it is entered',
    'Leave out effective_until, or choose one that is ahead');
  return null;
end $$;
create trigger _100_guard_insert after insert on app.tier_prices
for each row when (
  new.effective_until <= now() and current_user in ('admin', 'superadmin')
)
execute function app.tg_tier_prices__guard_insert();

create function app.price_period(p_price app.tier_prices) returns text language sql stable
as $$
  select format('%s from %s', p_price.tier,
    to_char(p_price.effective_from at time zone 'Asia/Jakarta', 'YYYY-MM-DD HH24:MI "WIB"'))
$$;
comment on function app.price_period(app.tier_prices) is
  'Tier and start of a period, for error messages';

create trigger _900_touch before update on app.tier_prices
for each row execute function app.tg_touch_updated_at();
