"""One round of each stream, between the ERP's port and the hub."""

import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from postgrest import APIError

from adapters.erp.hub import PERMANENT_ERRORS, HubClient, StreamState
from adapters.erp.port import (
    Batch,
    Cancellation,
    Erp,
    LoginRefusedError,
    Order,
    Payment,
    RefusedError,
    RejectedError,
    StockLevel,
)

logger = logging.getLogger(__name__)

LEVELS_PER_CALL = 50_000
PAYMENTS_PER_CALL = 1000
"""The hub applies a call in one transaction, for which concurrent orders wait: a few seconds at most."""
_REFUSED_SECONDS = 300
"""After this time a refused order is offered again: its cause may have been fixed in the ERP."""
_SUCCESS_REPORT_SECONDS = 60
_CANCELLATIONS_PER_CALL = 100
_MAX_REMARKS = 20


@dataclass(frozen=True)
class Summary:
    """The result of a round."""

    text: str
    remarks: list[str] = field(default_factory=list)
    """What people should know, such as skipped rows."""

    def __str__(self) -> str:
        return _joined([self.text] if self.text else [], self.remarks)


class Exchange:
    """Rounds of the streams: each may end anywhere and is then repeated.

    Methods raise ErpError, and as `GatewayClient.call`.
    """

    def __init__(self, erp: Erp, hub: HubClient, batch: int) -> None:
        self._erp = erp
        self._hub = hub
        self._batch = batch
        self._refused: dict[UUID, tuple[float, str]] = {}
        """When to offer a refused order again (time.monotonic), and why it was refused."""
        self._success_reported_at = float("-inf")
        self._reported_errors: dict[str, str] = {}
        self._rejected: defaultdict[str, dict[str, None]] = defaultdict(dict)
        """What the source of each stream has to correct and the hub was not notified of, without repetitions.

        A rejected file is not read again, so a round that fails later keeps its text for the next one.
        """
        self.interval_seconds: float | None = None
        """The hub's interval between two synchronisations, once known."""

    async def run(self, stream: str) -> Summary:
        """One round of a stream.

        Raises RejectedError at the end of a round in which files or rows were rejected.
        """
        summary = await {
            "products": self._products,
            "stock": self._stock,
            "payments": self._payments,
            "orders": self._orders,
        }[stream]()
        if stream != "orders":
            await self._erp.confirm_stored(stream)
        if rejected := self._rejected[stream]:
            raise RejectedError(_joined(["rejected"], [*rejected]) + f"; stored: {summary}")
        return summary

    async def report_success(self, stream: str, summary: Summary) -> None:
        """Report a successful round to the hub; of polls without orders only one a minute."""
        detail = str(summary)
        quiet = stream == "orders" and not detail and stream not in self._reported_errors
        if quiet and time.monotonic() - self._success_reported_at < _SUCCESS_REPORT_SECONDS:
            return
        await self._hub.report(stream, detail, ok=True, remarks=_joined([], summary.remarks))
        if stream == "orders":
            self._success_reported_at = time.monotonic()
        self._reported_errors.pop(stream, None)
        if detail:
            logger.info("%s: %s", stream, detail)

    async def report_failure(self, stream: str, detail: str, *, notify: bool = False) -> None:
        """Report a failed round to the hub, unless it has the same error already.

        `notify`: headquarters has to act, whether or not the next round succeeds.
        """
        if self._reported_errors.get(stream) != detail:
            await self._hub.report(stream, detail, ok=False, notify=notify)
            self._reported_errors[stream] = detail
        if notify:
            self._rejected[stream] = {}

    @asynccontextmanager
    async def _offered(self, stream: str, batch: Batch[Any]) -> AsyncIterator[None]:
        """Reject the source of a batch that the hub refuses for good, so that it does not block others."""
        self._rejected[stream] |= dict.fromkeys(batch.rejected)
        try:
            yield
        except APIError as error:
            if batch.reject is None or error.code not in PERMANENT_ERRORS:
                raise
            reason = ": ".join(text for text in (error.message, error.details) if text)
            self._rejected[stream][await batch.reject(reason)] = None

    async def _state(self, stream: str) -> StreamState:
        state = await self._hub.stream_state(stream)
        self.interval_seconds = state.interval_minutes and state.interval_minutes * 60
        return state

    async def _products(self) -> Summary:
        state = await self._state("products")
        read, applied, remarks = 0, 0, list[str]()
        async for batch in self._erp.products(state.cursor):
            async with self._offered("products", batch):
                answer = await self._hub.apply_products(batch.rows, batch.cursor)
                read, applied = read + len(batch.rows), applied + int(answer["applied"])
                remarks += batch.remarks + [f"{row['sku']}: {row['reason']}" for row in answer["set_aside"]]
        return Summary(f"{read} read, {applied} changed", remarks)

    async def _stock(self) -> Summary:
        # The time is taken before the reading: units sold from then on are not in the ERP's figures.
        state = await self._state("stock")
        levels, cursor, remarks, count = list[StockLevel](), None, list[str](), 0
        async for batch in self._erp.stock(state.cursor):
            remarks += batch.remarks
            count += len(batch.rows)
            if batch.read_at:
                # Clocks differ: a reading must not be in the hub's future.
                read_at = min(batch.read_at, state.read_at, key=datetime.fromisoformat)
                async with self._offered("stock", batch):
                    answer = await self._hub.apply_stock(batch.rows, read_at, batch.cursor, complete=True)
                    remarks += [f"{sku} is unknown to the hub" for sku in answer["unknown_skus"]]
                continue
            self._rejected["stock"] |= dict.fromkeys(batch.rejected)
            levels += batch.rows
            cursor = batch.cursor or cursor
        if count and not levels:
            return Summary(f"{count} levels", remarks)
        for start in range(0, max(1, len(levels)), LEVELS_PER_CALL):
            part = levels[start : start + LEVELS_PER_CALL]
            last = start + LEVELS_PER_CALL >= len(levels)
            answer = await self._hub.apply_stock(part, state.read_at, cursor if last else None, complete=last)
            remarks += [f"{sku} is unknown to the hub" for sku in answer["unknown_skus"]]
        return Summary(f"{len(levels)} levels", remarks)

    async def _payments(self) -> Summary:
        state = await self._state("payments")
        counts: dict[str, int] = {}
        remarks: list[str] = []
        async for batch in self._erp.payments(state.cursor):
            async with self._offered("payments", batch):
                parts = _parts(batch)
                for number, (rows, complete) in enumerate(parts, 1):
                    # After a failure in between, all parts are repeated: the hub records a reference once.
                    cursor = batch.cursor if number == len(parts) else None
                    for line in await self._hub.apply_payments(rows, complete, cursor):
                        result = line["result"]
                        counts[result] = counts.get(result, 0) + 1
                        if result not in ("APPLIED", "DUPLICATE"):
                            remarks.append(f"{line['invoice_number']} {line['reference_number']}: {result}")
            remarks += batch.remarks
        totals = ", ".join(f"{count} {result}" for result, count in sorted(counts.items()))
        return Summary(totals or "none", remarks)

    async def _orders(self) -> Summary:
        await self._hub.stream_state("orders")  # raises while the hub expects another ERP
        done = await self._erp.clean_up()
        for cancellation in await self._hub.pending_cancellations(_CANCELLATIONS_PER_CALL):
            done.append(await self._cancel(cancellation))
        refused: dict[UUID, tuple[float, str]] = {}
        for order in await self._hub.pending_orders(min(1000, self._batch + len(self._refused))):
            retry_at, reason = self._refused.get(order.order_id, (0.0, ""))
            if time.monotonic() < retry_at:
                refused[order.order_id] = retry_at, reason
                continue
            try:
                done.append(await self._export(order))
            except LoginRefusedError:
                raise
            except (RefusedError, APIError) as error:
                # An order that the ERP or the hub refuses does not block the others.
                if isinstance(error, APIError) and error.code not in PERMANENT_ERRORS:
                    raise
                reason = f"{order.order_number}: {error}"
                refused[order.order_id] = time.monotonic() + _REFUSED_SECONDS, reason
        self._refused = refused
        if refused:
            raise RefusedError("; ".join(reason for _, reason in refused.values()))
        return Summary("; ".join(done))

    async def _export(self, order: Order) -> str:
        reference = await self._erp.take_order(order)
        try:
            await self._hub.ack_order(order.order_id, reference)
        except APIError as error:
            if error.code != "ILLEGAL_TRANSITION":
                raise
            # The order was cancelled after it was fetched.
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


