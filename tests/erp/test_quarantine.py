"""The quarantine: rows that cannot be applied are kept with a reason and applied once they can be."""

from typing import Any

import pytest

from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    submit,
    value,
)


def quarantine(db: Connection, context: Context) -> list[tuple[Any, ...]]:
    """Stream, key, reason and number of times, as headquarters sees them."""
    with caller(db, "admin", context.admin.sub):
        return db.execute(
            "select stream, key, reason, times from api.erp_quarantine order by stream, key"
        ).fetchall()


def apply_levels(db: Connection, context: Context, *levels: tuple[str, float], **more: Any) -> Any:
    rows = [{"sku": sku, "quantity": quantity} for sku, quantity in levels]
    return call(db, context.erp, "erp_apply_stock", levels=rows, **more)


def product(sku: str, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "name": "Sampo", "base_price": 1000} | more


def apply_products(db: Connection, context: Context, *rows: dict[str, Any]) -> Any:
    return call(db, context.erp, "erp_apply_products", products=list(rows))


def test_last_quarantined_level_is_applied_when_its_product_arrives(db: Connection, context: Context) -> None:
    apply_levels(db, context, ("NEW", 3), ("SKU-000", 5))
    apply_levels(db, context, ("NEW", 7), ("NEW", 8))
    assert quarantine(db, context) == [("stock", "NEW", "UNKNOWN_SKU", 2)]
    apply_products(db, context, product("NEW"))
    row = "select s.erp_stock, s.last_sync_at is not null from app.inventory s join app.products p"
    assert db.execute(f"{row} on p.id = s.product_id where p.sku = 'NEW'".encode()).fetchone() == (8, True)
    assert quarantine(db, context) == []


def test_older_reading_does_not_replace_a_quarantined_level(db: Connection, context: Context) -> None:
    apply_levels(db, context, ("NEW", 8))
    apply_levels(db, context, ("NEW", 3), read_at=str(value(db, "select now() - interval '1 hour'")))
    assert value(db, "select payload ->> 'quantity' from app.erp_quarantine") == "8"


def test_level_applied_after_the_product_exists_leaves_the_quarantine(
    db: Connection, context: Context
) -> None:
    apply_levels(db, context, ("NEW", 3))
    db.execute("insert into app.products (sku, name, base_price) values ('NEW', 'Sampo', 1)")
    apply_levels(db, context, ("NEW", 4))
    assert quarantine(db, context) == []
    apply_products(db, context, product("NEW"))
    assert value(db, "select erp_stock from app.inventory order by created_at desc, id desc limit 1") == 4


@pytest.mark.parametrize("quantity", [1e30, -1e30, 1_000_000_001])
def test_level_out_of_range_is_quarantined_and_the_others_applied(
    db: Connection, context: Context, quantity: float
) -> None:
    answer = apply_levels(db, context, ("SKU-000", quantity), ("SKU-001", 3))
    assert (answer["applied"], answer["out_of_range_skus"]) == (1, ["SKU-000"])
    assert quarantine(db, context) == [
        ("stock", "SKU-000", "quantity is not from -1000000000 to 1000000000", 1)
    ]
    apply_levels(db, context, ("SKU-000", 5))
    assert quarantine(db, context) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"sku": " "}, "sku is blank"),
        ({"sku": "x" * 65}, "sku is longer than 64 characters"),
        ({"name": " "}, "name is blank"),
        ({"name": "x" * 256}, "name is longer than 255 characters"),
        ({"base_price": -1}, "base_price is not from 0 to 9999999999999"),
        ({"base_price": 1e20}, "base_price is not from 0 to 9999999999999"),
        ({"retail_price": -1}, "retail_price is not from 0 to 9999999999999"),
    ],
)
def test_invalid_product_is_quarantined_and_the_others_applied(
    db: Connection, context: Context, bad: dict[str, Any], reason: str
) -> None:
    row = product("BAD") | bad
    answer = apply_products(db, context, row, product("GOOD"))
    assert (answer["applied"], [s["reason"] for s in answer["set_aside"]]) == (1, [reason])
    assert quarantine(db, context) == [("products", row["sku"].strip(), reason, 1)]
    apply_products(db, context, row)
    assert quarantine(db, context)[0][3] == 2
    if row["sku"] == "BAD":
        apply_products(db, context, product("BAD"))
        assert quarantine(db, context) == []


def test_quarantined_row_is_truncated_to_10000_characters(db: Connection, context: Context) -> None:
    apply_products(db, context, product("BAD", name="x" * 100_000))
    assert value(db, "select length(payload #>> '{}') from app.erp_quarantine") == 10_000


def payment(invoice: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"invoice_number": invoice["invoice_number"], "amount": 1000, "reference_number": "A"} | changes


@pytest.mark.parametrize(
    "bad",
    [
        {"reference_number": " "},
        {"reference_number": "x" * 101},
        {"amount": 0},
        {"amount": -1},
        {"amount": 0.001},
        {"amount": 1e20},
        {"payment_method": "x" * 51},
        {"notes": "x" * 2001},
        {"paid_at": "yesterday-ish"},
        {"paid_at": "2026-02-30"},
        {"paid_at": "infinity"},
        {"paid_at": "1999-12-31"},
        {"paid_at": "2199-01-01T00:00:00Z"},
    ],
)
def test_invalid_payment_is_quarantined_and_the_others_recorded(
    db: Connection, context: Context, bad: dict[str, Any]
) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    given = [payment(invoice, **bad), payment(invoice, reference_number="B")]
    results = call(db, context.erp, "erp_apply_payments", payments=given)
    assert [r["result"] for r in results] == ["INVALID_ARGUMENT", "APPLIED"]
    assert next(iter(bad)) in results[0]["details"]
    assert value(db, "select count(*) from app.invoice_payments") == 1
    assert [(s, t) for s, _, _, t in quarantine(db, context)] == [("payments", 1)]
    assert broken_invariants(db) == {}


def test_corrected_payment_leaves_the_quarantine(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    number = invoice["invoice_number"]
    for bad, reason in ((payment(invoice, amount=200_000), "PAYMENT_EXCEEDS_DUE"), ({}, None)):
        call(db, context.erp, "erp_apply_payments", payments=[payment(invoice) | bad])
        expected = [("payments", f"{number} A", reason, 1)] if reason else []
        assert quarantine(db, context) == expected
    call(db, context.erp, "erp_apply_payments", payments=[payment(invoice, invoice_number="NIL")])
    assert quarantine(db, context) == [("payments", "NIL A", "NOT_FOUND", 1)]
