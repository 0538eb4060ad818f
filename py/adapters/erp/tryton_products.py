"""Tryton's products, prices and stock."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
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
    """Changed products by id; an interrupted reading continues after the last stored batch.

    Codes that several products share are read again each time until they are corrected: only one of the
    products may be changed for that, and the others must follow.
    """
    known = cursor or {}
    last, next_after = int(known.get("id", 0)), known.get("next")
    moment = read_from(known if "after" in known else None, overlap)
    reported: set[str] = set(known.get("shared", ()))
    still_shared = set(reported) if "id" in known else set[str]()
    changed = changed_since(moment, _PATHS_WITH_DATES)
    if changed and reported:
        changed = [[*changed[0], ["code", "in", sorted(reported)]]]
    while True:
        rows = await client.search_read(
            "product.product",
            [["id", ">", last], ["code", "not in", [None, ""]], *changed],
            ["code", "name", "active", "salable", "list_price_used", "template.active"],
            limit=BATCH,
            context={"active_test": False},
        )
        next_after = next_after or client.clock.isoformat()
        shared = await _shared_codes(client, [row["code"] for row in rows])
        still_shared |= shared.keys()
        # Headquarters is notified of a code once.
        rejected = [
            f"several products have the code {code} in Tryton: none is imported"
            for code in shared
            if code not in reported
        ]
        complete = len(rows) < BATCH
        last = rows[-1]["id"] if rows else last
        position = {
            "after": next_after if complete else known.get("after"),
            "id": None if complete else last,
            "next": None if complete else next_after,
            "shared": sorted(still_shared if complete else still_shared | reported),
        }
        yield Batch(
            [_product(row, shared) for row in rows],
            {name: value for name, value in position.items() if value},
            rejected=rejected,
        )
        if complete:
            return


async def _shared_codes(client: Client, codes: Sequence[str]) -> dict[str, list[int]]:
    """The codes that several products have, changed or not, with the ids: it is unknown which is meant."""
    if not codes:
        return {}
    rows = await client.search_read(
        "product.product", [["code", "in", sorted(set(codes))]], ["code"], context={"active_test": False}
    )
    ids: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        ids[row["code"]].append(row["id"])
    return {code: sorted(found) for code, found in sorted(ids.items()) if len(found) > 1}


def _product(row: dict[str, Any], shared: Mapping[str, list[int]]) -> Product:
    price, set_aside = row["list_price_used"], None
    if row["code"] in shared:
        ids = ", ".join(map(str, shared[row["code"]]))
        set_aside = f"several products have this code in Tryton (ids {ids})"
    elif price is None:
        set_aside = "it has no price in Tryton"
    return Product(
        sku=row["code"],
        name=row["name"] or row["code"],
        base_price=round(Decimal(price or 0), 2),
        is_active=bool(row["active"] and row["template."]["active"] and row["salable"]),
        set_aside=set_aside,
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
