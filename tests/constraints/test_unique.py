"""Unique keys: a duplicate is refused, also with triggers disabled."""

import pytest

from tests.constraints.violation import violation
from tests.support.context import Connection

# table: constraint or index: columns that the second row may not share with the first
UNIQUE = {
    "app.agents": {"agents_email_key": "email"},
    "app.brands": {"brands_name_key": "name"},
    "app.categories": {"categories_slug_key": "slug"},
    "app.inbound_messages": {"inbound_messages_payload_hash_key": "payload_hash"},
    "app.inventory": {"inventory_product_id_key": "product_id"},
    "app.credit_note_items": {"credit_note_items_item_key": "credit_note_id order_item_id"},
    "app.credit_notes": {"credit_notes_credit_note_number_key": "credit_note_number"},
    "app.idempotency_keys": {"idempotency_keys_pkey": "call idempotency_key"},
    "app.invoice_payments": {
        "invoice_payments_reference_key": "invoice_id reference_number kind reference_use",
        "invoice_payments_reversed_key": "reverses_payment_id",
    },
    "app.invoices": {"invoices_invoice_number_key": "invoice_number"},
    "app.messages": {"messages_provider_id_key": "provider_id"},
    "app.order_items": {"order_items_product_key": "order_id partner_id product_id"},
    "app.orders": {
        "orders_order_number_key": "order_number",
        "orders_idempotency_key": "partner_id idempotency_key",
    },
    "app.partner_removals": {"partner_removals_kind_key": "partner_id kind"},
    "app.partners": {"idx_partners_email": "email", "partners_phone_key": "phone"},
    "app.products": {"idx_products_sku": "sku"},
    "app.redemptions": {"redemptions_idempotency_key": "partner_id idempotency_key"},
    "app.regions": {"regions_code_key": "code"},
    "app.sla_escalation_logs": {
        "sla_escalation_logs_once_key": "order_id escalation_level notified_to clock_started_at"
    },
    "app.system_config_history": {"system_config_history_version_key": "config_key version"},
    "app.system_configs": {"system_configs_config_key_key": "config_key"},
}

# Columns of a copy that must differ, besides its id, so that only one key refuses it.
OWN = {
    "email": "'copy@hub.test'",
    "phone": "'+62899999999'",
    "order_number": "'ORD-X'",
    "invoice_number": "'INV-X'",
    "provider_id": "'wamid.copy'",
    "reference_number": "'COPY'",
    "idempotency_key": "'copy'",
}

CASES = [(table, key) for table, keys in UNIQUE.items() for key in keys]


@pytest.mark.parametrize(("table", "key"), CASES)
def test_a_duplicate_key_is_refused(bare: Connection, table: str, key: str) -> None:
    columns = [
        row[0]
        for row in bare.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
            " and not attisdropped and attgenerated = '' and attidentity = ''",
            [table],
        )
    ]
    shared = UNIQUE[table][key].split()
    other = {"id": "gen_random_uuid()"} if "id" in columns else {}
    other |= {column: text for column, text in OWN.items() if column in columns and column not in shared}
    needed = [column for column in columns if column in shared or column == "idempotency_key"]
    where = " and ".join(f"t.{column} is not null" for column in needed)
    values = ", ".join(other.get(column, f"t.{column}") for column in columns)
    copy = f"insert into {table} ({', '.join(columns)}) select {values} from {table} t where {where} limit 1"
    assert violation(bare, copy).constraint_name == key


def test_two_prices_of_one_product_and_tier_never_overlap(conn: Connection) -> None:
    conn.execute("alter table app.tier_prices disable trigger user")
    diagnostic = violation(
        conn,
        "insert into app.tier_prices (product_id, tier, price, effective_from)"
        " select product_id, tier, 1, now() from app.tier_prices where effective_until > now() limit 1",
    )
    assert diagnostic.constraint_name == "tier_prices_no_overlap_excl"
