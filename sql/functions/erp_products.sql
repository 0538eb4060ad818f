-- Products and base prices from the ERP. Tier prices are maintained in the hub.

create function app.product_row_refusal(p_row jsonb)
returns text language sql immutable
as $$
  select case
    when btrim(p_row ->> 'set_aside') <> '' then btrim(p_row ->> 'set_aside')
    when btrim(p_row ->> 'sku') = '' then 'sku is blank'
    when length(btrim(p_row ->> 'sku')) > 64 then 'sku is longer than 64 characters'
    when btrim(p_row ->> 'name') = '' then 'name is blank'
    when length(p_row ->> 'name') > 255 then 'name is longer than 255 characters'
    when (p_row ->> 'base_price')::numeric not between 0 and 9999999999999
      then 'base_price is not from 0 to 9999999999999'
    when (p_row ->> 'base_price')::numeric = 0
      and not coalesce((p_row ->> 'is_free')::boolean, false)
      then 'base_price is 0: set is_free if that is intended'
    when (p_row ->> 'retail_price')::numeric not between 0 and 9999999999999
      then 'retail_price is not from 0 to 9999999999999'
  end
$$;
comment on function app.product_row_refusal(jsonb) is
  'Why a row is not a valid product; null if it is valid';

create function app.erp_apply_products(p_products jsonb, p_stream text, p_cursor jsonb)
returns json language plpgsql volatile
as $$
declare
  v_stream text;
  v_skus text[];
  v_rows jsonb[];
  v_refused_skus text[];
  v_refused jsonb[];
  v_reasons text[];
  v_applied int := 0;
begin
  v_stream := app.require_stream(p_stream);
  perform app.require_set('products', p_products, 10000);
  if exists (
    select from jsonb_array_elements(p_products) as r
    where jsonb_typeof(r -> 'sku') is distinct from 'string'
      or jsonb_typeof(r -> 'name') is distinct from 'string'
      or jsonb_typeof(r -> 'base_price') is distinct from 'number'
      or coalesce(jsonb_typeof(r -> 'retail_price'), 'null') not in ('number', 'null')
      or coalesce(jsonb_typeof(r -> 'is_active'), 'null') not in ('boolean', 'null')
      or coalesce(jsonb_typeof(r -> 'is_free'), 'null') not in ('boolean', 'null')
      or coalesce(jsonb_typeof(r -> 'set_aside'), 'null') not in ('string', 'null')
  ) then
    perform app.fail('INVALID_ARGUMENT',
      'products must be [{"sku", "name", "base_price", "retail_price", "description", "brand",'
      ' "category", "is_active", "is_free", "set_aside"}, ...]');
  end if;
  -- If a SKU occurs twice, the last row counts.
  select
    array_agg(k.sku) filter (where k.reason is null),
    array_agg(k.value) filter (where k.reason is null),
    array_agg(k.sku) filter (where k.reason is not null),
    array_agg(k.value) filter (where k.reason is not null),
    array_agg(k.reason) filter (where k.reason is not null)
  into v_skus, v_rows, v_refused_skus, v_refused, v_reasons
  from (
    select distinct on (btrim(e.value ->> 'sku'))
      btrim(e.value ->> 'sku') as sku, e.value, app.product_row_refusal(e.value) as reason
    from jsonb_array_elements(p_products) with ordinality as e (value, ord)
    order by btrim(e.value ->> 'sku'), e.ord desc
  ) as k;

  perform app.lock_products();
  if v_skus is not null then
    insert into app.brands (name)
    select distinct left(btrim(r ->> 'brand'), 255) from unnest(v_rows) as r
    where btrim(r ->> 'brand') <> ''
    order by 1
    on conflict (name) do nothing;
    insert into app.products as p (
      sku, name, description, brand_id, category_id, base_price, retail_price, is_active
    )
    select
      e.sku, e.value ->> 'name', e.value ->> 'description', b.id, c.id,
      (e.value ->> 'base_price')::numeric, (e.value ->> 'retail_price')::numeric,
      coalesce((e.value ->> 'is_active')::boolean, true)
    from unnest(v_skus, v_rows) as e (sku, value)
    left join app.brands as b on b.name = left(btrim(e.value ->> 'brand'), 255)
    left join app.categories as c on c.slug = e.value ->> 'category'
    order by e.sku
    on conflict (sku) do update set
      name = excluded.name, description = coalesce(excluded.description, p.description),
      brand_id = coalesce(excluded.brand_id, p.brand_id),
      category_id = coalesce(excluded.category_id, p.category_id),
      base_price = excluded.base_price,
      retail_price = coalesce(excluded.retail_price, p.retail_price),
      is_active = excluded.is_active and not p.is_withdrawn
    where (
      p.name, p.description, p.brand_id, p.category_id, p.base_price, p.retail_price, p.is_active
    ) is distinct from (
      excluded.name, coalesce(excluded.description, p.description),
      coalesce(excluded.brand_id, p.brand_id), coalesce(excluded.category_id, p.category_id),
      excluded.base_price, coalesce(excluded.retail_price, p.retail_price),
      excluded.is_active and not p.is_withdrawn
    );
    get diagnostics v_applied = row_count;
    delete from app.erp_quarantine as a where a.stream = v_stream and a.key = any (v_skus);
    perform app.apply_quarantined_levels(v_skus);
  end if;
  if v_refused is not null then
    perform app.quarantine_rows(v_stream, v_refused_skus, v_refused, v_reasons, now());
  end if;
  perform app.store_cursor(v_stream, p_cursor, jsonb_array_length(p_products));
  return json_build_object('applied', v_applied, 'set_aside', coalesce((
    select json_agg(json_build_object('sku', s.sku, 'reason', s.reason) order by s.sku)
    from unnest(v_refused_skus, v_reasons) as s (sku, reason)
  ), '[]'));
end $$;
comment on function app.erp_apply_products(jsonb, text, jsonb) is
  'Inserts or updates products by SKU, and applies stock levels that were quarantined for them; '
  'returns how many products changed, and the rows that were quarantined';
