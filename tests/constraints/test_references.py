"""Foreign keys: a row cannot refer to a missing row."""

import pytest

from tests.constraints.violation import violation
from tests.support.context import Connection

FOREIGN_KEY_VIOLATION = "23503"

REFERENCES = """
app.agent_sessions.agent_id > app.agents
app.agent_sessions.impersonated_partner_id > app.partners
app.agents.region_id > app.regions
app.categories.parent_id > app.categories
app.credit_note_items.credit_note_id > app.credit_notes
app.credit_note_items.order_item_id > app.order_items
app.credit_notes.created_by > app.agents
app.credit_notes.order_id > app.orders
app.erp_cancellations.order_id > app.orders
app.impersonation_notifications.agent_session_id > app.agent_sessions
app.impersonation_notifications.message_id > app.messages
app.impersonation_notifications.order_id > app.orders
app.impersonation_notifications.redemption_id > app.redemptions
app.inbound_events.inbound_message_id > app.inbound_messages
app.inventory.product_id > app.products
app.invoice_credits.credit_note_id > app.credit_notes
app.invoice_credits.invoice_id > app.invoices
app.invoice_payments.invoice_id > app.invoices
app.invoice_payments.recorded_by > app.agents
app.invoice_payments.reverses_payment_id > app.invoice_payments
app.invoices.created_by > app.agents
app.invoices.order_id > app.orders
app.invoices.partner_id > app.partners
app.messages.order_id > app.orders
app.order_events.order_id > app.orders
app.order_items.order_id > app.orders
app.order_items.product_id > app.products
app.orders.agent_id > app.agents
app.orders.partner_id > app.partners
app.orders.released_by > app.agents
app.orders.routed_to_subdist_id > app.sub_distributors
app.partner_removals.agent_id > app.agents
app.partner_removals.partner_id > app.partners
app.partners.region_id > app.regions
app.point_queue.invoice_id > app.invoices
app.point_transactions.created_by > app.agents
app.point_transactions.credit_note_id > app.credit_notes
app.point_transactions.invoice_id > app.invoices
app.point_transactions.order_id > app.orders
app.point_transactions.partner_id > app.partners
app.point_transactions.redemption_id > app.redemptions
app.products.brand_id > app.brands
app.products.category_id > app.categories
app.redemptions.agent_id > app.agents
app.redemptions.catalog_item_id > app.redemption_catalog
app.redemptions.partner_id > app.partners
app.regions.parent_region_id > app.regions
app.sla_escalation_logs.acknowledged_by > app.agents
app.sla_escalation_logs.order_id > app.orders
app.sla_escalation_logs.region_id > app.regions
app.sub_distributors.region_id > app.regions
app.system_configs.updated_by > app.agents
app.tier_prices.product_id > app.products
app.unbilled_orders.order_id > app.orders
auth.password_codes.agent_id > app.agents
auth.password_codes.partner_id > app.partners
auth.refresh_tokens.session_id > auth.sessions
auth.sign_in_links.subdist_id > app.sub_distributors
"""

PAIRS = [
    "app.credit_note_items",
    "app.credit_notes",
    "app.invoice_credits",
    "app.invoice_payments",
    "app.invoices",
    "app.order_events",
    "app.order_items",
]
"""Tables whose reference includes partner_id: the row has the partner of the row that it refers to."""


NOWHERE = "'00000000-0000-7000-8000-00000000dead'"

# Columns where a plain change would violate another rule first.
STATEMENTS = {
    "app.invoices.partner_id": "insert into app.invoices (order_id, partner_id, amount, due_date)"
    f" select o.id, {NOWHERE}, 1, now() from app.orders as o limit 1",
    "auth.password_codes.agent_id": f"update auth.password_codes set partner_id = null, agent_id = {NOWHERE}",
    "app.invoice_payments.reverses_payment_id": "update app.invoice_payments set kind = 'REVERSAL',"
    f" amount = -1, reverses_payment_id = {NOWHERE}"
    " where id = (select y.id from app.invoice_payments y where y.kind = 'REFUND' limit 1)",
    "app.unbilled_orders.order_id": f"insert into app.unbilled_orders (order_id) values ({NOWHERE})",
    "app.orders.agent_id": f"update app.orders set submission_type = 'AGENT_ASSISTED', agent_id = {NOWHERE}",
    "app.orders.partner_id": f"insert into app.orders (partner_id) values ({NOWHERE})",
    "app.orders.routed_to_subdist_id": "update app.orders set routed_at = now(), is_over_limit = false,"
    f" awaiting = app.order_awaiting(status, {NOWHERE}, last_response_at),"
    f" awaiting_since = case app.order_awaiting(status, {NOWHERE}, last_response_at)"
    f" when 'SUBDIST' then now() when 'HEADQUARTERS' then now() end, routed_to_subdist_id = {NOWHERE}",
}


@pytest.mark.parametrize("reference", REFERENCES.strip().splitlines())
def test_a_reference_to_a_missing_row_is_refused(conn: Connection, reference: str) -> None:
    child, parent = reference.split(" > ")
    table, column = child.rsplit(".", 1)
    conn.execute(f"alter table {table} disable trigger user")
    one = f"where ctid = (select min(t.ctid) from {table} t)"
    statement = STATEMENTS.get(child, f"update {table} set {column} = {NOWHERE} {one}")
    diagnostic = violation(conn, statement)
    assert (diagnostic.sqlstate, diagnostic.table_name) == (FOREIGN_KEY_VIOLATION, table.split(".")[1])
    assert parent.split(".")[1] in (diagnostic.message_detail or "")


@pytest.mark.parametrize("table", PAIRS)
def test_a_row_has_the_partner_of_the_row_it_refers_to(conn: Connection, table: str) -> None:
    conn.execute(f"alter table {table} disable trigger user")
    another = "(select p.id from app.partners p where p.id <> t.partner_id limit 1)"
    diagnostic = violation(conn, f"update {table} t set partner_id = {another}")
    assert diagnostic.sqlstate == FOREIGN_KEY_VIOLATION
