-- Partners: the salons that order, and their credit.

-- Takes the claims, so that a call parses them once.
create function app.calling_partner_id(p_claims jsonb)
returns uuid language plpgsql stable
as $$
begin
  if auth.caller_role() <> 'partner' then
    perform app.fail('NOT_ALLOWED', 'Only partners order',
      'Sign in as a partner, or start a shadow session');
  elsif p_claims ->> 'sub' is null then
    perform app.fail('UNAUTHENTICATED');
  end if;
  return (p_claims ->> 'sub')::uuid;
end $$;
comment on function app.calling_partner_id(jsonb) is
  'Id of the partner who calls with these claims; raises NOT_ALLOWED or UNAUTHENTICATED for other '
  'callers';

create function app.calling_partner()
returns app.partner_account language plpgsql stable
as $$
declare
  v_claims constant jsonb := auth.claims();
  v_id uuid;
  v_partner app.partner_account;
begin
  v_id := app.calling_partner_id(v_claims);
  select
    p.id, p.tier, p.region_id, p.credit_limit, p.credit_used, p.point_balance,
    (v_claims #>> '{act,sub}')::uuid
  into v_partner
  from app.partners as p
  where p.id = v_id and p.is_active and p.deleted_at is null;
  if not found then
    perform app.fail('ACCOUNT_INACTIVE');
  elsif v_partner.acting_agent_id is not null then
    perform app.check_shadow_session(v_partner.acting_agent_id, v_id);
  end if;
  return v_partner;
end $$;
comment on function app.calling_partner() is
  'The account of the calling partner; raises ACCOUNT_INACTIVE, and SESSION_CLOSED in a shadow '
  'session that has ended';

-- Reads what calling_partner() reads, in the statement that locks: a second one costs every order.
-- calling_partner() has no lock, because quotes are read-only.
create function app.lock_calling_partner()
returns app.partner_account language plpgsql volatile
as $$
declare
  v_claims constant jsonb := auth.claims();
  v_id uuid;
  v_partner app.partner_account;
begin
  v_id := app.calling_partner_id(v_claims);
  select
    p.id, p.tier, p.region_id, p.credit_limit, p.credit_used, p.point_balance,
    (v_claims #>> '{act,sub}')::uuid
  into v_partner
  from app.partners as p
  where p.id = v_id and p.is_active and p.deleted_at is null
  for no key update;
  if not found then
    perform app.fail('ACCOUNT_INACTIVE');
  elsif v_partner.acting_agent_id is not null then
    perform app.check_shadow_session(v_partner.acting_agent_id, v_id);
  end if;
  return v_partner;
end $$;
comment on function app.lock_calling_partner() is
  'The account of the calling partner, locked until the end of the transaction, so that their '
  'orders and redemptions run one after another; raises ACCOUNT_INACTIVE, SESSION_CLOSED';

create function app.exceeds_credit(p_partner app.partner_account, p_amount numeric)
returns boolean language sql immutable
as $$
  select p_amount > 0 and p_partner.credit_used + p_amount > p_partner.credit_limit
$$;
comment on function app.exceeds_credit(app.partner_account, numeric) is
  'Whether an amount (IDR) would take the partner past their credit limit';

create function app.over_limit_reason(
  p_partner app.partner_account, p_amount numeric, p_max_overdue_days int
)
returns app.over_limit_reason language plpgsql stable
as $$
begin
  if app.exceeds_credit(p_partner, p_amount) then
    return 'CREDIT_LIMIT';
  elsif p_max_overdue_days > 0 and p_amount > 0
    and app.oldest_due_date(p_partner.id) < app.due_before(p_max_overdue_days)
  then
    return 'OVERDUE';
  end if;
  return null;
end $$;
comment on function app.over_limit_reason(app.partner_account, numeric, int) is
  'Why an order of this amount (IDR) has to wait for a release, null when it does not; invoices '
  'are looked at only if they may be overdue for a limited number of days (more than 0)';

-- The lock on the partner makes the orders of one partner run one after another, each checked
-- against the credit that the last one used.
create function app.check_credit(
  p_partner app.partner_account, p_amount numeric, p_over_limit_policy text,
  p_max_overdue_days int
)
returns app.over_limit_reason language plpgsql stable
as $$
declare
  v_reason app.over_limit_reason;
begin
  if p_max_overdue_days = 0 and not app.exceeds_credit(p_partner, p_amount) then
    return null;
  end if;
  v_reason := app.over_limit_reason(p_partner, p_amount, p_max_overdue_days);
  if v_reason = 'CREDIT_LIMIT' and (
    p_over_limit_policy = 'BLOCK' or p_partner.credit_used + p_amount >= app.amount_limit()
  ) then
    perform app.fail('CREDIT_LIMIT_EXCEEDED', format('%s more than the limit of %s',
      app.format_rupiah(p_partner.credit_used + p_amount - p_partner.credit_limit),
      app.format_rupiah(p_partner.credit_limit)));
  elsif v_reason = 'OVERDUE' and p_over_limit_policy = 'BLOCK' then
    perform app.fail('INVOICE_OVERDUE', format('due since %s',
      to_char(app.oldest_due_date(p_partner.id) at time zone 'Asia/Jakarta', 'YYYY-MM-DD')));
  end if;
  return v_reason;
end $$;
comment on function app.check_credit(app.partner_account, numeric, text, int) is
  'Why an order of this amount (IDR) has to wait for a release, null when it does not; raises '
  'CREDIT_LIMIT_EXCEEDED or INVOICE_OVERDUE under policy BLOCK';

create function app.use_credit(p_partner_id uuid, p_amount numeric)
returns void language plpgsql volatile
as $$
begin
  update app.partners as p set credit_used = p.credit_used + p_amount
  where p.id = p_partner_id and p_amount <> 0;
end $$;
comment on function app.use_credit(uuid, numeric) is
  'Adds an amount (IDR, negative to subtract) to the partner''s used credit';

-- What is not given stays as it is; an empty text empties its column.
create function app.update_profile(
  p_address text, p_phone text, p_salon_type text, p_chair_count int, p_specialization text
)
returns void language plpgsql volatile
as $$
declare
  v_max_chairs constant int := 10000;
  v_partner app.partner_account;
  v_address text;
  v_phone text;
  v_salon_type app.salon_type_enum;
  v_specialization text;
begin
  if auth.acting_agent_id() is not null then
    perform app.fail('NOT_ALLOWED', 'Partners change their own profile',
      'Ask headquarters to change it');
  end if;
  v_partner := app.lock_calling_partner();
  v_address := app.optional_text('address', p_address, 500);
  v_phone := app.phone_number('phone', app.optional_text('phone', p_phone, 60));
  v_specialization := app.optional_text('specialization', p_specialization, 255);
  if p_salon_type <> '' and p_salon_type <> all (enum_range(null::app.salon_type_enum)::text[]) then
    perform app.fail('INVALID_ARGUMENT', format('salon_type must be one of %s',
      array_to_string(enum_range(null::app.salon_type_enum), ', ')));
  elsif p_chair_count not between 0 and v_max_chairs then
    perform app.fail('INVALID_ARGUMENT', format('chair_count must be from 0 to %s', v_max_chairs));
  end if;
  v_salon_type := nullif(p_salon_type, '')::app.salon_type_enum;
  if num_nonnulls(p_address, p_phone, p_salon_type, p_chair_count, p_specialization) = 0 then
    return;
  end if;
  begin
    update app.partners as p set
      address = case when p_address is null then p.address else v_address end,
      phone = case when p_phone is null then p.phone else v_phone end,
      salon_type = case when p_salon_type is null then p.salon_type else v_salon_type end,
      chair_count = coalesce(p_chair_count, p.chair_count),
      specialization = case
        when p_specialization is null then p.specialization else v_specialization
      end
    where p.id = v_partner.id;
  exception
    when unique_violation then
      perform app.fail('PHONE_IN_USE', 'phone');
  end;
end $$;
comment on function app.update_profile(text, text, text, int, text) is
  'Changes the calling partner''s own address, phone and profile; raises NOT_ALLOWED, '
  'INVALID_ARGUMENT, INVALID_PHONE, PHONE_IN_USE';

-- The same search as for routing and for texts: the own region first, then those above it.
create function app.my_contacts()
returns table (id uuid, role text, name text, phone text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_region_id uuid;
begin
  if auth.caller_role() = 'partner' then
    select p.region_id into v_region_id
    from app.partners as p
    where p.id = auth.current_user_id() and p.is_active and p.deleted_at is null;
  end if;
  return query
  select s.id, 'subdist', s.business_name::text, s.whatsapp_number::text
  from app.sub_distributors as s
  where s.status = 'ACTIVE' and s.region_id = (
    select r.region_id from app.ancestor_regions(v_region_id) as r
    where exists (
      select from app.sub_distributors as x
      where x.region_id = r.region_id and x.status = 'ACTIVE'
    )
    order by r.distance limit 1
  )
  union all
  select a.id, 'agent', a.full_name::text, a.phone::text
  from app.agents as a
  where a.id = any (app.agents_serving(v_region_id));
end $$;
comment on function app.my_contacts() is
  'Active sub-distributors and sales agents who serve the calling partner, of their region or the '
  'nearest one above it that has any; empty for other callers';

create trigger _100_normalise_phone before insert or update of phone on app.partners
for each row execute function app.tg_normalise_phone();
create trigger _300_close_sessions after update of is_active, deleted_at on app.partners
for each row when (
  old.is_active and old.deleted_at is null and not (new.is_active and new.deleted_at is null)
)
execute function auth.tg_close_sessions();
-- By the columns of the view, because credit and points change with every order: an admin's change
-- fails only if another one came between.
create trigger _900_touch before update of
  email, phone, business_name, tier, salon_type, chair_count, specialization, region_id,
  credit_limit, is_active, address, updated_at
on app.partners
for each row execute function app.tg_touch_updated_at();
