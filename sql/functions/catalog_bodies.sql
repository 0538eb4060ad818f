-- The catalogue as one document for each price list, as caches and pages read it. What a document
-- is made of is a view, so that a test finds the tables whose changes raise its version.

create view app.catalogue_documents with (security_invoker = true) as
select
  l.price_list,
  json_build_object(
    'price_list', l.price_list,
    'version', app.cache_version('catalogue'),
    'brands', (
      select coalesce(json_agg(x), '[]')
      from (
        select b.id, b.name, b.logo_url, b.display_order, b.is_active
        from app.brands as b order by b.display_order, b.name
      ) as x
    ),
    'categories', (
      select coalesce(json_agg(x), '[]')
      from (
        select c.id, c.name, c.slug, c.parent_id, c.display_order
        from app.categories as c order by c.display_order, c.name, c.id
      ) as x
    ),
    'products', (
      select coalesce(json_agg(x), '[]')
      from (
        select
          p.id, p.sku, p.name, p.description, p.brand_id, p.category_id,
          coalesce(t.price, p.base_price) as price, t.min_qty_discount, t.discount_price,
          p.retail_price, p.image_url
        from app.products as p
        left join lateral (
          select q.price, q.min_qty_discount, q.discount_price from app.tier_prices as q
          where q.product_id = p.id and q.tier = l.tier
            and q.effective_from <= now()
            and (q.effective_until > now() or q.effective_until is null)
          order by q.effective_from desc limit 1
        ) as t on true
        -- Withdrawn products are shown to those only who look at what they once bought.
        where p.is_active
        order by p.sku
      ) as x
    )
  ) as body
from (
  select e.tier::text as price_list, e.tier from unnest(enum_range(null::app.tier_enum)) as e (tier)
  union all
  select 'BASE' as price_list, null as tier
) as l;
comment on view app.catalogue_documents is
  'The catalogue of each price list as it is now: those of the tiers, and BASE for other roles';

create function app.price_list(p_role text, p_subject_id uuid) returns text
language plpgsql stable
as $$
begin
  return case
    when p_role = 'partner' then (
      select p.tier::text from app.partners as p where p.id = p_subject_id)
    when p_role in ('agent', 'admin', 'superadmin', 'subdist') then 'BASE'
  end;
end $$;
comment on function app.price_list(text, uuid) is
  'The price list that a caller sees: the partner''s tier, BASE for staff and sub-distributors, '
  'null for roles that see no products';

-- Prices begin and end without a write. A state names a version and the last moment at which any
-- price began or ended, so two equal states have the same contents, whatever the clock of who
-- compares them.
create function app.catalogue_state(
  out version bigint, out state text, out expires_at timestamptz
)
language plpgsql stable
as $$
declare
  v_since timestamptz := greatest(
    (select max(t.effective_from) from app.tier_prices as t where t.effective_from <= now()),
    (select max(t.effective_until) from app.tier_prices as t where t.effective_until <= now()));
begin
  version := app.cache_version('catalogue');
  state := version || '-' || coalesce(floor(extract(epoch from v_since) * 1000000)::bigint, 0);
  expires_at := least(
    (select min(t.effective_from) from app.tier_prices as t where t.effective_from > now()),
    (select min(t.effective_until) from app.tier_prices as t where t.effective_until > now()));
end $$;
comment on function app.catalogue_state() is
  'Version of the catalogue, its state (the same contents have the same state), and the next '
  'moment at which a price begins or ends, null if none does';

create function app.catalogue_body(p_price_list text, p_state text) returns json
language plpgsql stable
as $$
begin
  return coalesce(
    (select b.body from app.catalogue_bodies as b
      where b.price_list = p_price_list and b.state = p_state),
    (select d.body from app.catalogue_documents as d where d.price_list = p_price_list));
end $$;
comment on function app.catalogue_body(text, text) is
  'The catalogue of a price list: stored if there is one of this state, otherwise built. The state '
  'must be that of the same snapshot';

-- STABLE, so that state and body come from the snapshot of one statement.
create function app.catalogue() returns json language plpgsql stable
as $$
declare
  v_price_list constant text := app.price_list(auth.caller_role(), auth.current_user_id());
  v_state constant text := (app.catalogue_state()).state;
begin
  if v_price_list is null then
    perform app.fail('NOT_ALLOWED', 'Only partners, sub-distributors and staff see products');
  end if;
  if app.is_not_modified(format('"%s-%s"', v_price_list, v_state)) then
    return null;
  end if;
  return app.catalogue_body(v_price_list, v_state);
end $$;
comment on function app.catalogue() is
  'The catalogue at the caller''s prices, with its ETag; null with status 304 if they have it';

-- The four functions of the role cache.

create function app.cache_state(callers jsonb default '[]') returns json
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_max_callers constant int := 1000;
  v_catalogue record;
  v_configs constant bigint := app.cache_version('configs');
  v_answers json;
