"""Orders in Tryton: one sale each, whatever happens in between.

Tryton guards no reference against a second sale, and has no time limit for a `create`: a request that was
given up may still be carried out minutes later. So there are three fences, each good for what the one before
lets through:

1. one worker at a time creates (adapters.erp.leader), and looks for the order's reference first;
2. after a `create` of unknown outcome, and after every start (a predecessor may have been killed in one),
   nothing is created until `settle` seconds have passed, by when such a request is over;
3. a sale is created as a draft, which promises no stock and makes no invoice. Of several drafts, were there
   ever any, one is brought forward and the others are deleted, also if they come to light later (`tidy`).
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.erp.port import (
    BusyError,
    Order,
    RefusedError,
    UnknownOutcomeError,
)
from adapters.erp.tryton_parties import Parties
from adapters.erp.tryton_rpc import Client

logger = logging.getLogger(__name__)

LeadingSince = Callable[[], Awaitable[float | None]]

_FORWARD = {"draft": "quote", "quotation": "confirm", "confirmed": "process"}
_RANK = {"draft": 0, "quotation": 1, "confirmed": 2, "processing": 3, "done": 4}
_FIELDS = ("state", "number", "reference")
POINTS = "Potongan poin"


class Sales:
    """Takes orders. `leading_since` tells from when on we are the one who creates; None if we are not."""

    def __init__(
        self,
        client: Client,
        settle: float,
        leading_since: LeadingSince,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._parties = Parties(client)
        self._settle = settle
        self._leading_since = leading_since
        self._clock = clock
        self._last_unknown = float("-inf")

    async def take(self, order: Order) -> str:
        """The number of the order's one sale, which by then is confirmed and has its goods promised."""
        if not await self._find(order.order_number):
            await self._create(order)
        sale = await self._only_one(order.order_number)
        while step := _FORWARD.get(sale["state"]):
            await self._client.agree(f"model.sale.sale.{step}", [sale["id"]])
            [after] = await self._client.search_read("sale.sale", [["id", "=", sale["id"]]], _FIELDS)
            if after["state"] == sale["state"]:
                raise RefusedError(
                    f"{order.order_number}: '{step}' leaves the sale in state {after['state']}"
                )
            sale = after
        return str(sale["number"])

    async def calm(self) -> None:
        """Raises BusyError while what is not there may still come."""
        since = await self._leading_since()
        if since is None:
            raise BusyError("it is another worker's turn", self._settle)
        if (left := max(since, self._last_unknown) + self._settle - self._clock()) > 0:
            raise BusyError("a request that was given up may still be under way", left)

    async def tidy(self) -> list[str]:
        """Delete drafts whose order has another sale by now: late children of requests that were given up."""
        drafts = await self._client.search_read(
            "sale.sale",
            [
                ["state", "in", ["draft", "quotation"]],
                ["create_uid", "=", self._client.user],
                ["reference", "!=", None],
            ],
            _FIELDS,
        )
        done = []
        for reference in sorted({draft["reference"] for draft in drafts}):
            if len(found := await self._find(reference)) > 1:
                await self._only_one(reference)
                done.append(f"{reference}: {len(found) - 1} superfluous sale deleted")
        return done

    async def _find(self, reference: str) -> list[dict[str, Any]]:
        """The sales under this reference, the one to keep first."""
        rows = await self._client.search_read("sale.sale", [["reference", "=", reference]], _FIELDS)
        return sorted(rows, key=lambda row: (-_RANK.get(row["state"], -1), row["id"]))

    async def _only_one(self, reference: str) -> dict[str, Any]:
        found = await self._find(reference)
        if not found:
            raise UnknownOutcomeError(f"{reference}: the sale that was just made cannot be found")
        kept, *others = found
        if kept["state"] == "cancelled":
            raise RefusedError(f"{reference}: its sale {kept['number'] or ''} was cancelled in Tryton")
        for other in others:
            if other["state"] in ("draft", "quotation", "cancelled"):
                if other["state"] != "cancelled":
                    await self._client.agree("model.sale.sale.cancel", [other["id"]])
                await self._client.agree("model.sale.sale.delete", [other["id"]])
                logger.warning("%s: a second sale is deleted", reference)
            else:
                raise RefusedError(f"{reference}: somebody confirmed a second sale, {other['number']}")
        return kept

    async def _create(self, order: Order) -> None:
        values = await self._values(order)
        await self.calm()
        try:
            await self._client.call("model.sale.sale.create", [values])
        except UnknownOutcomeError:
            self._last_unknown = self._clock()
            raise

    async def _values(self, order: Order) -> dict[str, Any]:
        party, address = await self._parties.of(order)
        goods = await self._goods([item.sku for item in order.items])
        lines: list[dict[str, Any]] = [
            {
                "type": "line",
                "product": goods[item.sku]["id"],
                "unit": goods[item.sku]["default_uom"],
                "quantity": item.quantity,
                "unit_price": item.unit_price,
            }
            for item in order.items
        ]
        if order.point_discount:
            lines.append(
                {"type": "line", "description": POINTS, "quantity": 1, "unit_price": -order.point_discount}
            )
        invoices = [i.invoice_number for i in order.invoices or () if i.status != "CANCELLED"]
        return {
            "party": party,
            "invoice_address": address,
            "shipment_address": address,
            "reference": order.order_number,
            # Payments find their way back by it.
            "description": invoices[0] if invoices else None,
            "invoice_method": "order",
            "shipment_method": "order",
            "lines": [("create", lines)],
        }

    async def _goods(self, skus: list[str]) -> dict[str, dict[str, Any]]:
        rows = await self._client.search_read(
            "product.product", [["code", "in", skus]], ["code", "default_uom"]
        )
        found = {row["code"]: row for row in rows}
        if missing := sorted(set(skus) - set(found)):
            raise RefusedError(f"Tryton has no product {', '.join(missing)}")
        if len(rows) > len(found):
            raise RefusedError(
                f"Tryton has several products under one of the codes {', '.join(sorted(found))}"
            )
        return found
