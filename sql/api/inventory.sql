-- Stock as headquarters maintains it; products show what can be ordered.

create view api.inventory with (security_invoker = true) as
select
  s.id, s.product_id, s.erp_stock, s.safety_buffer, s.reserved, s.display_stock, s.last_sync_at,
  s.created_at, s.updated_at
from app.inventory as s;
comment on view api.inventory is
$$Stock of each product: on hand, held back, reserved, and what can be ordered
Headquarters writes safety_buffer, and with config erp.kind none also erp_stock; upsert by
product_id. Every product has its row from the moment it is created.
Errors: ERP_MAINTAINED 409.$$;
comment on column api.inventory.erp_stock is
  'Units in the ERP, or those that headquarters counted, less those shipped since';
comment on column api.inventory.safety_buffer is 'Units that are never sold through the hub';
comment on column api.inventory.reserved is 'Units of live orders';
comment on column api.inventory.display_stock is
  'Units that can be ordered: max(0, erp_stock - safety_buffer - reserved)';
comment on column api.inventory.updated_at is
  'Send it back as a filter (updated_at=eq....) to overwrite no one';

grant select on api.inventory to admin;
grant insert (id, product_id, safety_buffer, erp_stock),
update (id, product_id, safety_buffer, erp_stock) on api.inventory to admin;
