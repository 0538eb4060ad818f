-- The hub's side of the stock sync benchmark: bench.products products with stock, and the call of the ERP.

insert into app.products (sku, name, base_price)
select 'STOCK-' || i, 'Stock ' || i, 1000 from generate_series(1, current_setting('bench.products')::int) as i;
update app.inventory as s set last_sync_at = now() - interval '1 day'
from app.products as p where p.id = s.product_id and p.sku like 'STOCK-%';

create function bench.apply_stock(p_levels text) returns json
language plpgsql volatile
as $$
begin
  perform bench.set_request_context(1, 'erp');
  perform auth.request_guard();
  return api.erp_apply_stock(p_levels::jsonb, now());
end $$;
