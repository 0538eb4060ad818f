"""Orders in Tryton: exactly one sale for each order.

Tryton does not reject a second sale with the same reference and has no time limit for a `create`: an
abandoned request may be executed minutes later. Three safeguards, each for what passes the one before:

1. only one worker creates sales (adapters.erp.leader), and it searches the order's reference first;
2. after a `create` of unknown outcome, and after every start (the previous worker may have been killed during
   a `create`), nothing is created for `settle` seconds, longer than such a request lives;
3. a sale is created as a draft, which reserves no stock and has no invoice. Of several drafts one is
   confirmed and the others are deleted, even if they appear later (`delete_duplicates`).
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

_NEXT_STEP = {"draft": "quote", "quotation": "confirm", "confirmed": "process"}
_RANK = {"draft": 0, "quotation": 1, "confirmed": 2, "processing": 3, "done": 4}
_FIELDS = ("state", "number", "reference")
POINTS_LINE = "Potongan poin"


class Sales:
    """Creates and confirms sales.

    `settle` is in seconds; `leading_since` returns since when this worker leads, None if it does not.
    """

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

    async def take_order(self, order: Order) -> str:
        """The number of the order's only sale, created and confirmed if necessary; its stock is reserved."""
        if not await self._find(order.order_number):
            await self._create(order)
        sale = await self._keep_one(order.order_number)
        while step := _NEXT_STEP.get(sale["state"]):
            await self._client.call_confirming(f"model.sale.sale.{step}", [sale["id"]])
            [after] = await self._client.search_read("sale.sale", [["id", "=", sale["id"]]], _FIELDS)
            if after["state"] == sale["state"]:
                raise RefusedError(
                    f"{order.order_number}: '{step}' leaves the sale in state {after['state']}"
                )
            sale = after
        return str(sale["number"])

    async def ensure_settled(self) -> None:
        """Raise BusyError while a missing sale can still be created by an abandoned request."""
        since = await self._leading_since()
        if since is None:
            raise BusyError("another worker is leading", self._settle)
        if (left := max(since, self._last_unknown) + self._settle - self._clock()) > 0:
            raise BusyError("an abandoned request may still be running", left)

    async def delete_duplicates(self) -> list[str]:
        """Delete drafts of abandoned requests whose order has another sale; returns a text for each order."""
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
                await self._keep_one(reference)
                done.append(f"{reference}: {len(found) - 1} duplicate sale deleted")
        return done

    async def _find(self, reference: str) -> list[dict[str, Any]]:
        """The sales with this reference, the one to keep first."""
        rows = await self._client.search_read("sale.sale", [["reference", "=", reference]], _FIELDS)
        return sorted(rows, key=lambda row: (-_RANK.get(row["state"], -1), row["id"]))

    async def _keep_one(self, reference: str) -> dict[str, Any]:
        """The sale to keep; deletes other drafts.

        Raises RefusedError if the sale was cancelled in Tryton, or a second one was confirmed there.
        """
        found = await self._find(reference)
        if not found:
            raise UnknownOutcomeError(f"{reference}: the sale that was just created cannot be found")
        kept, *others = found
        if kept["state"] == "cancelled":
            raise RefusedError(f"{reference}: its sale {kept['number'] or ''} was cancelled in Tryton")
        for other in others:
            if other["state"] in ("draft", "quotation", "cancelled"):
                if other["state"] != "cancelled":
                    await self._client.call_confirming("model.sale.sale.cancel", [other["id"]])
                await self._client.call_confirming("model.sale.sale.delete", [other["id"]])
                logger.warning("%s: a duplicate sale was deleted", reference)
            else:
                raise RefusedError(f"{reference}: a second sale, {other['number']}, was confirmed in Tryton")
        return kept

    async def _create(self, order: Order) -> None:
        values = await self._values(order)
        await self.ensure_settled()
        try:
            await self._client.call("model.sale.sale.create", [values])
        except UnknownOutcomeError:
            self._last_unknown = self._clock()
            raise

    async def _values(self, order: Order) -> dict[str, Any]:
        party, address = await self._parties.ensure(order)
        products = await self._products([item.sku for item in order.items])
        lines: list[dict[str, Any]] = [
            {
                "type": "line",
                "product": products[item.sku]["id"],
                "unit": products[item.sku]["default_uom"],
                "quantity": item.quantity,
                "unit_price": item.unit_price,
            }
            for item in order.items
        ]
        if order.point_discount:
            lines.append(
                {
                    "type": "line",
                    "description": POINTS_LINE,
                    "quantity": 1,
                    "unit_price": -order.point_discount,
                }
            )
        invoices = [i.invoice_number for i in order.invoices or () if i.status != "CANCELLED"]
        return {
            "party": party,
            "invoice_address": address,
            "shipment_address": address,
            "reference": order.order_number,
            # tryton_payments reads the hub's invoice number from it.
            "description": invoices[0] if invoices else None,
            "invoice_method": "order",
            "shipment_method": "order",
            "lines": [("create", lines)],
        }

    async def _products(self, skus: list[str]) -> dict[str, dict[str, Any]]:
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
