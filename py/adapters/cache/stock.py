"""Display stock: a copy of some seconds, which says its age. Orders pay nothing for it."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from adapters.cache.database import Stock

_ANSWER_SECONDS = 0.25
"""Taken off the limit: the time to send an answer."""


@dataclass(frozen=True)
class StockCopy:
    """Stock as JSON, and when it was asked for."""

    sent_at: float
    body: bytes

    def age(self, now: float) -> float:
        """Upper bound of the copy's age in seconds."""
        return now - self.sent_at


class StockCopies:
    """The newest copy of the stock, read again when it is older than the limit."""

    def __init__(
        self, read: Callable[[], Awaitable[Stock]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._copy: StockCopy | None = None
        self._reading: asyncio.Task[StockCopy] | None = None

    def headers(self, copy: StockCopy) -> dict[str, str]:
        """The age of a copy in whole seconds, rounded up."""
        return {"Age": str(math.ceil(copy.age(self._clock())))}

    async def copy(self, limit_seconds: float) -> StockCopy:
        """A copy younger than the limit. Raises what `read` raises."""
        limit = limit_seconds - _ANSWER_SECONDS
        arrived = self._clock()
        while True:
            copy = self._copy
            if copy and (copy.sent_at >= arrived or copy.age(self._clock()) < limit):
                return copy
            if self._reading is None:
                self._reading = asyncio.create_task(self._refresh())
                self._reading.add_done_callback(self._finished)
            # A disconnected client must not end the read of the others.
            await asyncio.shield(self._reading)

    def _finished(self, task: asyncio.Task[StockCopy]) -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()

    async def _refresh(self) -> StockCopy:
        sent_at = self._clock()
        stock = await self._read()
        body = msgspec.json.encode({"read_at": stock.read_at, "stock": stock.body})
        self._copy = StockCopy(sent_at, msgspec.json.format(body, indent=-1))
        return self._copy
