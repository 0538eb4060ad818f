-- Stock.

alter table app.inventory enable row level security;

grant select on app.inventory to admin;
-- stock that can be ordered, not how much the warehouse holds
grant select (id, product_id, display_stock, last_sync_at) on app.inventory
to partner, agent, subdist;

create policy inventory__select on app.inventory for select to partner, agent, admin using (true);

-- Master data (D-5). Each product has its row, so an insert is an upsert by product_id. A trigger
-- refuses erp_stock while an ERP maintains it.
grant insert (id, product_id, safety_buffer, erp_stock),
update (id, product_id, safety_buffer, erp_stock) on app.inventory to admin;

create policy inventory__admin_insert on app.inventory for insert to admin with check (true);
create policy inventory__admin_update on app.inventory for update to admin
using (true) with check (true);
