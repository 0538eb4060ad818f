-- Partners. No role is granted password_hash.

alter table app.partners enable row level security;

grant select (
  id, email, phone, business_name, tier, salon_type, chair_count, specialization, region_id,
  credit_limit, credit_used,
  point_balance, is_active, address, created_at, updated_at, deleted_at
) on app.partners to partner, agent, admin;
grant select (id, business_name, phone, address, region_id, deleted_at) on app.partners to subdist;
-- Views of the catalogue look up the caller's tier, which is null for all roles but partner.
grant select (tier) on app.partners to subdist;

-- Why a partner was removed: headquarters only.
-- Only functions use it.
alter table app.partner_former_contacts enable row level security;
alter table app.partner_removals enable row level security;
grant select (id, partner_id, kind, reason, agent_id, created_at) on app.partner_removals to admin;
create policy partner_removals__admin_select on app.partner_removals for select to admin
using (true);

create policy partners__partner_select on app.partners for select to partner
using (id = (select auth.current_user_id()) and deleted_at is null);
create policy partners__agent_select on app.partners for select to agent
using (region_id = any (array(select auth.agent_regions())) and deleted_at is null);
create policy partners__admin_select on app.partners for select to admin using (deleted_at is null);
create policy partners__subdist_select on app.partners for select to subdist
using (
  deleted_at is null
  and (
    select true from app.orders as o
    where o.partner_id = partners.id order by o.partner_id limit 1
  )
);

-- Master data (D-5): credit_used and point_balance follow from ledgers; a password is chosen by the
-- partner; deleting is a call.
grant insert (
  email, phone, business_name, tier, salon_type, chair_count, specialization, region_id,
  credit_limit, is_active, address
), update (
  email, phone, business_name, tier, salon_type, chair_count, specialization, region_id,
  credit_limit, is_active, address
) on app.partners to admin;

create policy partners__admin_insert on app.partners for insert to admin
with check (deleted_at is null);
create policy partners__admin_update on app.partners for update to admin
using (deleted_at is null) with check (deleted_at is null);
