-- Partners.

create view api.partners with (security_invoker = true) as
select
  p.id, p.email, p.phone, p.business_name, p.tier, p.salon_type, p.chair_count, p.specialization,
  p.region_id, p.credit_limit, p.credit_used, p.point_balance, p.is_active, p.address, p.created_at,
  p.updated_at
from app.partners as p;
comment on view api.partners is
$$Partners: all for headquarters, those of their own regions for agents
Headquarters writes all columns but id, credit_used, point_balance and the times. A new partner has
no password until they are invited; deactivating closes their sessions.$$;
comment on column api.partners.credit_used is 'IDR owed and on order';

grant select on api.partners to agent, admin;

grant insert (
  email, phone, business_name, tier, salon_type, chair_count, specialization, region_id,
  credit_limit, is_active, address
),
update (
  email, phone, business_name, tier, salon_type, chair_count, specialization, region_id,
  credit_limit, is_active, address
)
on api.partners to admin;
