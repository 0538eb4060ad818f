-- Statements that violate an invariant, each below the invariant's name. They run without triggers
-- and foreign keys. %(open)s and the like are ids of the rows that test_invariants.py creates.

-- point_balance
update app.partners set point_balance = point_balance + 1 where id = %(gold)s;

-- point_balance
delete from app.point_transactions where order_id = %(paid)s;

-- credit_used
update app.partners set credit_used = credit_used + 1 where id = %(silver)s;

-- credit_used
update app.orders set status = 'CANCELLED', awaiting = 'NONE', awaiting_since = null where id = %(open)s;

-- credit_used
update app.invoices set status = 'CANCELLED', cancelled_at = now(), refund_due_since = now()
where order_id = %(approved)s;

-- amount_paid
delete from app.invoice_payments
where invoice_id = (select id from app.invoices where order_id = %(approved)s);

-- amount_paid
update app.invoices set amount_paid = 5 where order_id = %(approved)s;

-- amount_paid
delete from app.invoice_credits;

-- reversals
update app.invoice_payments set amount = amount - 1 where kind = 'REVERSAL';

-- credit_notes
update app.credit_note_items set quantity = quantity + 99;

-- credit_notes
update app.credit_note_items set amount = amount + 1;

-- credit_notes
update app.credit_notes set amount = amount + 9999999 where order_id = %(returned)s;

-- credit_notes
update app.invoice_credits set amount = amount + 9999999;

-- credit_notes
update app.orders set status = 'CANCELLED' where id = %(returned)s;

-- order_totals
update app.order_items set quantity = quantity + 1, line_total = (quantity + 1) * unit_price
where order_id = %(open)s;

-- order_totals
update app.orders set subtotal = subtotal + 1, grand_total = grand_total + 1 where id = %(open)s;

-- order_totals
delete from app.order_items where order_id = %(open)s;

-- order_rules
update app.orders set points_earned = points_earned + 1 where id = %(open)s;

-- order_rules
update app.orders set points_used = points_used + 1 where id = %(approved)s;

-- order_rules
update app.orders set rules_applied = null where id = %(open)s;

-- billing
delete from app.invoices where order_id = %(approved)s;

-- billing
update app.invoices set amount = amount + 1 where order_id = %(approved)s;

-- billing
update app.orders set status = 'CANCELLED', awaiting = 'NONE', awaiting_since = null where id = %(approved)s;

-- reserved_stock
update app.inventory set reserved = reserved + 1 where product_id = %(product)s;

-- reserved_stock
update app.orders set erp_reference = 'S9', erp_acknowledged_at = now() where id = %(approved)s;

-- reserved_stock
delete from app.inventory where product_id = %(product)s;

-- erp_cancellations
update app.orders set approved_at = now() where id = %(cancelled)s;

-- erp_cancellations
insert into app.erp_cancellations (order_id, partner_id)
select id, partner_id from app.orders where id = %(approved)s;

-- vested_points
delete from app.point_transactions where order_id = %(paid)s;

-- vested_points
update app.point_transactions set points = points - 1 where type = 'EARNED' and order_id = %(paid)s;

-- vested_points
update app.point_transactions set points = points + 1 where type = 'EARNED' and order_id = %(paid)s;

-- vested_points
update app.invoices set status = 'PARTIAL', amount_paid = 1 where order_id = %(paid)s;

-- vested_points
insert into app.point_queue (invoice_id) select id from app.invoices where order_id = %(paid)s;

-- used_points
update app.point_transactions set points = points - 1
where type = 'REDEEMED' and order_id = %(approved)s;

-- used_points
delete from app.point_transactions where type = 'ADJUSTED' and order_id = %(cancelled)s;

-- used_points
insert into app.point_transactions (partner_id, order_id, type, points)
select partner_id, id, 'ADJUSTED', 50 from app.orders where id = %(cancelled)s;

-- used_points
delete from app.point_transactions where credit_note_id is not null;

-- vested_points
update app.point_transactions set points = points + 1
where order_id = %(returned)s and type = 'ADJUSTED' and invoice_id is not null;

-- credit_used
delete from app.invoices where order_id = %(returned)s and amount = 400000;

-- redemptions
delete from app.point_transactions where redemption_id = %(redemption)s;

-- redemptions
update app.redemptions set status = 'CANCELLED' where id = %(redemption)s;

-- order_history
delete from app.order_events where order_id = %(open)s;

-- order_history
update app.orders set status = 'COMPLETED', completed_at = now() where id = %(paid)s;

-- order_history
delete from app.order_events where to_status = 'PROCESSING' and order_id = %(paid)s;

-- order_history
update app.order_events set to_status = 'REJECTED'
where to_status = 'PROCESSING' and order_id = %(paid)s;

-- routing
delete from app.messages where template = 'order_routed' and order_id = %(open)s;

-- routing
update app.orders
set routed_to_subdist_id = null, routed_at = null, awaiting = 'HEADQUARTERS'
where id = %(open)s;

-- escalations
update app.orders set sla_reminder_sent = true where id = %(open)s;

-- escalations
update app.orders set awaiting_since = now() - interval '19 hours' where id = %(open)s;

-- escalations
with admins as (update app.agents set updated_at = now() - interval '1 hour')
update app.redemptions set created_at = now() - interval '5 hours' where id = %(redemption)s;

-- awaiting
update app.orders set awaiting_since = awaiting_since - interval '1 hour' where id = %(open)s;

-- awaiting
with waiting as (
  update app.agents set updated_at = now() - interval '1 hour'
)
update app.messages set status = 'HELD', created_at = now() - interval '1 hour'
where template = 'order_routed' and order_id = %(open)s;

-- message_priorities
update app.messages set priority = 2 where template = 'order_routed' and order_id = %(open)s;

-- shadow_orders
delete from app.impersonation_notifications where order_id = %(assisted)s;

-- shadow_orders
update app.impersonation_notifications set message_id = null where order_id = %(assisted)s;

-- catalogue_bodies
insert into app.catalogue_bodies
select d.price_list, s.state, json_build_object('price_list', d.price_list)
from app.catalogue_documents as d, app.catalogue_state() as s;

-- configs
update app.system_configs set config_value = '30000' where config_key = 'loyalty.rupiah_per_point';

-- configs
update app.order_rules set minimum_threshold = minimum_threshold + 1;

-- configs
delete from app.system_config_history where version = 1 and config_key = 'loyalty.rupiah_per_point';

-- audit_trail
update app.orders set points_earned = points_earned + 1 where id = %(open)s;

-- audit_trail
update app.invoices set amount_paid = amount_paid + 1 where order_id = %(approved)s;

-- audit_trail
update app.partners set credit_limit = credit_limit + 1 where id = %(silver)s;

-- audit_trail
delete from app.redemptions where id = %(redemption)s;

-- audit_trail
insert into app.tier_prices (product_id, tier, price) values (%(product)s, 'GOLD', 1);

-- audit_trail
delete from app.audit_buffer where target_type = 'invoice_payments';

-- routing
with suspended as (
  update app.sub_distributors set status = 'SUSPENDED', updated_at = now() - interval '1 hour'
)
update app.orders set notes = notes where id = %(open)s;

-- statistics
insert into app.partner_counted_months (
  partner_id, month, order_count, total_spend, total_returned
)
values (%(silver)s, '2020-01-01', 1, 100000, 0);

-- phones
update app.partners set phone = '0812 3456 7890' where id = %(silver)s;

-- phones
update app.sub_distributors set whatsapp_number = '+628' where whatsapp_number = '+628120000000';
