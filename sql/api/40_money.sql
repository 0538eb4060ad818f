-- Invoices, payments, points, rewards.

create view api.invoices with (security_invoker = true) as
select
  i.id, i.order_id, i.partner_id, i.invoice_number, i.amount, i.amount_paid, i.amount - i.amount_paid as amount_due, i.status, i.due_date,
  i.paid_at, i.cancelled_at, i.cancel_reason, i.created_at, i.updated_at
from app.invoices as i;
comment on view api.invoices is 'Invoices; points of an order vest when they are PAID';
comment on column api.invoices.amount_due is 'IDR: amount - amount_paid';

create view api.invoice_payments with (security_invoker = true) as
select y.id, y.invoice_id, y.partner_id, y.amount, y.payment_method, y.reference_number, y.notes, y.paid_at, y.created_at
from app.invoice_payments as y;
comment on view api.invoice_payments is 'Payments received';

create view api.point_transactions with (security_invoker = true) as
select t.id, t.partner_id, t.order_id, t.invoice_id, t.redemption_id, t.type, t.points, t.multiplier, t.description, t.created_at
from app.point_transactions as t;
comment on view api.point_transactions is 'Ledger of points; their sum is the balance';

create view api.redemption_catalog with (security_invoker = true) as
select c.id, c.name, c.description, c.image_url, c.points_required, c.stock_available, c.is_active, c.created_at
from app.redemption_catalog as c;
comment on view api.redemption_catalog is 'Rewards that points buy';

create view api.redemptions with (security_invoker = true) as
select r.id, r.partner_id, r.catalog_item_id, r.points_spent, r.status, r.created_at, r.shipped_at from app.redemptions as r;
comment on view api.redemptions is 'Rewards taken';

-- A materialized view ignores the row security of its tables, so this view filters by caller itself.
create view api.partner_statistics with (security_invoker = false, security_barrier = true) as
select s.partner_id, s.month, s.order_count, s.total_spend
from app.partner_monthly_statistics as s
where case auth.caller_role()
  when 'partner' then s.partner_id = (select auth.current_user_id())
  when 'agent' then s.partner_id in (
    select p.id from app.partners as p where p.region_id in (select auth.agent_regions()) and p.deleted_at is null
  )
  else auth.caller_role() in ('admin', 'superadmin')
end;
comment on view api.partner_statistics is $$Orders and spend (IDR) of each partner a month
Refreshed every quarter of an hour; months are Jakarta's.$$;

grant select on api.invoices, api.invoice_payments to partner, agent, admin;
grant select on api.point_transactions, api.redemption_catalog, api.redemptions to partner, admin;
grant select on api.partner_statistics to partner, agent, admin;

create function api.record_payment(
  invoice_id uuid, amount numeric, payment_method text default null, reference_number text default null,
  paid_at timestamptz default null, notes text default null
)
returns json
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.record_payment(record_payment.invoice_id, record_payment.amount, record_payment.payment_method,
    record_payment.reference_number, record_payment.paid_at, record_payment.notes)
$$;
comment on function api.record_payment(uuid, numeric, text, text, timestamptz, text) is $$Book money received for an invoice, in part or whole
The same reference_number on the same invoice counts once and is answered with "duplicate": true.
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, INVOICE_CLOSED 409, PAYMENT_REFERENCE_REUSED 409, PAYMENT_EXCEEDS_DUE 422.$$;

create function api.cancel_invoice(invoice_id uuid, reason text) returns api.invoices
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.cancel_invoice(cancel_invoice.invoice_id, cancel_invoice.reason);
  v_invoice api.invoices;
begin
  select * into strict v_invoice from api.invoices as i where i.id = v_id;
  return v_invoice;
end $$;
comment on function api.cancel_invoice(uuid, text) is $$Cancel an invoice: it is owed no more, and points that vested with it go back
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, INVOICE_CLOSED 409.$$;

create function api.adjust_points(partner_id uuid, points int, reason text) returns api.point_transactions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.adjust_points(adjust_points.partner_id, adjust_points.points, adjust_points.reason);
  v_transaction api.point_transactions;
begin
  select * into strict v_transaction from api.point_transactions as t where t.id = v_id;
  return v_transaction;
end $$;
comment on function api.adjust_points(uuid, int, text) is $$Correct a partner's points by hand, with a reason
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, POINTS_INSUFFICIENT 422.$$;

create function api.redeem_reward(reward_id uuid, idempotency_key text default null) returns api.redemptions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.redeem_reward(redeem_reward.reward_id, redeem_reward.idempotency_key);
  v_redemption api.redemptions;
begin
  select * into strict v_redemption from api.redemptions as r where r.id = v_id;
  return v_redemption;
end $$;
comment on function api.redeem_reward(uuid, text) is $$Take a reward for points
idempotency_key is required: the same key returns the same redemption. Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, IDEMPOTENCY_CONFLICT 409, REWARD_UNAVAILABLE 409, POINTS_INSUFFICIENT 422.$$;

create function api.advance_redemption(redemption_id uuid, status text) returns api.redemptions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := app.advance_redemption(advance_redemption.redemption_id, advance_redemption.status);
  v_redemption api.redemptions;
begin
  select * into strict v_redemption from api.redemptions as r where r.id = v_id;
  return v_redemption;
end $$;
comment on function api.advance_redemption(uuid, text) is $$Move a redemption to SHIPPED or DELIVERED, or cancel a pending one
Errors: INVALID_ARGUMENT 400, NOT_FOUND 404, ILLEGAL_TRANSITION 409.$$;

grant execute on function
  api.record_payment(uuid, numeric, text, text, timestamptz, text), api.cancel_invoice(uuid, text),
  api.adjust_points(uuid, int, text), api.advance_redemption(uuid, text)
to admin;
grant execute on function api.redeem_reward(uuid, text) to partner;
