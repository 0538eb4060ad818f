-- Stock levels of the ERP. The hub can sell the last reading, less the units of orders that the ERP
-- has acknowledged since, less the units reserved for orders that it has not acknowledged.
-- docs/adr/0012-stock-is-never-sold-twice.md explains why no unit is sold twice.

-- Without this lock, a level could be quarantined while its product is being inserted, and never be
-- applied.
create function app.lock_products()
returns void language plpgsql volatile
as $$
begin
  perform pg_advisory_xact_lock(hashtext('app.lock_products'));
end $$;
comment on function app.lock_products() is
  'Serialises the imports of products and of stock levels';

create function app.write_stock_levels(
  p_product_ids uuid[], p_levels int[], p_as_of timestamptz, p_sold_since timestamptz
)
returns bigint language plpgsql volatile
as $$
declare
  v_count bigint;
begin
  perform app.lock_inventory(p_product_ids);
  -- A separate statement after the lock, so that it sees every order acknowledged before the lock.
  with sold as (
    select i.product_id, sum(i.quantity) as units
    from app.orders as o
    join app.order_items as i on i.order_id = o.id
    where o.erp_acknowledged_at >= p_sold_since
    group by i.product_id
  )
  update app.inventory as s set
    erp_stock = l.level - coalesce(sold.units, 0), last_sync_at = p_as_of
  from unnest(p_product_ids, p_levels) as l (product_id, level)
  left join sold on sold.product_id = l.product_id
  where s.product_id = l.product_id and (s.last_sync_at is null or s.last_sync_at <= p_as_of);
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function app.write_stock_levels(uuid[], int[], timestamptz, timestamptz) is
  'Stores levels of a reading, less the units of orders acknowledged since p_sold_since (null: '
  'none); skips products that have a later reading. Returns the number of stored levels';

create function app.erp_apply_stock(
  p_levels jsonb, p_read_at timestamptz, p_stream text, p_cursor jsonb, p_complete boolean
)
returns json language plpgsql volatile
as $$
declare
  v_stream text;
  v_malformed boolean;
  v_skus text[];
  v_quantities numeric[];
  v_ids uuid[];
  v_levels int[];
  v_applied bigint := 0;
  v_unknown text[];
  v_out_of_range text[];
begin
  v_stream := app.require_stream(p_stream);
  perform app.require_set('levels', p_levels, 100000);
  if not p_read_at between '2000-01-01T00:00:00Z' and now() then
    perform app.fail('INVALID_ARGUMENT',
      'read_at must be from the year 2000 on and not in the future');
  end if;
  -- The JSON is parsed once, into arrays.
  select
    bool_or(
      jsonb_typeof(l -> 'sku') is distinct from 'string'
      or jsonb_typeof(l -> 'quantity') is distinct from 'number'),
    array_agg(btrim(l ->> 'sku')),
    array_agg(case
      when jsonb_typeof(l -> 'quantity') = 'number' then (l ->> 'quantity')::numeric
    end)
  into v_malformed, v_skus, v_quantities
  from jsonb_array_elements(p_levels) as l;
  if v_malformed then
    perform app.fail('INVALID_ARGUMENT', 'levels must be [{"sku": "...", "quantity": 12}, ...]');
  end if;

  perform app.lock_products();
  -- If a SKU occurs twice, the last level counts.
  select array_agg(k.id), array_agg(k.level) into v_ids, v_levels
  from (
    select distinct on (p.id) p.id, floor(l.quantity)::int as level
    from unnest(v_skus, v_quantities) with ordinality as l (sku, quantity, ord)
    join app.products as p on p.sku = l.sku
    where abs(l.quantity) <= 1000000000
    order by p.id, l.ord desc
  ) as k;
  if v_ids is not null then
    v_applied := app.write_stock_levels(v_ids, v_levels, coalesce(p_read_at, now()), p_read_at);
    delete from app.erp_quarantine as a
    where a.stream = v_stream
      and exists (select from app.products as p where p.sku = a.key and p.id = any (v_ids));
  end if;

  select
    array_agg(distinct l.sku) filter (where p.id is null),
    array_agg(distinct l.sku) filter (where abs(l.quantity) > 1000000000)
  into v_unknown, v_out_of_range
  from unnest(v_skus, v_quantities) as l (sku, quantity)
  left join app.products as p on p.sku = l.sku
  where p.id is null or abs(l.quantity) > 1000000000;
  if v_unknown is not null or v_out_of_range is not null then
    perform app.quarantine_rows(
      v_stream,
      array_agg(l.sku order by l.ord),
      array_agg(jsonb_build_object('sku', l.sku, 'quantity', case
        when abs(l.quantity) > 1000000000 then l.quantity else floor(l.quantity)
      end) order by l.ord),
      array_agg(case
        when abs(l.quantity) > 1000000000 then 'quantity is not from -1000000000 to 1000000000'
        else 'UNKNOWN_SKU'
      end order by l.ord),
      coalesce(p_read_at, now()))
    from unnest(v_skus, v_quantities) with ordinality as l (sku, quantity, ord)
    where l.sku = any (v_unknown || v_out_of_range);
  end if;

  perform app.store_cursor(v_stream, p_cursor, cardinality(v_skus));
  if p_complete and v_skus is not null then
    perform app.erp_report(v_stream, true, null, false, null);
  end if;
  return json_build_object(
    'applied', v_applied, 'outdated', coalesce(cardinality(v_ids), 0) - v_applied,
    'unknown_skus', coalesce(to_json(v_unknown), '[]'),
    'out_of_range_skus', coalesce(to_json(v_out_of_range), '[]'));
end $$;
comment on function app.erp_apply_stock(jsonb, timestamptz, text, jsonb, boolean) is
  'Imports stock levels read at p_read_at, less reservations and orders acknowledged since; '
  'quarantines levels of unknown SKUs';

create function app.apply_quarantined_levels(p_skus text[])
returns void language plpgsql volatile
as $$
begin
  -- The levels were read before the product existed, so no order has to be subtracted.
  with released as (
    delete from app.erp_quarantine as a where a.key = any (p_skus) and a.reason = 'UNKNOWN_SKU'
    returning a.key, a.as_of, floor((a.payload ->> 'quantity')::numeric)::int as level
  )
  update app.inventory as s set erp_stock = c.level, last_sync_at = c.as_of
  from (
    select distinct on (x.key) x.key, x.as_of, x.level
    from released as x order by x.key, x.as_of desc
  ) as c
  join app.products as p on p.sku = c.key
  where s.product_id = p.id and s.last_sync_at is null;
end $$;
comment on function app.apply_quarantined_levels(text[]) is
  'Applies the stock levels that were quarantined until these products arrived';
