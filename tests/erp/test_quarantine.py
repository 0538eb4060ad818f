"""What cannot be taken over is kept with its reason, listed, and taken over when it can be."""

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
    make_context,
    submit,
    value,
)


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def aside(db: Connection, context: Context) -> list[tuple[Any, ...]]:
    """Stream, key, reason and how often, as headquarters reads them."""
    with caller(db, "admin", context.admin.sub):
        return db.execute(
            "select stream, key, reason, times from api.erp_quarantine order by stream, key"
        ).fetchall()


def levels(db: Connection, context: Context, *told: tuple[str, float], **more: Any) -> Any:
    rows = [{"sku": sku, "quantity": quantity} for sku, quantity in told]
    return call(db, context.erp, "erp_apply_stock", levels=rows, **more)


def product(sku: str, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "name": "Sampo", "base_price": 1000} | more


def products(db: Connection, context: Context, *rows: dict[str, Any]) -> Any:
    return call(db, context.erp, "erp_apply_products", products=list(rows))


def test_the_last_level_of_an_unknown_product_is_applied_when_it_comes(
    db: Connection, context: Context
) -> None:
    levels(db, context, ("NEW", 3), ("SKU-000", 5))
    levels(db, context, ("NEW", 7), ("NEW", 8))
    assert aside(db, context) == [("stock", "NEW", "UNKNOWN_SKU", 2)]
    products(db, context, product("NEW"))
    row = "select s.erp_stock, s.last_sync_at is not null from app.inventory s join app.products p"
    assert db.execute(f"{row} on p.id = s.product_id where p.sku = 'NEW'".encode()).fetchone() == (8, True)
    assert aside(db, context) == []


def test_a_reading_from_before_does_not_replace_what_is_set_aside(db: Connection, context: Context) -> None:
    levels(db, context, ("NEW", 8))
    levels(db, context, ("NEW", 3), read_at=str(value(db, "select now() - interval '1 hour'")))
    assert value(db, "select payload ->> 'quantity' from app.erp_quarantine") == "8"


def test_a_level_that_comes_after_the_product_ends_the_waiting(db: Connection, context: Context) -> None:
    levels(db, context, ("NEW", 3))
    db.execute("insert into app.products (sku, name, base_price) values ('NEW', 'Sampo', 1)")
    levels(db, context, ("NEW", 4))
    assert aside(db, context) == []
    products(db, context, product("NEW"))
    assert value(db, "select erp_stock from app.inventory order by created_at desc, id desc limit 1") == 4


@pytest.mark.parametrize("quantity", [1e30, -1e30, 1_000_000_001])
def test_a_level_beyond_reason_keeps_none_of_the_others(
    db: Connection, context: Context, quantity: float
) -> None:
    told = levels(db, context, ("SKU-000", quantity), ("SKU-001", 3))
    assert (told["applied"], told["out_of_range_skus"]) == (1, ["SKU-000"])
    assert aside(db, context) == [("stock", "SKU-000", "quantity is not from -1000000000 to 1000000000", 1)]
    levels(db, context, ("SKU-000", 5))
    assert aside(db, context) == []


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
def test_a_row_of_which_no_product_can_be_made_keeps_none_of_the_others(
    db: Connection, context: Context, bad: dict[str, Any], reason: str
) -> None:
    row = product("BAD") | bad
    told = products(db, context, row, product("GOOD"))
    assert (told["applied"], [s["reason"] for s in told["set_aside"]]) == (1, [reason])
    assert aside(db, context) == [("products", row["sku"].strip(), reason, 1)]
    products(db, context, row)
    assert aside(db, context)[0][3] == 2
    if row["sku"] == "BAD":
        products(db, context, product("BAD"))
        assert aside(db, context) == []


def test_a_huge_row_is_kept_cut(db: Connection, context: Context) -> None:
    products(db, context, product("BAD", name="x" * 100_000))
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
def test_a_line_that_is_no_payment_is_answered_and_the_others_are_booked(
    db: Connection, context: Context, bad: dict[str, Any]
) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    given = [payment(invoice, **bad), payment(invoice, reference_number="B")]
    results = call(db, context.erp, "erp_apply_payments", payments=given)
    assert [r["result"] for r in results] == ["INVALID_ARGUMENT", "APPLIED"]
    assert next(iter(bad)) in results[0]["details"]
    assert value(db, "select count(*) from app.invoice_payments") == 1
    assert [(s, t) for s, _, _, t in aside(db, context)] == [("payments", 1)]
    assert broken_invariants(db) == {}


def test_a_payment_that_is_right_in_the_end_leaves_the_list(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    number = invoice["invoice_number"]
    for bad, reason in ((payment(invoice, amount=200_000), "PAYMENT_EXCEEDS_DUE"), ({}, None)):
        call(db, context.erp, "erp_apply_payments", payments=[payment(invoice) | bad])
        expected = [("payments", f"{number} A", reason, 1)] if reason else []
        assert aside(db, context) == expected
    call(db, context.erp, "erp_apply_payments", payments=[payment(invoice, invoice_number="NIL")])
    assert aside(db, context) == [("payments", "NIL A", "NOT_FOUND", 1)]
