-- Points: promised and used at submission, corrected and expired by hand; loyalty_vesting.sql has
-- how they vest. Rewards: redeemed for points, then shipped and delivered, or cancelled.

create function app.point_discount(
  p_points int, p_balance int, p_payable numeric, p_point_value numeric
)
returns numeric language plpgsql stable
as $$
declare
  v_discount numeric := p_points * p_point_value;
begin
  if p_points < 0 then
    perform app.fail('INVALID_ARGUMENT', 'points is negative');
  elsif p_points > greatest(p_balance, 0) then
    perform app.fail('POINTS_INSUFFICIENT', format('the balance is %s points', p_balance));
  elsif v_discount > p_payable then
    perform app.fail('POINTS_EXCEED_TOTAL', format('%s points are worth %s, the order %s',
      p_points, app.format_rupiah(v_discount), app.format_rupiah(p_payable)));
  end if;
  return round(v_discount, 2);
end $$;
comment on function app.point_discount(int, int, numeric, numeric) is
  'IDR that these points pay; raises INVALID_ARGUMENT, POINTS_INSUFFICIENT, POINTS_EXCEED_TOTAL';

create function app.spend_points(p_partner_id uuid, p_order_id uuid, p_points int)
returns void language plpgsql volatile
as $$
begin
  insert into app.point_transactions (partner_id, order_id, type, points, description)
  select p_partner_id, p_order_id, 'REDEEMED', -p_points, o.order_number
  from app.orders as o where o.id = p_order_id;
end $$;
comment on function app.spend_points(uuid, uuid, int) is
  'Books the points that pay for a part of an order';

create function app.return_spent_points(p_order_id uuid)
returns void language plpgsql volatile
as $$
begin
  insert into app.point_transactions (
    partner_id, order_id, type, points, description, created_by
  )
  select
    o.partner_id, o.id, 'ADJUSTED', o.points_used,
    o.order_number || case o.status when 'REJECTED' then ' ditolak' else ' dibatalkan' end,
    auth.current_agent_id()
  from app.orders as o where o.id = p_order_id and o.points_used > 0;
end $$;
comment on function app.return_spent_points(uuid) is
  'Books back the points that a rejected or cancelled order had used';

-- Keeps its specified name (M-6.2-1).
create function app.update_partner_point_balance() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update app.partners as p set point_balance = p.point_balance + new.points
  where p.id = new.partner_id;
  return null;
end $$;
create trigger trg_point_balance after insert on app.point_transactions
for each row execute function app.update_partner_point_balance();

create function app.points_headroom(p_partner_id uuid)
returns bigint language plpgsql stable
as $$
begin
  return (
    select app.max_point_balance() - p.point_balance
      - coalesce((
        select sum(o.points_used) from app.orders as o
        where o.partner_id = p.id and o.points_used > 0
          and o.status in ('SUBMITTED', 'PROCESSING', 'APPROVED')
      ), 0)
      - coalesce((
        select sum(r.points_spent) from app.redemptions as r
        where r.partner_id = p.id and r.status = 'PENDING'
      ), 0)
    from app.partners as p where p.id = p_partner_id
  );
end $$;
comment on function app.points_headroom(uuid) is
  'Points that a partner can still receive without passing app.max_point_balance(), even if all '
  'points that can come back do';

create function app.require_headroom(p_partner_id uuid, p_points int)
returns void language plpgsql stable
as $$
begin
  if p_points > 0 and p_points > app.points_headroom(p_partner_id) then
    perform app.fail('INVALID_ARGUMENT', 'the balance could pass 2,000,000,000',
      'Add fewer points');
  end if;
end $$;
comment on function app.require_headroom(uuid, int) is
  'Raises INVALID_ARGUMENT when the partner''s balance has no room for so many more points';

create function app.adjust_points(
  p_partner_id uuid, p_points int, p_reason text, p_idempotency_key text
)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_reason text;
  v_hash bytea;
  v_balance int;
  v_id uuid;
begin
  v_key := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_reason := app.require_text('reason', p_reason, 500);
  if p_points is null or p_points = 0 or abs(p_points::bigint) > app.max_points() then
    perform app.fail('INVALID_ARGUMENT',
      'points is a whole number other than 0, at most 1,000,000,000');
  end if;
  v_hash := app.request_hash(
    jsonb_build_array('adjust_points', p_partner_id, p_points, v_reason));
  v_id := app.find_result('adjust_points', v_key, v_hash);
  if v_id is not null then
    return v_id;
  end if;
  select p.point_balance into v_balance
  from app.partners as p where p.id = p_partner_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'partner');
  elsif p_points < 0 and v_balance + p_points < 0 then
    perform app.fail('POINTS_INSUFFICIENT', format('the balance is %s points', v_balance));
  end if;
  perform app.require_headroom(p_partner_id, p_points);
  insert into app.point_transactions (partner_id, type, points, description, created_by)
  values (p_partner_id, 'ADJUSTED', p_points, v_reason, auth.current_agent_id())
  returning id into v_id;
  perform app.store_result('adjust_points', v_key, v_hash, v_id);
  return v_id;
