"""Tryton's products, prices and stock."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from adapters.erp.port import Batch, Cursor, Product, RefusedError, StockLevel
from adapters.erp.tryton_rpc import Client

BATCH = 1000
_DATES = ("create_date", "write_date")
_PATHS_WITH_DATES = ("", "template.", "list_prices.", "template.list_prices.")
"""A new price changes neither the date of its product nor that of the template."""


def read_from(cursor: Cursor | None, overlap: timedelta) -> datetime | None:
    """The time from which to read changes; None for all.

    Tryton's dates are those of a transaction's start: a long transaction commits rows behind the cursor.
    """
    return datetime.fromisoformat(cursor["after"]) - overlap if cursor else None


def changed_since(moment: datetime | None, where: Sequence[str] = ("",)) -> list[Any]:
    """A domain for rows created or changed at `moment` or later; `where` are paths to rows with dates.

    With `>`, rows of the same time as the cursor's would be skipped.
    """
    if moment is None:
        return []
    return [["OR", *([f"{path}{name}", ">=", moment] for path in where for name in _DATES)]]


async def read_products(
    client: Client, cursor: Cursor | None, overlap: timedelta
) -> AsyncIterator[Batch[Product]]:
    """Changed products by id; an interrupted reading continues after the last stored batch."""
    known = cursor or {}
    last, next_after = int(known.get("id", 0)), known.get("next")
    moment = read_from(known if "after" in known else None, overlap)
    while True:
        rows = await client.search_read(
            "product.product",
            [["id", ">", last], ["code", "not in", [None, ""]], *changed_since(moment, _PATHS_WITH_DATES)],
            ["code", "name", "active", "salable", "list_price_used", "template.active"],
            limit=BATCH,
            context={"active_test": False},
        )
        next_after = next_after or client.clock.isoformat()
        shared = await _shared_codes(client, [row["code"] for row in rows])
        remarks = [f"{row['code']} has no price in Tryton" for row in rows if row["list_price_used"] is None]
        rejected = [f"several products have the code {code} in Tryton: none is imported" for code in shared]
        found = [
            _product(row) for row in rows if row["list_price_used"] is not None and row["code"] not in shared
        ]
        if len(rows) < BATCH:
            yield Batch(found, {"after": next_after}, remarks, rejected=rejected)
            return
        last = rows[-1]["id"]
        position = {"after": known.get("after"), "id": last, "next": next_after}
        yield Batch(
            found, {name: value for name, value in position.items() if value}, remarks, rejected=rejected
        )


async def _shared_codes(client: Client, codes: Sequence[str]) -> list[str]:
    """Those codes that several products have, changed or not: it is unknown which of them is meant."""
    if not codes:
        return []
    rows = await client.search_read(
        "product.product", [["code", "in", sorted(set(codes))]], ["code"], context={"active_test": False}
    )
    return sorted(code for code, times in Counter(row["code"] for row in rows).items() if times > 1)


def _product(row: dict[str, Any]) -> Product:
    return Product(
        sku=row["code"],
        name=row["name"] or row["code"],
        base_price=round(Decimal(row["list_price_used"]), 2),
        is_active=bool(row["active"] and row["template."]["active"] and row["salable"]),
    )


async def read_stock(client: Client, warehouses: Sequence[str]) -> AsyncIterator[Batch[StockLevel]]:
    """All levels: on hand in the storage and output zones, less what is sold and has not left yet."""
    zones = await _zones(client, warehouses)
    # Read before the quantities: units that leave in between are subtracted twice until the next sync.
    # In the other order they would be counted as available.
    sold = await _sold(client, zones)
    last, found = 0, list[tuple[str, Decimal]]()
    while True:
        rows = await client.search_read(
            "product.product",
            [["id", ">", last], ["code", "not in", [None, ""]], ["type", "=", "goods"]],
            ["code", "quantity"],
            limit=BATCH,
            # Without locations Tryton answers 0.
            context={"active_test": False, "locations": zones, "with_childs": True},
        )
        found += [(row["code"], Decimal(row["quantity"] or 0) - sold[row["id"]]) for row in rows]
        if len(rows) < BATCH:
            break
        last = rows[-1]["id"]
    # A second product of a code may follow much later: no level is certain before all are read.
    times = Counter(code for code, _ in found)
    yield Batch(
        [StockLevel(sku=code, quantity=quantity) for code, quantity in found if times[code] == 1],
        None,
        [f"several products have the code {code}" for code, count in times.items() if count > 1],
    )


async def _zones(client: Client, warehouses: Sequence[str]) -> list[int]:
    """Ids of the storage and output zones. Goods in the input zone have not been put away yet."""
    domain: list[Any] = [["type", "=", "warehouse"]]
    if warehouses:
        domain.append(["code", "in", list(warehouses)])
    found = await client.search_read("stock.location", domain, ["storage_location", "output_location"])
    zones = {row[name] for row in found for name in ("storage_location", "output_location")}
    if not zones:
        raise RefusedError("Tryton has none of the warehouses in HUB_ERP_WAREHOUSES")
    return sorted(zones)


async def _sold(client: Client, zones: list[int]) -> Counter[int]:
    """Units that are sold and have not left yet, by product."""
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
