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
    pay,
    refusal,
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


def test_row_that_the_erp_is_not_sure_of_is_quarantined_with_its_reason(
    db: Connection, context: Context
) -> None:
    reason = "several products have this code in Tryton (ids 1, 4)"
    found = apply_products(db, context, product("NEW", set_aside=reason, base_price=0), product("B"))
    assert found == {"applied": 1, "set_aside": [{"sku": "NEW", "reason": reason}]}
    assert quarantine(db, context) == [("products", "NEW", reason, 1)]
    apply_products(db, context, product("NEW", set_aside=reason))
    assert quarantine(db, context) == [("products", "NEW", reason, 2)]
    apply_products(db, context, product("NEW", set_aside=" "))
    assert quarantine(db, context) == []
    assert refusal(db, context.erp, "erp_apply_products", products=[product("A", set_aside=7)]) == (
        "INVALID_ARGUMENT"
    )


def apply_complete(db: Connection, context: Context, invoice: Any, *rows: dict[str, Any]) -> list[str]:
    """The ERP lists all payments of an invoice; returns the results."""
    complete = [invoice["invoice_number"], "UNKNOWN"]
    results = call(db, context.erp, "erp_apply_payments", payments=list(rows), complete=complete)
    return [f"{r['reference_number']} {r['result']}" for r in results]


def taken_back(db: Connection, context: Context) -> list[tuple[str, int]]:
    """The payments that headquarters sees as taken back, and how often they were read."""
    return [(key.split()[-1], times) for _, key, why, times in quarantine(db, context) if why == "TAKEN_BACK"]


def notices(db: Connection) -> list[str]:
    """What headquarters was notified of, without the repetition for each admin."""
    query = "select variables ->> 'error' from app.messages where template = 'erp_trouble' order by position"
    return list(dict.fromkeys(row[0] for row in db.execute(query)))


def test_payment_that_the_erp_lists_no_more_is_reported_once(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    number = invoice["invoice_number"]
    both = [payment(invoice, reference_number=reference, amount=50) for reference in ("Tf 1", "B")]
    assert apply_complete(db, context, invoice, *both) == ["Tf 1 APPLIED", "B APPLIED"]
    assert apply_complete(db, context, invoice, *both) == ["Tf 1 DUPLICATE", "B DUPLICATE"]
    assert (taken_back(db, context), notices(db)) == ([], [])
    for times in (1, 2):
        assert apply_complete(db, context, invoice, both[0] | {"reference_number": "tf1"}) == [
            "tf1 DUPLICATE",
            "B TAKEN_BACK",
        ]
        assert taken_back(db, context) == [("B", times)]
    assert notices(db) == [
        f"pembayaran ditarik kembali di ERP, periksa dan batalkan juga di sini: {number} B (Rp50)"
    ]
    assert apply_complete(db, context, invoice) == ["B TAKEN_BACK", "Tf 1 TAKEN_BACK"]
    assert notices(db)[1].endswith(f"di sini: {number} Tf 1 (Rp50)")
    assert value(db, "select amount_paid from app.invoices where id = %s", invoice["id"]) == 100
    assert broken_invariants(db) == {}


def test_payment_that_returns_or_is_reversed_leaves_the_quarantine(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    rows = [payment(invoice, reference_number=reference, amount=50) for reference in ("A", "B")]
    apply_complete(db, context, invoice, *rows)
    apply_complete(db, context, invoice)
    apply_complete(db, context, invoice, rows[0])
    assert taken_back(db, context) == [("B", 2)]
    reversed_id = value(db, "select id from app.invoice_payments where reference_number = 'B'")
    call(db, context.admin, "reverse_payment", payment_id=reversed_id, reason="Ditarik di ERP")
    assert quarantine(db, context) == []
    assert apply_complete(db, context, invoice, rows[0]) == ["A DUPLICATE"]
    assert len(notices(db)) == 1, "both at once"


def test_reversal_that_the_erp_lists_is_reported_once(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    rows = [payment(invoice, amount=50), payment(invoice, reference_number="M-2", amount=-50)]
    for result in ("APPLIED", "DUPLICATE"):
        assert apply_complete(db, context, invoice, *rows) == [f"A {result}", "M-2 TAKEN_BACK"]
    assert [notice.split(": ")[1] for notice in notices(db)] == [f"{invoice['invoice_number']} M-2 (-Rp50)"]


def test_payment_of_an_admin_is_not_missed_in_the_erp(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    pay(db, context, invoice, 70, "BCA 1")
    assert apply_complete(db, context, invoice, payment(invoice, amount=50)) == ["A APPLIED"]
    call(db, context.erp, "erp_apply_payments", payments=[])
    assert (taken_back(db, context), notices(db)) == ([], [])


@pytest.mark.parametrize("complete", [{}, [1], [None], ["x"] * 10_001])
def test_invalid_list_of_complete_invoices_is_refused(
    db: Connection, context: Context, complete: Any
) -> None:
    found = refusal(db, context.erp, "erp_apply_payments", payments=[], complete=complete)
    assert found == "INVALID_ARGUMENT"
