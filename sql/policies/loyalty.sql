-- Points and rewards.

alter table app.point_queue enable row level security;
alter table app.point_transactions enable row level security;
alter table app.redemption_catalog enable row level security;
alter table app.redemptions enable row level security;

grant select on app.point_transactions, app.redemption_catalog, app.redemptions to partner, admin;

create policy point_transactions__partner_select on app.point_transactions for select to partner
using (partner_id = (select auth.current_user_id()));
create policy point_transactions__admin_select on app.point_transactions for select to admin
using (true);

create policy redemption_catalog__partner_select on app.redemption_catalog for select to partner
using (is_active or (
  select true from app.redemptions as r
  where r.catalog_item_id = redemption_catalog.id
    and r.partner_id = (select auth.current_user_id())
  order by r.partner_id limit 1
));
create policy redemption_catalog__admin_select on app.redemption_catalog for select to admin
using (true);

create policy redemptions__partner_select on app.redemptions for select to partner
using (partner_id = (select auth.current_user_id()));
create policy redemptions__admin_select on app.redemptions for select to admin using (true);

-- Master data (D-5).
grant insert (id, name, description, image_url, points_required, stock_available, is_active),
update (id, name, description, image_url, points_required, stock_available, is_active),
delete on app.redemption_catalog to admin;

create policy redemption_catalog__admin_insert on app.redemption_catalog for insert to admin
with check (true);
create policy redemption_catalog__admin_update on app.redemption_catalog for update to admin
using (true) with check (true);
create policy redemption_catalog__admin_delete on app.redemption_catalog for delete to admin
using (true);
