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

create view api.my_contacts with (security_invoker = true) as
select c.id, c.role, c.name, c.phone from app.my_contacts() as c;
comment on view api.my_contacts is
  'Who serves the calling partner: name and number of sub-distributors and sales agents';
comment on column api.my_contacts.role is 'subdist or agent';

create function api.update_profile(
  address text default null, phone text default null, salon_type text default null,
  chair_count int default null, specialization text default null
)
returns api.me
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_me api.me;
begin
  perform app.update_profile(update_profile.address, update_profile.phone,
    update_profile.salon_type, update_profile.chair_count, update_profile.specialization);
  select m.* into strict v_me from api.me as m;
  return v_me;
end $$;
comment on function api.update_profile(text, text, text, int, text) is
$$Change the calling partner's own address, phone and profile
What is not given stays as it is; an empty text empties its field.
salon_type is BARBER, BRIDAL, UNISEX or OTHER. Not possible in shadow mode.
Errors: INVALID_ARGUMENT 400, NOT_ALLOWED 403, PHONE_IN_USE 409, INVALID_PHONE 422.$$;

grant execute on function app.my_contacts() to partner;
grant select on api.my_contacts to partner;
grant execute on function api.update_profile(text, text, text, int, text) to partner;
