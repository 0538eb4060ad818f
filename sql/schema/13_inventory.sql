-- Phase 1, step 2: stock of each product.

-- Reservations update this row at every order: half-empty pages keep those updates heap-only.
create table app.inventory (
  id uuid primary key default app.uuid_v7(),
  product_id uuid not null constraint inventory_product_id_key unique
  constraint inventory_product_id_fkey references app.products (id) on delete restrict,
  erp_stock int not null default 0,
  safety_buffer int not null default 0 constraint inventory_safety_buffer_check check (safety_buffer >= 0),
  reserved int not null default 0 constraint inventory_reserved_check check (reserved >= 0),
  display_stock int not null generated always as (greatest(0, erp_stock - safety_buffer - reserved)) stored,
  last_sync_at timestamptz,
  created_at timestamptz not null default now()
) with (fillfactor = 50);
comment on table app.inventory is 'Stock of a product: what the ERP says, less the buffer, less what is promised to live orders';
comment on column app.inventory.erp_stock is 'Units as the ERP last told; may be negative there';
comment on column app.inventory.safety_buffer is 'Units never sold through the hub';
comment on column app.inventory.reserved is 'Units of live orders that the ERP has not yet taken over; kept by triggers on orders and order_items';
comment on column app.inventory.display_stock is 'Units that may be ordered: max(0, erp_stock - safety_buffer - reserved)';
comment on column app.inventory.last_sync_at is 'When the ERP last spoke of this product';
