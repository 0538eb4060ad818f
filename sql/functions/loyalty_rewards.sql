-- Rewards: redeemed for points, then shipped and delivered, or cancelled.

create function app.redeem_reward(p_reward_id uuid, p_idempotency_key text)
returns uuid language plpgsql volatile
as $$
declare
  v_key text := app.require_text('idempotency_key', p_idempotency_key, 200);
  v_partner app.partners := app.lock_calling_partner();
  v_existing app.redemptions;
  v_reward app.redemption_catalog;
  v_redemption_id uuid;
begin
  perform app.acting_agent(v_partner.id);
  select * into v_existing from app.redemptions as r
  where r.partner_id = v_partner.id and r.idempotency_key = v_key;
  if found then
    if v_existing.catalog_item_id is distinct from p_reward_id then
      perform app.fail('IDEMPOTENCY_CONFLICT', left(v_key, 200));
    end if;
    return v_existing.id;
  end if;
  select * into v_reward
  from app.redemption_catalog as c where c.id = p_reward_id for no key update;
  if not found then
    perform app.fail('NOT_FOUND', 'reward');
  elsif not v_reward.is_active or v_reward.stock_available < 1 then
    perform app.fail('REWARD_UNAVAILABLE', v_reward.name);
  elsif v_reward.points_required > v_partner.point_balance then
    perform app.fail('POINTS_INSUFFICIENT', format('the balance is %s points, %s are needed',
      v_partner.point_balance, v_reward.points_required), 'Choose a cheaper reward');
  end if;
  update app.redemption_catalog as c set stock_available = c.stock_available - 1
  where c.id = p_reward_id;
  insert into app.redemptions (partner_id, catalog_item_id, points_spent, idempotency_key)
  values (v_partner.id, p_reward_id, v_reward.points_required, v_key)
  returning id into v_redemption_id;
  insert into app.point_transactions (partner_id, redemption_id, type, points, description)
  values (
    v_partner.id, v_redemption_id, 'REDEEMED', -v_reward.points_required, v_reward.name
  );
  perform app.enqueue_message('reward_redeemed', 'PARTNER', v_partner.id, null, jsonb_build_object(
    'reward', v_reward.name, 'points', v_reward.points_required,
    'point_balance', v_partner.point_balance - v_reward.points_required));
  return v_redemption_id;
end $$;
comment on function app.redeem_reward(uuid, text) is
  'Redeems a reward for points, idempotent by key; returns the redemption''s id. Raises '
  'NOT_FOUND, REWARD_UNAVAILABLE, POINTS_INSUFFICIENT, IDEMPOTENCY_CONFLICT';

create function app.tg_redemptions__guard() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if (new.partner_id, new.catalog_item_id, new.points_spent)
    is distinct from (old.partner_id, old.catalog_item_id, old.points_spent)
  then
    perform app.fail('APPEND_ONLY', 'redemption', 'Cancel the redemption instead');
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
create trigger _100_guard before update on app.redemptions
for each row execute function app.tg_redemptions__guard();

create function app.tg_redemptions__refund() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update app.redemption_catalog as c set stock_available = c.stock_available + 1
  where c.id = new.catalog_item_id;
  insert into app.point_transactions (
    partner_id, redemption_id, type, points, description, created_by
  ) values (
    new.partner_id, new.id, 'ADJUSTED', new.points_spent, 'redemption cancelled',
    auth.current_agent_id()
  );
  return null;
end $$;
create trigger _200_refund after update on app.redemptions
for each row when (new.status = 'CANCELLED' and old.status <> 'CANCELLED')
execute function app.tg_redemptions__refund();

create function app.advance_redemption(p_redemption_id uuid, p_status text)
returns uuid language plpgsql volatile
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
  'Moves a redemption from PENDING to SHIPPED to DELIVERED, or from PENDING to CANCELLED, which '
  'returns the points and the unit. Raises INVALID_ARGUMENT, NOT_FOUND, ILLEGAL_TRANSITION';
