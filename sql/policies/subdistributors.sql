-- Sub-distributors.

alter table app.sub_distributors enable row level security;

grant select on app.sub_distributors to agent, admin;

create policy sub_distributors__agent_select on app.sub_distributors for select to agent
using (region_id = any (array(select auth.agent_regions())));
create policy sub_distributors__admin_select on app.sub_distributors for select to admin
using (true);

-- Master data (D-5).
grant insert (id, region_id, business_name, whatsapp_number, email, contact_person, status),
update (id, region_id, business_name, whatsapp_number, email, contact_person, status),
delete on app.sub_distributors to admin;

create policy sub_distributors__admin_insert on app.sub_distributors for insert to admin
with check (true);
create policy sub_distributors__admin_update on app.sub_distributors for update to admin
using (true) with check (true);
create policy sub_distributors__admin_delete on app.sub_distributors for delete to admin
using (true);
