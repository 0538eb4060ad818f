"""What is exchanged in one turn of each stream, between the port and the hub."""

import logging
import time
from datetime import datetime
from uuid import UUID

from postgrest import APIError

from adapters.erp.hub import Hub
from adapters.erp.port import Cancellation, Erp, LoginRefusedError, Order, RefusedError

logger = logging.getLogger(__name__)

LEVELS_AT_ONCE = 50_000
PAYMENTS_AT_ONCE = 1000
"""What the hub takes in one transaction, and in a few seconds: whoever orders meanwhile waits for it."""
_REFUSED_SECONDS = 300
"""An order that the ERP refused is offered again after so long: somebody may have put it right there."""
_WELL_SECONDS = 60
_CANCELLATIONS = 100
_REMARKS = 20


class Exchange:
    """Turns: each may break off anywhere and is then repeated. Raises ErpError, APIError, httpx.HTTPError."""

    def __init__(self, erp: Erp, hub: Hub, batch: int) -> None:
        self._erp = erp
        self._hub = hub
        self._batch = batch
        self._refused: dict[UUID, tuple[float, str]] = {}
        self._well_told_at = float("-inf")
        self._told: dict[str, str] = {}
        """Trouble that the hub knows of."""
        self.interval_seconds: float | None = None

    async def turn(self, stream: str) -> str:
        """One turn; returns what was done, in words."""
        told = await {
            "products": self._products,
            "stock": self._stock,
            "payments": self._payments,
            "orders": self._orders,
        }[stream]()
        if stream != "orders":
            await self._erp.stored(stream)
        return told

    async def fares_well(self, stream: str, detail: str) -> None:
        """Tell the hub; of the many looks for orders what is news, and now and then that all is well."""
        quiet = stream == "orders" and not detail and stream not in self._told
        if quiet and time.monotonic() - self._well_told_at < _WELL_SECONDS:
            return
        await self._hub.report(stream, detail, ok=True)
        if stream == "orders":
            self._well_told_at = time.monotonic()
        self._told.pop(stream, None)
        if detail:
            logger.info("%s: %s", stream, detail)

    async def fares_badly(self, stream: str, detail: str) -> None:
        """Tell the hub, once for the same trouble."""
        if self._told.get(stream) != detail:
            await self._hub.report(stream, detail, ok=False)
            self._told[stream] = detail

    async def _products(self) -> str:
        state = await self._hub.stream("products")
        self.interval_seconds = state.interval_minutes and state.interval_minutes * 60
        read, applied, remarks = 0, 0, list[str]()
        async for batch in self._erp.products(state.cursor):
            answer = await self._hub.apply_products(batch.rows, batch.cursor)
            read, applied = read + len(batch.rows), applied + int(answer["applied"])
            remarks += batch.remarks + [f"{row['sku']}: {row['reason']}" for row in answer["set_aside"]]
        return _told(f"{read} read, {applied} changed", remarks)

    async def _stock(self) -> str:
        # The moment comes first: what is sold from here on is not in the figures that follow.
        state = await self._hub.stream("stock")
        levels, cursor, remarks, count = [], None, list[str](), 0
        async for batch in self._erp.stock(state.cursor):
            remarks += batch.remarks
            count += len(batch.rows)
            if batch.read_at:
                # Clocks differ: no reading is of the hub's future.
                read_at = min(batch.read_at, state.read_at, key=datetime.fromisoformat)
                await self._hub.apply_stock(batch.rows, read_at, batch.cursor, complete=True)
                continue
            levels += batch.rows
            cursor = batch.cursor or cursor
        if count and not levels:
            return _told(f"{count} levels", remarks)
        for start in range(0, max(1, len(levels)), LEVELS_AT_ONCE):
            part = levels[start : start + LEVELS_AT_ONCE]
            last = start + LEVELS_AT_ONCE >= len(levels)
            answer = await self._hub.apply_stock(part, state.read_at, cursor if last else None, complete=last)
            remarks += [f"{sku} is unknown to the hub" for sku in answer["unknown_skus"]]
        return _told(f"{len(levels)} levels", remarks)

    async def _payments(self) -> str:
        state = await self._hub.stream("payments")
        counts: dict[str, int] = {}
        remarks: list[str] = []
        async for batch in self._erp.payments(state.cursor):
            for start in range(0, max(1, len(batch.rows)), PAYMENTS_AT_ONCE):
                part = batch.rows[start : start + PAYMENTS_AT_ONCE]
                last = start + PAYMENTS_AT_ONCE >= len(batch.rows)
                # Broken off in between, all of it comes again: a reference counts once.
                for line in await self._hub.apply_payments(part, batch.cursor if last else None):
                    result = line["result"]
                    counts[result] = counts.get(result, 0) + 1
                    if result not in ("APPLIED", "DUPLICATE"):
                        remarks.append(f"{line['invoice_number']} {line['reference_number']}: {result}")
            remarks += batch.remarks
        return _told(
            ", ".join(f"{count} {result}" for result, count in sorted(counts.items())) or "none", remarks
        )

    async def _orders(self) -> str:
        done = await self._erp.tidy()
        for cancellation in await self._hub.pending_cancellations(_CANCELLATIONS):
            done.append(await self._cancel(cancellation))
        refused: dict[UUID, tuple[float, str]] = {}
        for order in await self._hub.pending_orders(min(1000, self._batch + len(self._refused))):
            again, why = self._refused.get(order.order_id, (0.0, ""))
            if time.monotonic() < again:
                refused[order.order_id] = again, why
                continue
            try:
                done.append(await self._hand_over(order))
            except LoginRefusedError:
                raise
            except RefusedError as error:
                # One that cannot go does not keep the others.
                why = f"{order.order_number}: {error}"
                refused[order.order_id] = time.monotonic() + _REFUSED_SECONDS, why
        self._refused = refused
        if refused:
            raise RefusedError("; ".join(why for _, why in refused.values()))
        return "; ".join(done)

    async def _hand_over(self, order: Order) -> str:
        reference = await self._erp.take_order(order)
        try:
            await self._hub.ack_order(order.order_id, reference)
        except APIError as error:
            if error.code != "ILLEGAL_TRANSITION":
                raise
            # It was cancelled between our question and the ERP's answer.
            return await self._cancel(
                Cancellation(
                    order_id=order.order_id, order_number=order.order_number, erp_reference=reference
                )
            )
        return f"{order.order_number} is {reference}"

    async def _cancel(self, order: Cancellation) -> str:
        answer = await self._erp.cancel_order(order)
        await self._hub.ack_cancellation(order.order_id, answer.outcome, answer.note)
        return f"{order.order_number}: cancellation {answer.outcome} {answer.note}".rstrip()


def _told(what: str, remarks: list[str]) -> str:
    more = [f"and {len(remarks) - _REMARKS} more"] if len(remarks) > _REMARKS else []
    return "; ".join([what, *remarks[:_REMARKS], *more])