begin
  if jsonb_typeof(callers) is distinct from 'array'
    or jsonb_path_exists(callers, 'strict $[*] ? (@.type() <> "object")')
  then
    perform app.fail('INVALID_ARGUMENT', 'callers must be an array of claims');
  elsif jsonb_array_length(callers) > v_max_callers then
    perform app.fail('INVALID_ARGUMENT', format('At most %s callers', v_max_callers));
  end if;
  v_catalogue := app.catalogue_state();
  select json_agg(app.cache_caller(c.claims) order by c.position) into v_answers
  from jsonb_array_elements(callers) with ordinality as c (claims, position);
  return json_build_object(
    'read_at', now(),
    'catalogue', json_build_object(
      'version', v_catalogue.version, 'state', v_catalogue.state,
      'expires_at', v_catalogue.expires_at),
    'configs', json_build_object('version', v_configs, 'state', v_configs::text),
    'stock_seconds', app.config_int('cache.stock_seconds'),
    'callers', coalesce(v_answers, '[]'));
end $$;
comment on function app.cache_state(jsonb) is
  'The state of each family of cached answers, and for the claims of each caller the price list '
  'that they see or the error with which the gateway would refuse them. Raises INVALID_ARGUMENT';

create function app.cache_caller(p_claims jsonb) returns json language plpgsql stable
as $$
declare
  v_role constant text := coalesce(p_claims ->> 'role', 'anon');
  v_refusal auth.refusal;
  v_price_list text;
begin
  if v_role = 'anon' then
    v_refusal.code := 'UNAUTHENTICATED';
  else
    v_refusal := auth.refusal_of(v_role, p_claims);
  end if;
  if v_refusal.code is null then
    v_price_list := app.price_list(v_role, auth.claimed_uuid(p_claims ->> 'sub'));
    if v_price_list is not null then
      return json_build_object('price_list', v_price_list);
    end if;
    v_refusal.code := 'NOT_ALLOWED';
  end if;
  return (
    select json_build_object(
      'status', e.http_status, 'code', e.code, 'message', e.message,
      'details', v_refusal.details, 'hint', coalesce(v_refusal.hint, e.hint))
    from app.error_catalog() as e where e.code = v_refusal.code
  );
end $$;
comment on function app.cache_caller(jsonb) is
  'The price list that a caller with these claims sees, or why they are refused, as an error with '
  'its HTTP status';

create function app.cache_catalogue(price_list text) returns json
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record;
  v_body json;
begin
  v_state := app.catalogue_state();
  v_body := app.catalogue_body(price_list, v_state.state);
  if v_body is null then
    perform app.fail('INVALID_ARGUMENT', 'price_list must be a tier or BASE');
  end if;
  return json_build_object(
    'price_list', price_list, 'version', v_state.version, 'state', v_state.state,
    'etag', format('"%s-%s"', price_list, v_state.state), 'read_at', now(),
    'expires_at', v_state.expires_at, 'body', v_body);
end $$;
comment on function app.cache_catalogue(text) is
  'The catalogue of a price list with its state, of one snapshot. Raises INVALID_ARGUMENT';

create function app.cache_configs() returns json
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_version constant bigint := app.cache_version('configs');
begin
  return json_build_object(
    'version', v_version, 'state', v_version::text, 'etag', format('"%s"', v_version),
    'read_at', now(), 'body', (select d.body from app.config_document as d));
end $$;
comment on function app.cache_configs() is
  'The configs that frontends read with their state, of one snapshot';

-- No version: a write for each order would make orders wait for each other. Readings are served
-- for config cache.stock_seconds instead.
create function app.cache_stock() returns json
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_stale_before constant timestamptz := app.stock_stale_before();
begin
  return json_build_object(
    'read_at', now(), 'stock_seconds', app.config_int('cache.stock_seconds'),
    'body', (
      select coalesce(json_object_agg(p.id, json_build_object(
        'display_stock', coalesce(s.display_stock, 0),
        'stock_stale', coalesce(s.last_sync_at < v_stale_before, true))), '{}')
      from app.products as p left join app.inventory as s on s.product_id = p.id
      where p.is_active
    ));
end $$;
comment on function app.cache_stock() is
  'What can be ordered of each active product, as of read_at, and for how many seconds it may be '
  'served';

-- One statement for each price list, so that the state is that of the body's snapshot. Writers do
-- not wait for it: until it has run, requests build their own.
create function jobs.store_catalogue()
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_price_list text;
  v_count bigint := 0;
  v_rows bigint;
begin
  for v_price_list in select d.price_list from app.catalogue_documents as d order by 1 loop
    insert into app.catalogue_bodies as b (price_list, state, body)
    select d.price_list, s.state, d.body
    from app.catalogue_state() as s
    join app.catalogue_documents as d on d.price_list = v_price_list
    where not exists (
      select from app.catalogue_bodies as c
      where c.price_list = v_price_list and c.state = s.state
    )
    on conflict (price_list) do update set state = excluded.state, body = excluded.body;
    get diagnostics v_rows = row_count;
    v_count := v_count + v_rows;
  end loop;
  return jobs.record_run('catalogue-store', v_started_at, v_count);
end $$;
comment on function jobs.store_catalogue() is
  'Stores the catalogue of each price list whose state has changed; returns how many';
