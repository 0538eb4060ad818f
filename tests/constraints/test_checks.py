"""Each check of a table, violated by the smallest change that violates it alone."""

import pytest

from tests.constraints.violation import violation
from tests.support.context import Connection

# Null satisfies every other check, so that only this one refuses.
NULL_IN_BETWEEN = ("amount_paid", "point_discount")

# A check of a domain is named together with the column that has it.
CHECKS = {
    "agent_sessions_period_check": "app.agent_sessions set ended_at = started_at - interval '1 s'",
    "email_check agents.email": "app.agents set email = 'Upper@hub.test'",
    "categories_parent_check": "app.categories set parent_id = id",
    "categories_slug_check": "app.categories set slug = 'Not a slug'",
    "erp_cancellations_outcome_check": "app.erp_cancellations set outcome = 'MAYBE'",
    "erp_cancellations_settled_check": "app.erp_cancellations set outcome = null",
    "erp_quarantine_key_check": "app.erp_quarantine set key = repeat('x', 301)",
    "erp_streams_failure_check": "app.erp_streams set last_error = null",
    "erp_streams_remarks_check": "app.erp_streams set last_remarks = 'x'",
    "erp_streams_stream_check": "app.erp_streams set stream = 'Stock'",
    "whole_number_check inventory.reserved": "app.inventory set reserved = -1",
    "whole_number_check inventory.safety_buffer": "app.inventory set safety_buffer = -1",
    "invoice_payments_amount_check": "app.invoice_payments set amount = 0",
    "invoice_payments_kind_check": "app.invoice_payments set kind = 'GIFT' where kind = 'REFUND'",
    "invoice_payments_notes_check": "app.invoice_payments set notes = repeat('x', 2001)",
    "invoice_payments_reference_number_check": "app.invoice_payments set reference_number = ' A'",
    "invoice_payments_reversal_check": "app.invoice_payments set reverses_payment_id = id"
    " where kind = 'REFUND'",
    "amount_check credit_note_items.amount": "app.credit_note_items set amount = -1",
    "quantity_check credit_note_items.quantity": "app.credit_note_items set quantity = 0",
    "amount_check credit_notes.amount": "app.credit_notes set amount = -1",
    "whole_number_check credit_notes.points_returned": "app.credit_notes set points_returned = -1",
    "invoice_credits_amount_check": "app.invoice_credits set amount = 0",
    "amount_check invoices.amount_credited": "app.invoices set amount_credited = -1",
    "invoices_amount_forgiven_check": "app.invoices set amount_credited = amount, amount_written_off = 1,"
    " written_off_at = now(), write_off_reason = 'x', status = 'CANCELLED', cancelled_at = now()",
    "amount_check invoices.amount_written_off": "app.invoices set amount_written_off = -1",
    "invoices_written_off_check": "app.invoices set written_off_at = now(), write_off_reason = 'x'"
    " where amount_written_off = 0",
    "invoices_amount_check": "app.invoices set amount = 0, amount_paid = null, status = 'CANCELLED',"
    " cancelled_at = now() where amount_credited = 0 and amount_written_off = 0",
    "invoices_amount_paid_check": "app.invoices set amount_paid = -1, status = 'CANCELLED',"
    " cancelled_at = now()",
    "invoices_cancelled_check": "app.invoices set cancelled_at = now() where status <> 'CANCELLED'",
    "invoices_paid_at_check": "app.invoices set paid_at = null where status = 'PAID'",
    "invoices_status_check": "app.invoices set status = 'PARTIAL' where status = 'UNPAID'",
    "impersonation_notifications_subject_check": "app.impersonation_notifications set act = 'REDEMPTION'",
    "jwt_secret_length_check": "auth.jwt_secret set secret = 'short'",
    "jwt_secret_singleton_check": "auth.jwt_secret set singleton = false",
    "message_recipient_type_check": "app.messages set recipient_type = 'UNKNOWN'",
    "message_status_check": "app.messages set status = 'LOST'",
    "order_event_check": "app.order_events set event = 'WISH'",
    "order_items_line_total_check": "app.order_items set line_total = line_total + 1",
    "order_items_list_price_check": "app.order_items set list_price = unit_price - 1",
    "shadow_act_check": "app.impersonation_notifications set act = 'JOKE'",
    "quantity_check order_items.quantity": "app.order_items set quantity = 0, line_total = 0",
    "amount_check order_items.unit_price": "app.order_items set unit_price = -1, line_total = -quantity",
    "orders_awaiting_check": "app.orders set awaiting = 'PARTNER' where awaiting = 'SUBDIST'",
    "orders_clock_check": "app.orders set routed_at = now() where routed_to_subdist_id is null",
    "amount_check orders.discount_amount": "app.orders set discount_amount = -1,"
    " grand_total = grand_total + 1",
    "orders_erp_check": "app.orders set erp_reference = 'E' where erp_acknowledged_at is null",
    "amount_check orders.grand_total": "app.orders set grand_total = -1,"
    " point_discount = subtotal - discount_amount + 1",
    "orders_idempotency_check": "app.orders set request_hash = null where idempotency_key is not null",
    "notes_check orders.notes": "app.orders set notes = repeat('x', 2001)",
    "over_limit_reason_check orders.over_limit_reason": "app.orders set over_limit_reason = 'WISH'",
    "orders_over_limit_route_check": "app.orders set is_over_limit = true"
    " where routed_to_subdist_id is not null",
    "amount_check orders.point_discount": "app.orders set point_discount = -1,"
    " grand_total = grand_total + point_discount + 1",
    "whole_number_check orders.points_earned": "app.orders set points_earned = -1",
    "whole_number_check orders.points_used": "app.orders set points_used = -1",
    "orders_release_check": "app.orders set released_at = now() where release_reason is null",
    "orders_submission_check": "app.orders set submission_type = 'AGENT_ASSISTED' where agent_id is null",
    "orders_submitted_check": "app.orders set submitted_at = null where status not in ('DRAFT', 'CANCELLED')",
    "amount_check orders.subtotal": "app.orders set subtotal = -1, grand_total = 0, discount_amount = 0,"
    " point_discount = null",
    "orders_total_parts_check": "app.orders set grand_total = grand_total + 1",
    "whole_number_check partners.chair_count": "app.partners set chair_count = -1",
    "amount_check partners.credit_limit": "app.partners set credit_limit = -1",
    "amount_check partners.credit_used": "app.partners set credit_used = -1",
    "email_check partners.email": "app.partners set email = 'no address'",
    "password_codes_account_check": "auth.password_codes set partner_id = null",
    "point_transactions_earned_check": "app.point_transactions set invoice_id = null where type = 'EARNED'",
    "point_transactions_expired_check": "app.point_transactions set type = 'EXPIRED', created_by = null"
    " where points < 0",
    "point_transactions_points_check": "app.point_transactions set points = 0, type = 'ADJUSTED'",
    "point_transactions_spent_check": "app.point_transactions set points = 1 where type = 'REDEEMED'",
    "products_base_price_check": "app.products set base_price = -1",
    "products_retail_price_check": "app.products set retail_price = -1",
    "products_sku_check": "app.products set sku = ' ' || sku",
    "redemption_catalog_points_required_check": "app.redemption_catalog set points_required = 0",
    "redemption_catalog_stock_available_check": "app.redemption_catalog set stock_available = -1",
    "redemptions_points_spent_check": "app.redemptions set points_spent = 0",
    "regions_parent_check": "app.regions set parent_region_id = id",
    "regions_time_zone_check": "app.regions set time_zone = 'Europe/Berlin'",
    "system_configs_version_check": "app.system_configs set version = 0",
    "tier_prices_discount_pair_check": "app.tier_prices set min_qty_discount = null where discount_price = 8",
    "tier_prices_discount_price_check": "app.tier_prices set discount_price = price + 1"
    " where discount_price = 8",
    "tier_prices_min_qty_discount_check": "app.tier_prices set min_qty_discount = 0 where discount_price = 8",
    "tier_prices_period_check": "app.tier_prices set effective_until = effective_from",
    "tier_prices_price_check": "app.tier_prices set price = -1 where discount_price is null",
    "label_check agents.full_name": "app.agents set full_name = ' '",
    "label_check brands.name": "app.brands set name = ' '",
    "label_check categories.name": "app.categories set name = ' '",
    "label_check partners.business_name": "app.partners set business_name = ''",
    "label_check products.name": "app.products set name = ' '",
    "label_check redemption_catalog.name": "app.redemption_catalog set name = ' '",
    "label_check regions.name": "app.regions set name = ' '",
    "label_check sub_distributors.business_name": "app.sub_distributors set business_name = ' '",
    "url_check brands.logo_url": "app.brands set logo_url = 'javascript:alert(1)'",
    "url_check products.image_url": "app.products set image_url = 'javascript:alert(1)'",
    "url_check redemption_catalog.image_url": "app.redemption_catalog set image_url = 'data:text/html,x'",
    "regions_code_check": "app.regions set code = ' ' || code",
    "tier_prices_finite_check": "app.tier_prices set effective_until = 'infinity'"
    " where discount_price is null",
}


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_refuses_a_violating_row(bare: Connection, check: str) -> None:
    table, change = CHECKS[check].split(" ", 1)
    for column in NULL_IN_BETWEEN:
        if f"{column} = null" in change:
            bare.execute(f"alter table {table} alter {column} drop not null")
    assert violation(bare, f"update {table} {change}").constraint_name == check.split(maxsplit=1)[0]