end $$;
comment on function app.adjust_points(uuid, int, text, text) is
  'Corrects a balance by hand, never below 0, idempotent by key; returns the transaction''s id. '
  'Raises INVALID_ARGUMENT, NOT_FOUND, POINTS_INSUFFICIENT, IDEMPOTENCY_CONFLICT';

create function app.expire_points(
  p_partner_id uuid, p_points int, p_reason text, p_idempotency_key text
)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_reason text;
  v_hash bytea;
  v_balance int;
  v_id uuid;
begin
  v_key := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_reason := app.require_text('reason', p_reason, 500);
  if p_points is null or p_points not between 1 and app.max_points() then
    perform app.fail('INVALID_ARGUMENT', 'points is a whole number from 1 to 1,000,000,000');
  end if;
  v_hash := app.request_hash(
    jsonb_build_array('expire_points', p_partner_id, p_points, v_reason));
  v_id := app.find_result('expire_points', v_key, v_hash);
  if v_id is not null then
    return v_id;
  end if;
  select p.point_balance into v_balance
  from app.partners as p where p.id = p_partner_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'partner');
  elsif p_points > v_balance then
    perform app.fail('POINTS_INSUFFICIENT', format('the balance is %s points', v_balance));
  end if;
  insert into app.point_transactions (partner_id, type, points, description, created_by)
  values (p_partner_id, 'EXPIRED', -p_points, v_reason, auth.current_agent_id())
  returning id into v_id;
  perform app.store_result('expire_points', v_key, v_hash, v_id);
  return v_id;
end $$;
comment on function app.expire_points(uuid, int, text, text) is
  'Expires points by hand, at most the balance, idempotent by key; returns the transaction''s id. '
  'Raises INVALID_ARGUMENT, NOT_FOUND, POINTS_INSUFFICIENT, IDEMPOTENCY_CONFLICT';

create trigger _100_append_only before update or delete on app.point_transactions
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.point_transactions
for each statement execute function app.tg_append_only();

create function app.redeem_reward(p_reward_id uuid, p_idempotency_key text)
returns uuid language plpgsql volatile
as $$
declare
  v_key text;
  v_partner app.partner_account;
  v_existing record;
  v_reward record;
  v_redemption_id uuid;
begin
  v_key := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_partner := app.lock_calling_partner();
  select r.id, r.catalog_item_id into v_existing from app.redemptions as r
  where r.partner_id = v_partner.id and r.idempotency_key = v_key;
  if found then
    if v_existing.catalog_item_id is distinct from p_reward_id then
      perform app.fail('IDEMPOTENCY_CONFLICT', left(v_key, 200));
    end if;
    return v_existing.id;
  end if;
  select c.name, c.is_active, c.stock_available, c.points_required into v_reward
  from app.redemption_catalog as c where c.id = p_reward_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'reward');
  elsif not v_reward.is_active or v_reward.stock_available < 1 then
    perform app.fail('REWARD_UNAVAILABLE', v_reward.name);
  elsif v_reward.points_required > v_partner.point_balance then
    perform app.fail('POINTS_INSUFFICIENT', format('the balance is %s points, %s are needed',
      v_partner.point_balance, v_reward.points_required), 'Choose a cheaper reward');
  end if;

  insert into app.redemptions (
    partner_id, agent_id, catalog_item_id, points_spent, idempotency_key
  ) values (
    v_partner.id, v_partner.acting_agent_id, p_reward_id, v_reward.points_required, v_key
  ) returning id into v_redemption_id;

  update app.redemption_catalog as c set stock_available = c.stock_available - 1
  where c.id = p_reward_id;
  insert into app.point_transactions (partner_id, redemption_id, type, points, description)
  values (
    v_partner.id, v_redemption_id, 'REDEEMED', -v_reward.points_required, v_reward.name
  );
  perform app.enqueue_message('reward_redeemed', 'PARTNER', v_partner.id, null, jsonb_build_object(
    'reward', v_reward.name, 'points', v_reward.points_required,
    'point_balance', v_partner.point_balance - v_reward.points_required));
  perform app.notify_headquarters('redemption_due', null, jsonb_build_object(
    'reward', v_reward.name, 'points', v_reward.points_required,
    'partner_name', (select p.business_name from app.partners as p where p.id = v_partner.id)));
  if v_partner.acting_agent_id is not null then
    perform app.notify_impersonation(
      'REDEMPTION', v_partner.id, null, v_redemption_id, jsonb_build_object(
        'reward', v_reward.name, 'points', v_reward.points_required, 'partner_name',
        (select p.business_name from app.partners as p where p.id = v_partner.id)));
  end if;
  return v_redemption_id;
