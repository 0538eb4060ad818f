-- Phase 1, step 2 (M-7.1-2): stock of each product.

-- Every order updates a row's reservation: room in the page keeps these updates heap-only, and few
-- rows in a page keep what each update prunes there short.
create table app.inventory (
  id uuid primary key default app.uuid_v7(),
  product_id uuid not null constraint inventory_product_id_key unique
  constraint inventory_product_id_fkey references app.products (id) on delete cascade,
  erp_stock int not null default 0,
  safety_buffer app.whole_number not null default 0,
  reserved app.whole_number not null default 0,
  display_stock int not null
  generated always as (greatest(0, erp_stock - safety_buffer - reserved)) stored,
  last_sync_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 20);
comment on table app.inventory is
  'Stock of each product, one row from its creation on: the ERP''s stock less the safety buffer '
  'and the units reserved for live orders';
comment on column app.inventory.erp_stock is
  'Units in the ERP at its last report; may be negative. With config erp.kind none, the units that '
  'headquarters counted, less those shipped since';
comment on column app.inventory.safety_buffer is 'Units that are never sold through the hub';
comment on column app.inventory.reserved is
  'Units of live orders that the ERP has not acknowledged yet; kept by the transitions of orders';
comment on column app.inventory.display_stock is
  'Units that can be ordered: max(0, erp_stock - safety_buffer - reserved)';
comment on column app.inventory.last_sync_at is 'When the ERP last reported this product''s stock';
comment on column app.inventory.updated_at is
  'When headquarters last changed the row, or with erp.kind none a shipment; not reservations';
