"""Tryton's products, prices and stock."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from adapters.erp.port import Batch, Cursor, Level, Product, RefusedError
from adapters.erp.tryton_rpc import Client

BATCH = 1000
_DATES = ("create_date", "write_date")
_WHERE_A_CHANGE_SHOWS = ("", "template.", "list_prices.", "template.list_prices.")
"""A new price leaves the dates of product and template as they are."""


def since(cursor: Cursor | None, overlap: timedelta) -> datetime | None:
    """From when on to read. Dates are of a transaction's start: what took long commits behind the cursor."""
    return datetime.fromisoformat(cursor["after"]) - overlap if cursor else None


def changed(moment: datetime | None, where: Sequence[str] = ("",)) -> list[Any]:
    """The domain of what was made or changed at that moment or later: `>` would skip the equal."""
    if moment is None:
        return []
    return [["OR", *([f"{path}{name}", ">=", moment] for path in where for name in _DATES)]]


async def products(
    client: Client, cursor: Cursor | None, overlap: timedelta
) -> AsyncIterator[Batch[Product]]:
    """Changed products, by id; a run that breaks off goes on after the last batch that was stored."""
    known = cursor or {}
    last, next_after = int(known.get("id", 0)), known.get("next")
    moment = since(known if "after" in known else None, overlap)
    while True:
        rows = await client.search_read(
            "product.product",
            [["id", ">", last], ["code", "not in", [None, ""]], *changed(moment, _WHERE_A_CHANGE_SHOWS)],
            ["code", "name", "active", "salable", "list_price_used", "template.active"],
            limit=BATCH,
            context={"active_test": False},
        )
        next_after = next_after or client.clock.isoformat()
        remarks = [f"{row['code']} has no price in Tryton" for row in rows if row["list_price_used"] is None]
        found = [_product(row) for row in rows if row["list_price_used"] is not None]
        if len(rows) < BATCH:
            yield Batch(found, {"after": next_after}, remarks)
            return
        last = rows[-1]["id"]
        half_way = {"after": known.get("after"), "id": last, "next": next_after}
        yield Batch(found, {name: value for name, value in half_way.items() if value}, remarks)


def _product(row: dict[str, Any]) -> Product:
    return Product(
        sku=row["code"],
        name=row["name"] or row["code"],
        base_price=round(Decimal(row["list_price_used"]), 2),
        is_active=bool(row["active"] and row["template."]["active"] and row["salable"]),
    )


async def stock(client: Client, warehouses: Sequence[str]) -> AsyncIterator[Batch[Level]]:
    """All levels: on hand in storage and at the door, less what is sold and not yet gone."""
    zones = await _zones(client, warehouses)
    # Before the quantities: goods that leave meanwhile are counted out twice until the next sync,
    # never sold twice.
    sold = await _sold(client, zones)
    last, seen = 0, Counter[str]()
    while True:
        rows = await client.search_read(
            "product.product",
            [["id", ">", last], ["code", "not in", [None, ""]], ["type", "=", "goods"]],
            ["code", "quantity"],
            limit=BATCH,
            # Without locations Tryton's answer is 0, silently.
            context={"active_test": False, "locations": zones, "with_childs": True},
        )
        seen.update(row["code"] for row in rows)
        remarks = [f"several products have the code {code}" for code, times in seen.items() if times == 2]
        yield Batch(
            [
                Level(sku=row["code"], quantity=Decimal(row["quantity"] or 0) - sold[row["id"]])
                for row in rows
                if seen[row["code"]] == 1
            ],
            None,
            remarks if len(rows) < BATCH else [],
        )
        if len(rows) < BATCH:
            return
        last = rows[-1]["id"]


async def _zones(client: Client, warehouses: Sequence[str]) -> list[int]:
    """Storage and output zones; what lies in the input zone has not been put away yet."""
    domain: list[Any] = [["type", "=", "warehouse"]]
    if warehouses:
        domain.append(["code", "in", list(warehouses)])
    found = await client.search_read("stock.location", domain, ["storage_location", "output_location"])
    zones = {row[name] for row in found for name in ("storage_location", "output_location")}
    if not zones:
        raise RefusedError("Tryton has none of the warehouses that were named")
    return sorted(zones)


async def _sold(client: Client, zones: list[int]) -> Counter[int]:
    """Units by product that will leave to customers."""
    sold: Counter[int] = Counter()
    last = 0
    while True:
        moves = await client.search_read(
            "stock.move",
            [
                ["id", ">", last],
                ["state", "in", ["draft", "assigned"]],
                ["from_location", "child_of", zones, "parent"],
                ["to_location.type", "=", "customer"],
            ],
            ["product", "internal_quantity"],
            limit=BATCH,
        )
        for move in moves:
            sold[move["product"]] += Decimal(move["internal_quantity"])  # type: ignore[assignment]
        if len(moves) < BATCH:
            return sold
        last = moves[-1]["id"]
