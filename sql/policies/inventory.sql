-- Stock.

alter table app.inventory enable row level security;

grant select on app.inventory to admin;
-- stock that can be ordered, not how much the warehouse holds
grant select (id, product_id, display_stock, last_sync_at) on app.inventory
to partner, agent, subdist;

create policy inventory__select on app.inventory for select to partner, agent, admin using (true);
