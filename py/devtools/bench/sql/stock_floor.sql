-- The floor of the stock sync: the same rows in similar tables, for a COPY and one UPDATE.

create schema floor_stock;

create table floor_stock.products (
  id uuid primary key,
  sku varchar(64) not null unique
);
create table floor_stock.inventory (
  id uuid primary key default gen_random_uuid(),
  product_id uuid not null unique references floor_stock.products (id),
  erp_stock int not null default 0,
  safety_buffer int not null default 0 check (safety_buffer >= 0),
  reserved int not null default 0 check (reserved >= 0),
  display_stock int not null
  generated always as (greatest(0, erp_stock - safety_buffer - reserved)) stored,
  last_sync_at timestamptz,
  created_at timestamptz not null default now()
) with (fillfactor = 50);
insert into floor_stock.products (id, sku)
select gen_random_uuid(), 'STOCK-' || i
from generate_series(1, current_setting('bench.products')::int) as i;
insert into floor_stock.inventory (product_id, erp_stock, last_sync_at)
select p.id, 0, now() - interval '1 day' from floor_stock.products as p;