def _parts(batch: Batch[Payment]) -> list[tuple[list[Payment], list[str]]]:
    """The rows for each call, with the invoices whose payments are all among them.

    The payments of an invoice stay together, unless they exceed a call.
    """
    complete, parts = dict.fromkeys(batch.complete), [(list[Payment](), list[str]())]
    for invoice, found in groupby(batch.rows, lambda row: row.invoice_number):
        rows = list(found)
        if parts[-1][0] and len(parts[-1][0]) + len(rows) > PAYMENTS_PER_CALL:
            parts.append(([], []))
        if len(rows) > PAYMENTS_PER_CALL:
            starts = range(0, len(rows), PAYMENTS_PER_CALL)
            parts[-1:] = [(rows[start : start + PAYMENTS_PER_CALL], []) for start in starts]
            parts.append(([], []))
        else:
            parts[-1][0].extend(rows)
            if invoice in complete:
                parts[-1][1].append(invoice)
        complete.pop(invoice, None)
    parts[-1][1].extend(complete)  # those without any payment
    return parts


def _joined(texts: list[str], remarks: list[str]) -> str:
    more = [f"and {len(remarks) - _MAX_REMARKS} more"] if len(remarks) > _MAX_REMARKS else []
    return "; ".join([*texts, *remarks[:_MAX_REMARKS], *more])