end $$;
comment on function app.redeem_reward(uuid, text) is
  'Redeems a reward for points, idempotent by key; returns the redemption''s id. Raises '
  'NOT_FOUND, REWARD_UNAVAILABLE, POINTS_INSUFFICIENT, IDEMPOTENCY_CONFLICT';

create function app.is_legal_redemption(
  p_from app.redemption_status_enum, p_to app.redemption_status_enum
)
returns boolean language sql immutable
as $$
  select (p_from, p_to) in (
    ('PENDING', 'SHIPPED'), ('SHIPPED', 'DELIVERED'), ('PENDING', 'CANCELLED')
  )
$$;
comment on function app.is_legal_redemption(
  app.redemption_status_enum, app.redemption_status_enum
) is
  'True if a redemption can move from one status to the other';

-- SECURITY INVOKER, like the guard of orders.
create function app.tg_redemptions__guard() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' then
    perform app.fail('APPEND_ONLY', 'redemption', 'Cancel the redemption instead');
  elsif tg_op = 'INSERT' then
    perform app.fail('NOT_ALLOWED', 'A redemption is created by a call, which books its points',
      'Call api.redeem_reward');
  elsif (new.partner_id, new.catalog_item_id, new.points_spent)
    is distinct from (old.partner_id, old.catalog_item_id, old.points_spent)
  then
    perform app.fail('APPEND_ONLY', 'redemption', 'Cancel the redemption instead');
  elsif new.status <> old.status then
    if not app.is_legal_redemption(old.status, new.status) then
      perform app.fail('ILLEGAL_TRANSITION', format('%s to %s', old.status, new.status));
    elsif current_user <> 'hub_owner' then
      perform app.fail('NOT_ALLOWED', 'A status changes by a call, which also does what follows',
        'Call api.advance_redemption');
    end if;
  end if;
  return new;
end $$;
create trigger _100_guard before update or delete on app.redemptions
for each row execute function app.tg_redemptions__guard();
create trigger _100_guard_insert before insert on app.redemptions
for each row when (current_user <> 'hub_owner') execute function app.tg_redemptions__guard();

create function app.advance_redemption(p_redemption_id uuid, p_status text)
returns void language plpgsql volatile
as $$
declare
  v_redemption record;
  v_status app.redemption_status_enum;
begin
  if p_status is null or p_status not in ('SHIPPED', 'DELIVERED', 'CANCELLED') then
    perform app.fail('INVALID_ARGUMENT', 'status is SHIPPED, DELIVERED or CANCELLED');
  end if;
  v_status := p_status::app.redemption_status_enum;
  perform from app.partners as p
  where p.id = (select r.partner_id from app.redemptions as r where r.id = p_redemption_id)
  for no key update;
  select r.partner_id, r.catalog_item_id, r.points_spent, r.status into v_redemption
  from app.redemptions as r where r.id = p_redemption_id;
  if not found then
    perform app.fail('NOT_FOUND', 'redemption');
  elsif not app.is_legal_redemption(v_redemption.status, v_status) then
    perform app.fail('ILLEGAL_TRANSITION', format('%s to %s', v_redemption.status, v_status));
  end if;

  update app.redemptions as r set
    status = v_status, shipped_at = case v_status when 'SHIPPED' then now() else r.shipped_at end
  where r.id = p_redemption_id;

  if v_status = 'CANCELLED' then
    update app.redemption_catalog as c set stock_available = c.stock_available + 1
    where c.id = v_redemption.catalog_item_id;
    insert into app.point_transactions (
      partner_id, redemption_id, type, points, description, created_by
    ) values (
      v_redemption.partner_id, p_redemption_id, 'ADJUSTED', v_redemption.points_spent,
      'penukaran dibatalkan', auth.current_agent_id()
    );
  end if;
  perform app.enqueue_message(
    'redemption_status', 'PARTNER', v_redemption.partner_id, null, jsonb_build_object(
      'reward', (
        select c.name from app.redemption_catalog as c where c.id = v_redemption.catalog_item_id
      ),
      'status_text', case v_status
        when 'SHIPPED' then 'sedang dikirim'
        when 'DELIVERED' then 'sudah diterima'
        else format('dibatalkan, %s poin kembali', v_redemption.points_spent)
      end));
end $$;
comment on function app.advance_redemption(uuid, text) is
  'Moves a redemption from PENDING to SHIPPED to DELIVERED, or from PENDING to CANCELLED, which '
  'returns the points and the unit. Raises INVALID_ARGUMENT, NOT_FOUND, ILLEGAL_TRANSITION';

-- Also by a redemption, because headquarters must not overwrite the stock that it lowered.
create trigger _900_touch before update on app.redemption_catalog
for each row execute function app.tg_touch_updated_at();
