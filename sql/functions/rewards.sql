-- Rewards for points, and points by hand.

create function app.redeem_reward(p_reward_id uuid, p_idempotency_key text)
returns uuid language plpgsql volatile set search_path = ''
as $$
declare
  v_key text := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_partner app.partners := app.lock_calling_partner();
  v_done app.redemptions;
  v_reward app.redemption_catalog;
  v_redemption_id uuid;
begin
  perform app.acting_agent(v_partner.id);
  select * into v_done from app.redemptions as r where r.partner_id = v_partner.id and r.idempotency_key = v_key;
  if found then
    if v_done.catalog_item_id is distinct from p_reward_id then
      perform app.fail('IDEMPOTENCY_CONFLICT', left(v_key, 200));
    end if;
    return v_done.id;
  end if;
  select * into v_reward from app.redemption_catalog as c where c.id = p_reward_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'reward');
  elsif not v_reward.is_active or v_reward.stock_available < 1 then
    perform app.fail('REWARD_UNAVAILABLE', v_reward.name);
  elsif v_reward.points_required > v_partner.point_balance then
    perform app.fail('POINTS_INSUFFICIENT', format('%s points in hand, %s needed', v_partner.point_balance, v_reward.points_required));
  end if;
  update app.redemption_catalog as c set stock_available = c.stock_available - 1 where c.id = p_reward_id;
  insert into app.redemptions (partner_id, catalog_item_id, points_spent, idempotency_key)
  values (v_partner.id, p_reward_id, v_reward.points_required, v_key)
  returning id into v_redemption_id;
  insert into app.point_transactions (partner_id, redemption_id, type, points, description)
  values (v_partner.id, v_redemption_id, 'REDEEMED', -v_reward.points_required, v_reward.name);
  perform app.enqueue_message('reward_redeemed', 'PARTNER', v_partner.id, null, jsonb_build_object(
    'reward', v_reward.name, 'points', v_reward.points_required,
    'point_balance', v_partner.point_balance - v_reward.points_required));
  return v_redemption_id;
end $$;
comment on function app.redeem_reward(uuid, text) is
  'Takes a reward for points; idempotent by key; raises NOT_FOUND, REWARD_UNAVAILABLE, POINTS_INSUFFICIENT';

create function app.tg_redemptions__guard() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if (new.partner_id, new.catalog_item_id, new.points_spent) is distinct from (old.partner_id, old.catalog_item_id, old.points_spent) then
    perform app.fail('APPEND_ONLY', 'redemption');
  elsif new.status <> old.status then
    if (old.status, new.status) not in (
      ('PENDING', 'SHIPPED'), ('SHIPPED', 'DELIVERED'), ('PENDING', 'CANCELLED')
    ) then
      perform app.fail('ILLEGAL_TRANSITION', format('%s to %s', old.status, new.status));
    end if;
    if new.status = 'SHIPPED' then
      new.shipped_at := now();
    end if;
  end if;
  return new;
end $$;
create trigger _100_guard before update on app.redemptions for each row execute function app.tg_redemptions__guard();

create function app.tg_redemptions__give_back() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update app.redemption_catalog as c set stock_available = c.stock_available + 1 where c.id = new.catalog_item_id;
  insert into app.point_transactions (partner_id, redemption_id, type, points, description, created_by)
  values (new.partner_id, new.id, 'ADJUSTED', new.points_spent, 'redemption cancelled', auth.current_agent_id());
  return null;
end $$;
create trigger _200_give_back after update on app.redemptions
for each row when (new.status = 'CANCELLED' and old.status <> 'CANCELLED') execute function app.tg_redemptions__give_back();

create function app.advance_redemption(p_redemption_id uuid, p_status text)
returns uuid language plpgsql volatile set search_path = ''
as $$
declare
  v_partner_id uuid;
begin
  if p_status is null or p_status not in ('SHIPPED', 'DELIVERED', 'CANCELLED') then
    perform app.fail('INVALID_ARGUMENT', 'status is SHIPPED, DELIVERED or CANCELLED');
  end if;
  select r.partner_id into v_partner_id from app.redemptions as r where r.id = p_redemption_id;
  if not found then
    perform app.fail('NOT_FOUND', 'redemption');
  end if;
  perform from app.partners as p where p.id = v_partner_id for no key update;
  update app.redemptions as r set status = p_status::app.redemption_status_enum
  where r.id = p_redemption_id and r.status::text <> p_status;
  if not found then
    perform app.fail('ILLEGAL_TRANSITION', format('%s to %s', p_status, p_status));
  end if;
  return p_redemption_id;
end $$;
comment on function app.advance_redemption(uuid, text) is
  'PENDING to SHIPPED to DELIVERED, or PENDING to CANCELLED, which gives points and unit back';

create function app.adjust_points(p_partner_id uuid, p_points int, p_reason text)
returns uuid language plpgsql volatile set search_path = ''
as $$
declare
  v_reason text := app.require_text('reason', p_reason, 500);
  v_partner app.partners;
  v_id uuid;
begin
  if p_points is null or p_points = 0 or abs(p_points::bigint) > 1000000000 then
    perform app.fail('INVALID_ARGUMENT', 'points is a whole number other than 0, at most 1,000,000,000');
  end if;
  select * into v_partner from app.partners as p where p.id = p_partner_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'partner');
  elsif p_points < 0 and v_partner.point_balance + p_points < 0 then
    perform app.fail('POINTS_INSUFFICIENT', format('%s points in hand', v_partner.point_balance));
  elsif p_points > app.points_room(p_partner_id) then
    perform app.fail('INVALID_ARGUMENT', 'the balance could pass 2,000,000,000');
  end if;
  insert into app.point_transactions (partner_id, type, points, description, created_by)
  values (p_partner_id, 'ADJUSTED', p_points, v_reason, auth.current_agent_id())
  returning id into v_id;
  return v_id;
end $$;
comment on function app.adjust_points(uuid, int, text) is 'An admin''s correction of a balance, never below 0';
