"""What readings of Tryton report to headquarters; Tryton itself is a table here."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest

from adapters.erp import tryton_payments, tryton_products
from adapters.erp.port import Batch
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
                rows = [row for row in rows if row.get("changed", True)]
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
    zone = {"id": 1, "storage_location": 1, "output_location": 2}
    client = cast(Client, Table(product_product=products, stock_location=[zone]))
    cursor = {"after": NOW.isoformat()}
    batches = read(read_products(client, cursor, timedelta(0)))
    assert [row.sku for batch in batches for row in batch.rows] == ["C"]
    reported = {text for batch in batches for text in batch.rejected}
    assert reported == {
        f"several products have the code {code} in Tryton: none is imported" for code in ("A", "B")
    }
    [levels] = read(read_stock(client, []))
    assert [(row.sku, row.quantity) for row in levels.rows] == [("C", 3)]
    assert levels.remarks == ["several products have the code A", "several products have the code B"]


def test_payment_taken_back_is_reported_to_headquarters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tryton_payments, "BATCH", 2)
    invoice = {
        "id": 1,
        "number": "F-1",
        "sales.": [{"description": "INV-1", "reference": "ORD-1"}],
        "payment_lines": [1],
        "reconciliation_lines": [2],
    }

    def line(number: int, credit: int, debit: int) -> dict[str, Any]:
        move = {
            "number": f"M-{number}",
            "date": date(2026, 1, 1),
            "description": "",
            "journal.": {"name": "Bank", "type": "cash"},
        }
        return {"id": number, "credit": credit, "debit": debit, "move.": move}

    client = cast(
        Client, Table(account_invoice=[invoice], account_move_line=[line(1, 500, 0), line(2, 0, 500)])
    )
    [batch] = read(read_payments(client, None, timedelta(0), 7))
    assert [row.reference_number for row in batch.rows] == ["TRYTON-M-1"]
    assert batch.rejected == ["INV-1: M-2 reverses 500 in Tryton: correct it in the hub too"]
    assert batch.cursor == {"after": NOW.isoformat()}
