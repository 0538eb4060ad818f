"""Meta's limits, kept by ourselves: so many a second for the number, and one in six seconds to a reader."""

import asyncio
import time
from collections.abc import Callable

PAIR_SECONDS = 6.0
PAIR_BURST = 45
_FORGET = 10_000
"""Readers remembered; a reader at rest costs nothing but the memory."""


class Pace:
    """When the next message may go out."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._next = 0.0
        self._pairs: dict[str, float] = {}
        self.closed_until = 0.0

    def close(self, seconds: float) -> None:
        """Send nothing for so long."""
        self.closed_until = max(self.closed_until, self._clock() + seconds)

    @property
    def closed(self) -> bool:
        """Whether nothing may be sent now."""
        return self._clock() < self.closed_until

    def pair_allows(self, reader: str) -> bool:
        """Whether this reader may be written to now; counts the message if so.

        A reader's debt is what was sent to him in excess of one in six seconds; a burst of 45 may run up.
        """
        now = self._clock()
        free_at = max(self._pairs.get(reader, now), now)
        if free_at + PAIR_SECONDS - now > PAIR_BURST * PAIR_SECONDS:
            return False
        if len(self._pairs) >= _FORGET:
            self._pairs = {number: at for number, at in self._pairs.items() if at > now}
        self._pairs[reader] = free_at + PAIR_SECONDS
        return True

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = self._clock()
        mine = self._next = max(self._next + self._gap, now)
        if mine > now:
            await asyncio.sleep(mine - now)
