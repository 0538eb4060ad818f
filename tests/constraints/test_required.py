"""Required columns: none can be null, not even with triggers disabled."""

import pytest

from tests.constraints.violation import violation
from tests.support.context import Connection

NOT_NULL_VIOLATION = "23502"

REQUIRED = {
    "app.agent_sessions": "agent_id impersonated_partner_id started_at expires_at",
    "app.agents": "email password_hash full_name role is_active created_at updated_at",
    "app.audit_buffer": "target_type action actor_role created_at",
    "app.audit_logs": "actor_type target_type action actor_role",
    "app.brands": "name display_order is_active created_at updated_at",
    "app.categories": "name slug display_order created_at updated_at",
    "app.conversations": "last_inbound_at",
    "app.erp_cancellations": "partner_id created_at",
    "app.erp_quarantine": "payload reason as_of first_seen_at last_seen_at times",
    "app.erp_streams": "updated_at",
    "app.impersonation_notifications": "agent_session_id channel status created_at act",
    "app.inbound_events": "inbound_message_id outcome processed_at",
    "app.inbound_messages": "payload_hash received_at",
    "app.inventory": "product_id erp_stock safety_buffer reserved created_at updated_at",
    "app.credit_note_items": "credit_note_id order_item_id partner_id quantity amount created_at",
    "app.credit_notes": "order_id partner_id credit_note_number amount points_returned reason created_at",
    "app.idempotency_keys": "call idempotency_key request_hash result_id created_at",
    "app.invoice_credits": "invoice_id credit_note_id partner_id amount created_at",
    "app.invoice_payments": "invoice_id partner_id amount paid_at created_at kind reference_use",
    "app.invoices": "order_id partner_id invoice_number amount amount_paid amount_credited"
    " amount_written_off status due_date created_at updated_at",
    "app.messages": "template channel recipient_type recipient_id variables status attempts next_attempt_at"
    " repeats created_at",
    "app.messages_period": "purged_until",
    "app.order_events": "order_id partner_id event to_status actor_role created_at",
    "app.order_items": "order_id partner_id product_id quantity list_price unit_price line_total created_at",
    "app.orders": "order_number partner_id status submission_type subtotal discount_amount point_discount"
    " grand_total points_earned points_used is_eligible_for_points is_over_limit sla_reminder_sent"
    " sla_manager_notified sla_escalated created_at updated_at",
    "app.partner_removals": "partner_id kind reason created_at transaction_id",
    "app.partners": "email password_hash business_name tier credit_limit credit_used point_balance is_active"
    " created_at updated_at",
    "app.point_queue": "enqueued_at",
    "app.point_transactions": "partner_id type points created_at",
    "app.products": "sku name base_price is_active is_withdrawn created_at updated_at",
    "app.redemption_catalog": "name points_required stock_available is_active created_at updated_at",
    "app.redemptions": "partner_id catalog_item_id points_spent status created_at",
    "app.regions": "name code created_at updated_at",
    "app.sla_escalation_logs": "order_id escalation_level notified_to notified_type triggered_at"
    " clock_started_at due_at",
    "app.sub_distributors": "region_id business_name whatsapp_number status created_at updated_at",
    "app.order_rules": "point_multiplier rupiah_per_point point_value_rupiah minimum_threshold"
    " over_limit_policy max_overdue_days max_lines snapshot",
    "app.system_config_history": "config_key version changed_at",
    "app.system_configs": "config_key config_value version updated_at",
    "app.tier_prices": "product_id tier price effective_from created_at updated_at",
    "auth.jwt_secret": "secret",
    "auth.login_attempts": "failures window_started_at",
    "auth.password_codes": "created_at expires_at",
    "auth.refresh_tokens": "session_id created_at",
    "auth.sessions": "subject_id role created_at expires_at",
    "auth.sign_in_links": "subdist_id created_at expires_at",
    "jobs.runs": "last_started_at last_succeeded_at last_rows total_runs",
    "jobs.schedule": "schedule command description scheduled_at",
}


@pytest.mark.parametrize("table", REQUIRED)
def test_a_required_column_is_never_null(bare: Connection, table: str) -> None:
    for column in REQUIRED[table].split():
        diagnostic = violation(bare, f"update {table} set {column} = null")
        assert (diagnostic.sqlstate, diagnostic.column_name) == (NOT_NULL_VIOLATION, column)
