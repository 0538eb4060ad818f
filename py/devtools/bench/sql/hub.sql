-- The hub's side of the benchmarks: 1,000 partners in 50 regions, 1,000 products with a price for
-- each tier, ample stock and credit, and calls like those of the gateway. Runs on a freshly
-- migrated database.

create schema bench;

create function bench.partner_id(p_number int) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8000-' || lpad(p_number::text, 12, '0'))::uuid $$;

create function bench.product_id(p_number int) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8001-' || lpad(p_number::text, 12, '0'))::uuid $$;

-- The first sub-distributor of a town.
create function bench.subdist_id(p_town int) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8002-' || lpad(p_town::text, 12, '0'))::uuid $$;

create function bench.sku(p_number int) returns text language sql immutable
as $$ select 'BENCH-' || p_number $$;

-- One country, ten provinces, fifty towns: routing looks at a town and its ancestors.
with root as (
  insert into app.regions (name, code) values ('Indonesia', 'B') returning id
),
provinces as (
  insert into app.regions (name, code, parent_region_id)
  select 'Province ' || i, 'B-' || i, root.id from root, generate_series(0, 9) as i
  returning id, code
)
insert into app.regions (name, code, parent_region_id)
select 'Town ' || t, 'B-' || t % 10 || '-' || t, p.id
from generate_series(0, 49) as t
join provinces as p on p.code = 'B-' || t % 10;

-- One ACTIVE sub-distributor in each town, and a second one in every tenth town, where routing has
-- to count open orders.
insert into app.sub_distributors (id, region_id, business_name, whatsapp_number)
select
  bench.subdist_id((n - 1) * 1000 + split_part(r.code, '-', 3)::int), r.id,
  'Sub-distributor ' || r.code || '/' || n,
  '+62811' || lpad((n * 100 + split_part(r.code, '-', 3)::int)::text, 7, '0')
from app.regions as r, generate_series(1, 2) as n
where r.name like 'Town %' and (n = 1 or split_part(r.code, '-', 3)::int % 10 = 0);

insert into app.agents (email, password_hash, full_name, phone, role)
values ('admin@bench.test', 'x', 'Bench Admin', '+628119999999', 'ADMIN');

insert into app.partners (
  id, email, phone, password_hash, business_name, tier, region_id, credit_limit, address
)
select
  bench.partner_id(i), 'salon' || i || '@bench.test', '+62813' || lpad(i::text, 7, '0'), 'x',
  'Salon ' || i, (array['SILVER', 'GOLD', 'PLATINUM'])[1 + i % 3]::app.tier_enum, r.id, 1e12,
  'Jalan Bench ' || i
from generate_series(1, 1000) as i
join app.regions as r on r.code = 'B-' || i % 50 % 10 || '-' || i % 50;

insert into app.brands (name) values ('Bench');
insert into app.categories (name, slug) values ('Bench', 'bench');
insert into app.products (id, sku, name, brand_id, category_id, base_price)
select bench.product_id(i), bench.sku(i), 'Shampoo ' || i, b.id, c.id, 50000 + 100 * i
from generate_series(1, 1000) as i, app.brands as b, app.categories as c;

-- Older checkouts, which --compare measures, have no row of stock yet.
insert into app.inventory (product_id, erp_stock, safety_buffer, last_sync_at)
select p.id, 1000000000, 10, now() from app.products as p
on conflict (product_id) do update set
  erp_stock = excluded.erp_stock, safety_buffer = excluded.safety_buffer,
  last_sync_at = excluded.last_sync_at;

-- The quantity discount starts at ten units; the benchmarks order two.
insert into app.tier_prices (
  product_id, tier, price, min_qty_discount, discount_price, effective_from
)
select
  p.id, t.tier, round(p.base_price * t.part, 2), 10, round(p.base_price * t.part * 0.95, 2),
  now() - interval '30 days'
from app.products as p,
  (values ('SILVER'::app.tier_enum, 0.95), ('GOLD', 0.90), ('PLATINUM', 0.85)) as t (tier, part);

-- Sets what PostgREST sets for a request: search_path, role, claims, method, path, headers. The
-- settings end with the transaction. The function is SECURITY INVOKER, so the session keeps the
-- partner's rights after the call.
create function bench.set_request_context(p_partner int, p_role text default 'partner') returns void
language plpgsql volatile
as $$
begin
  perform
    set_config('search_path', '"api", "public"', true),
    set_config('role', p_role, true),
    set_config('request.jwt.claims',
      '{"role":"partner","sub":"' || bench.partner_id(p_partner) || '","exp":4102444800}', true),
    set_config('request.method', 'POST', true),
    set_config('request.path', '/rpc/submit_order', true),
    set_config('request.headers',
      '{"x-forwarded-for":"203.0.113.7","content-type":"application/json"}', true),
    set_config('request.cookies', '{}', true);
end $$;

-- Two units of each product, like the floor. The items are JSON text that is cast to jsonb, as in
-- the gateway.
create function bench.items(p_products int[]) returns jsonb
language plpgsql stable
as $$
begin
  return (
    '[{"sku":"BENCH-' || array_to_string(p_products, '","quantity":2},{"sku":"BENCH-')
    || '","quantity":2}]'
  )::jsonb;
end $$;

create function bench.submit_order(p_partner int, p_products int[]) returns uuid
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(p_partner);
  return (api.submit_order(bench.items(p_products), 0, null, gen_random_uuid()::text)).id;
end $$;

-- With what the gateway adds in the transaction: the request guard, and the JSON of the answer.
create function bench.submit_order_guarded(p_partner int, p_products int[]) returns json
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(p_partner);
  perform auth.request_guard();
  return row_to_json(
    api.submit_order(bench.items(p_products), 0, null, gen_random_uuid()::text));
end $$;

create function bench.guard_request(p_partner int) returns void
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(p_partner);
  perform auth.request_guard();
end $$;

create function bench.submit_long_order(p_partner int, p_first int, p_lines int) returns uuid
language sql volatile
as $$
  select bench.submit_order(
    p_partner, array(select generate_series(p_first, p_first + p_lines - 1)))
$$;

-- The same list twice: as the partner under row security, and as the tables' owner, who bypasses
-- row security, with an explicit condition instead.
create function bench.newest_orders(p_partner int) returns bigint
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(p_partner);
  return (
    select count(o.*) from (
      select * from api.orders as i order by i.created_at desc limit 20
    ) as o
  );
end $$;

create function bench.newest_orders_unsecured(p_partner int) returns bigint
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(p_partner, 'hub_owner');
  return (
    select count(o.*) from (
      select * from api.orders as i
      where i.partner_id = bench.partner_id(p_partner)
      order by i.created_at desc limit 20
    ) as o
  );
end $$;

-- The role in effect, and whether row security applies: a precondition that is checked before
-- anything is measured.
create function bench.request_identity(
  p_partner int, out role_name text, out secured boolean, out foreign_rows bigint,
  out own_rows bigint
)
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(p_partner);
  role_name := current_user;
  secured := row_security_active('app.orders') and row_security_active('app.order_items');
  select
    count(*) filter (where o.partner_id <> bench.partner_id(p_partner)),
    count(*) filter (where o.partner_id = bench.partner_id(p_partner))
  into foreign_rows, own_rows from api.orders as o;
end $$;
