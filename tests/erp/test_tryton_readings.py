"""What readings of Tryton report to headquarters; Tryton itself is a table here."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from adapters.erp import tryton_payments, tryton_products
from adapters.erp.port import Batch, Cursor, Payment, Product
from adapters.erp.tryton_payments import read_payments
from adapters.erp.tryton_products import read_products, read_stock
from adapters.erp.tryton_rpc import Client

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Table:
    """Answers `search_read` with the rows of the model that fulfil the simple conditions of the domain."""

    clock = NOW

    def __init__(self, **models: list[dict[str, Any]]) -> None:
        self._models = models

    async def search_read(
        self, model: str, domain: list[Any], fields: Any, limit: int | None = None, context: Any = None
    ) -> list[dict[str, Any]]:
        rows = self._models.get(model.replace(".", "_"), [])
        for condition in domain:
            if condition[0] == "OR":
                wanted: list[str] = next(
                    (part[2] for part in condition[1:] if part[:2] == ["code", "in"]), []
                )
                rows = [row for row in rows if row.get("changed", True) or row.get("code") in wanted]
            elif condition[:2] == ["id", ">"]:
                rows = [row for row in rows if row["id"] > condition[2]]
            elif condition[0] == "code" and condition[1] == "in":
                rows = [row for row in rows if row["code"] in condition[2]]
        return rows[:limit]


def read(batches: AsyncIterator[Batch[Any]]) -> list[Batch[Any]]:
    async def run() -> list[Batch[Any]]:
        return [batch async for batch in batches]

    return asyncio.run(run())


def product(number: int, code: str, *, changed: bool = True) -> dict[str, Any]:
    return {
        "id": number,
        "code": code,
        "name": code,
        "active": True,
        "salable": True,
        "list_price_used": 100,
        "template.": {"active": True},
        "quantity": number,
        "changed": changed,
    }


def products_of(table: list[dict[str, Any]], cursor: Cursor | None) -> list[Batch[Product]]:
    return read(read_products(cast(Client, Table(product_product=table)), cursor, timedelta(0)))


def test_products_that_share_a_code_are_set_aside_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # In batches of two, the second A is read later; the second B has not changed and is not read at all.
    monkeypatch.setattr(tryton_products, "BATCH", 2)
    products = [
        product(1, "A"),
        product(2, "B"),
        product(3, "C"),
        product(4, "A"),
        product(5, "B", changed=False),
    ]
    batches = products_of(products, {"after": NOW.isoformat()})
    found = {row.sku: row.set_aside for batch in batches for row in batch.rows}
    assert found == {
        "A": "several products have this code in Tryton (ids 1, 4)",
        "B": "several products have this code in Tryton (ids 2, 5)",
        "C": None,
    }
    reported = {text for batch in batches for text in batch.rejected}
    assert reported == {
        f"several products have the code {code} in Tryton: none is imported" for code in ("A", "B")
    }
    zone = {"id": 1, "storage_location": 1, "output_location": 2}
    client = cast(Client, Table(product_product=products, stock_location=[zone]))
    [levels] = read(read_stock(client, []))
    assert [(row.sku, row.quantity) for row in levels.rows] == [("C", 3)]
    assert levels.remarks == ["several products have the code A", "several products have the code B"]


def test_shared_code_is_reported_once_and_imported_after_its_correction() -> None:
    """Only the product that got another code was changed for that; the other one must follow."""
    table = [product(1, "A"), product(2, "A"), product(3, "C")]
    [first] = products_of(table, None)
    assert (len(first.rejected), first.cursor) == (1, {"after": NOW.isoformat(), "shared": ["A"]})
    for row in table:
        row["changed"] = False
    [second] = products_of(table, first.cursor)
    assert [(row.sku, bool(row.set_aside)) for row in second.rows] == [("A", True), ("A", True)]
    assert (second.rejected, second.cursor) == ([], first.cursor)
    table[1] |= {"code": "B", "changed": True}
    [third] = products_of(table, second.cursor)
    assert [(row.sku, row.set_aside) for row in third.rows] == [("A", None), ("B", None)]
    assert third.cursor == {"after": NOW.isoformat()}


def test_shared_codes_of_an_interrupted_reading_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tryton_products, "BATCH", 2)
    table = [product(1, "A"), product(2, "A"), product(3, "C")]
    first, last = products_of(table, {"after": NOW.isoformat(), "shared": ["Z"]})
    assert first.cursor == {"after": NOW.isoformat(), "id": 2, "next": NOW.isoformat(), "shared": ["A", "Z"]}
    assert last.cursor == {"after": NOW.isoformat(), "shared": ["A"]}
    [resumed] = products_of(table, first.cursor)
    assert resumed.cursor == {"after": NOW.isoformat(), "shared": ["A", "Z"]}, "Z goes with the next reading"


def test_product_without_a_price_is_set_aside() -> None:
    [batch] = products_of([product(1, "A") | {"list_price_used": None}], None)
    assert [(row.base_price, row.set_aside) for row in batch.rows] == [
        (Decimal(0), "it has no price in Tryton")
    ]


def invoice(number: int, hub_number: str, *lines: int) -> dict[str, Any]:
    return {
        "id": number,
        "number": f"F-{number}",
        "sales.": [{"description": hub_number, "reference": "ORD-1"}],
        "payment_lines": list(lines[:1]),
        "reconciliation_lines": list(lines[1:]),
    }


def payment_line(number: int, credit: int, debit: int = 0, journal: str = "cash") -> dict[str, Any]:
    move = {
        "number": f"M-{number}",
        "date": date(2026, 1, 1),
        "description": "",
        "journal.": {"name": "Bank", "type": journal},
    }
    return {"id": number, "credit": credit, "debit": debit, "move.": move}


def payments_of(invoices: list[dict[str, Any]], lines: list[dict[str, Any]]) -> list[Batch[Payment]]:
    client = cast(Client, Table(account_invoice=invoices, account_move_line=lines))
    return read(read_payments(client, None, timedelta(0), 7))


def test_reversal_in_tryton_is_a_negative_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tryton_payments, "BATCH", 2)
    lines = [payment_line(1, 500), payment_line(2, 0, 500), payment_line(3, 0, 7, "write-off")]
    [batch] = payments_of([invoice(1, "INV-1", 1, 2, 3)], lines)
    assert [(row.reference_number, row.amount) for row in batch.rows] == [
        ("TRYTON-M-1", Decimal(500)),
        ("TRYTON-M-2", Decimal(-500)),
    ]
    assert (batch.complete, batch.cursor) == (["INV-1"], {"after": NOW.isoformat()})


def test_payments_are_complete_only_for_an_invoice_that_tryton_has_once() -> None:
    """An invoice that Tryton billed in two parts has payments that this reading may lack."""
    invoices = [invoice(1, "INV-1", 1), invoice(2, "INV-2"), invoice(3, "INV-3"), invoice(4, "INV-3")]
    [batch] = payments_of(invoices, [payment_line(1, 500)])
    assert batch.complete == ["INV-1", "INV-2"]
