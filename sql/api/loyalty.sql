-- Points and rewards.

create view api.point_transactions with (security_invoker = true) as
select
  t.id, t.partner_id, t.order_id, t.invoice_id, t.redemption_id, t.credit_note_id, t.type,
  t.points, t.multiplier, t.description, t.created_at
from app.point_transactions as t;
comment on view api.point_transactions is
  'Ledger of points; the sum of a partner''s rows is their balance';

create view api.redemption_catalog with (security_invoker = true) as
select
  c.id, c.name, c.description, c.image_url, c.points_required, c.stock_available, c.is_active,
  c.created_at, c.updated_at
from app.redemption_catalog as c;
comment on view api.redemption_catalog is
$$Rewards that can be redeemed for points
Headquarters writes all columns but the times.$$;

create view api.redemptions with (security_invoker = true) as
select
  r.id, r.partner_id, r.catalog_item_id, r.points_spent, r.status, r.created_at, r.shipped_at,
  r.agent_id
from app.redemptions as r;
comment on view api.redemptions is 'Redeemed rewards';
comment on column api.redemptions.agent_id is 'Agent who redeemed in shadow mode';

create function api.adjust_points(
  partner_id uuid, points int, reason text, idempotency_key text default null
)
returns api.point_transactions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_transaction api.point_transactions;
begin
  v_id := app.adjust_points(
    adjust_points.partner_id, adjust_points.points, adjust_points.reason,
    adjust_points.idempotency_key);
  select * into strict v_transaction from api.point_transactions as t where t.id = v_id;
  return v_transaction;
end $$;
comment on function api.adjust_points(uuid, int, text, text) is
$$Correct a partner's points by hand, with a reason
points is added to the balance and may be negative. idempotency_key is required: the same key with
the same body returns the same transaction.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, IDEMPOTENCY_CONFLICT 409, POINTS_INSUFFICIENT 422.$$;

create function api.expire_points(
  partner_id uuid, points int, reason text, idempotency_key text default null
)
returns api.point_transactions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_transaction api.point_transactions;
begin
  v_id := app.expire_points(
    expire_points.partner_id, expire_points.points, expire_points.reason,
    expire_points.idempotency_key);
  select * into strict v_transaction from api.point_transactions as t where t.id = v_id;
  return v_transaction;
end $$;
comment on function api.expire_points(uuid, int, text, text) is
$$Expire points of a partner by hand, with a reason
points is taken from the balance, at most all of it. idempotency_key is required: the same key with
the same body returns the same transaction.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, IDEMPOTENCY_CONFLICT 409, POINTS_INSUFFICIENT 422.$$;

create function api.redeem_reward(reward_id uuid, idempotency_key text default null)
returns api.redemptions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_redemption api.redemptions;
begin
  v_id := app.redeem_reward(redeem_reward.reward_id, redeem_reward.idempotency_key);
  select * into strict v_redemption from api.redemptions as r where r.id = v_id;
  return v_redemption;
end $$;
comment on function api.redeem_reward(uuid, text) is
$$Redeem a reward for points
idempotency_key is required: the same key returns the same redemption.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, IDEMPOTENCY_CONFLICT 409, REWARD_UNAVAILABLE 409,
POINTS_INSUFFICIENT 422.$$;

create function api.advance_redemption(redemption_id uuid, status text) returns api.redemptions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_redemption api.redemptions;
begin
  perform app.advance_redemption(advance_redemption.redemption_id, advance_redemption.status);
  select * into strict v_redemption
  from api.redemptions as r where r.id = advance_redemption.redemption_id;
  return v_redemption;
end $$;
comment on function api.advance_redemption(uuid, text) is
$$Move a redemption to SHIPPED or DELIVERED, or cancel a pending one
status is SHIPPED, DELIVERED or CANCELLED; cancelling gives points and stock back.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

grant select on api.point_transactions, api.redemption_catalog, api.redemptions to partner, admin;
grant execute on function
  api.adjust_points(uuid, int, text, text),
  api.expire_points(uuid, int, text, text),
  api.advance_redemption(uuid, text)
to admin;
grant execute on function api.redeem_reward(uuid, text) to partner;

grant insert (id, name, description, image_url, points_required, stock_available, is_active),
update (id, name, description, image_url, points_required, stock_available, is_active),
delete on api.redemption_catalog to admin;
