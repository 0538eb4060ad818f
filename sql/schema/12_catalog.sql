-- Phase 1, steps 1 and 2 (M-7.1-1, M-7.1-2): brands, categories, products.

create table app.brands (
  id uuid primary key default app.uuid_v7(),
  name app.label not null constraint brands_name_key unique,
  logo_url app.url,
  display_order int not null default 0,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table app.brands is 'Cosmetics brands, listed by display_order, then name [pii: none]';

create table app.categories (
  id uuid primary key default app.uuid_v7(),
  name app.label not null,
  slug varchar(100) not null constraint categories_slug_key unique
  constraint categories_slug_check check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  parent_id uuid
  constraint categories_parent_id_fkey references app.categories (id),
  display_order int not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint categories_parent_check check (parent_id <> id)
);
create index categories_parent_idx on app.categories (parent_id);
comment on table app.categories is 'Product categories as a tree [pii: none]';
comment on column app.categories.slug is
  'Name in URLs: lower-case letters, digits and single hyphens';

create table app.products (
  id uuid primary key default app.uuid_v7(),
  sku varchar(64) not null constraint idx_products_sku unique
  constraint products_sku_check check (sku = btrim(sku) and sku <> ''),
  name app.label not null,
  description text,
  brand_id uuid constraint products_brand_id_fkey references app.brands (id),
  category_id uuid
  constraint products_category_id_fkey references app.categories (id),
  base_price numeric(15, 2) not null
  constraint products_base_price_check check (base_price between 0 and 9999999999999.99),
  retail_price numeric(15, 2)
  constraint products_retail_price_check check (retail_price between 0 and 9999999999999.99),
  image_url app.url,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  is_withdrawn boolean not null default false
);
create index idx_products_brand on app.products (brand_id);
create index products_category_idx on app.products (category_id);
create index products_name_idx on app.products (name);
create index products_search_idx on app.products
using gin (name extensions.gin_trgm_ops, sku extensions.gin_trgm_ops);
comment on table app.products is
  'Products that the distributor sells. Their source is the ERP; with config erp.kind none, '
  'headquarters [pii: none]';
comment on column app.products.sku is 'Stock keeping unit: the ERP''s key of the product';
comment on column app.products.base_price is
  'IDR per unit, charged when the partner''s tier has no price in force';
comment on column app.products.retail_price is 'IDR per unit: recommended price for end customers';
comment on column app.products.is_active is 'False: cannot be ordered';
comment on column app.products.is_withdrawn is
  'True: headquarters withdrew the product, which the ERP does not undo; follows is_active when '
  'headquarters changes it';

-- What a copy of the catalogue or of the configs was made from, so that caches outside of the
-- database know when a copy is out of date (M-6.1-1).
create table app.cache_versions (
  family text primary key
  constraint cache_versions_family_check check (family in ('catalogue', 'configs')),
  version bigint not null default floor(extract(epoch from clock_timestamp()) * 1000000)
  constraint cache_versions_version_check check (version > 0)
);
insert into app.cache_versions (family) values ('catalogue'), ('configs');
comment on table app.cache_versions is
  'Version of each family of cached answers: the catalogue, and the configs that frontends read '
  '[pii: none]';
comment on column app.cache_versions.version is
  'Greater after each transaction that changed the family. Microseconds since 1970, so that a '
  'database restored to an earlier state never reuses a version for other contents';

-- Unlogged: a row lives for a part of its transaction.
create unlogged table app.cache_changes (
  transaction_id xid8,
  family text constraint cache_changes_family_check check (family in ('catalogue', 'configs')),
  primary key (transaction_id, family)
);
-- Here, because a migration that changes configs leaves rows whose trigger is pending.
alter table app.cache_changes enable row level security;
comment on table app.cache_changes is
  'Families that a running transaction has changed; it raises their versions when it commits '
  '[pii: none]';

create table app.catalogue_bodies (
  price_list text primary key,
  state text not null,
  body json not null
);
-- A body is read whole: compressing it costs more than its pages.
alter table app.catalogue_bodies alter column body set storage external;
comment on table app.catalogue_bodies is
  'The catalogue of each price list as of its state, so that requests need not build it '
  '[pii: none]';
