"""Meta's rate limits, enforced before sending: messages per second in total, and per recipient."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

PAIR_SECONDS = 6.0
PAIR_BURST = 45
CATCH_UP_SECONDS = 0.05
"""Slots that passed unused in this time are made up for, which exceeds the rate by a twentieth at most."""
METAS_SHARE = 80 / 70
"""What Meta allows in a second, by the default of the rate."""
_MAX_RECIPIENTS = 10_000
"""Recipients kept in memory before those without a debt are dropped."""


class RateLimit:
    """Decides when the next message may be sent."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / per_second
        self._most = max(1, int(per_second * (METAS_SHARE - CATCH_UP_SECONDS)) - 1)
        self._open = 0
        self._answered: deque[float] = deque()
        self._clock = clock
        self._next = 0.0
        self._pairs: dict[str, float] = {}

    def acquire_pair(self, recipient: str) -> bool:
        """Whether a message to this recipient may be sent now; counts it if so.

        The debt of a recipient is what was sent in excess of one message in PAIR_SECONDS; it may grow to a
        burst of PAIR_BURST messages.
        """
        now = self._clock()
        free_at = max(self._pairs.get(recipient, now), now)
        if free_at + PAIR_SECONDS - now > PAIR_BURST * PAIR_SECONDS:
            return False
        if len(self._pairs) >= _MAX_RECIPIENTS:
            self._pairs = {number: at for number, at in self._pairs.items() if at > now}
        self._pairs[recipient] = free_at + PAIR_SECONDS
        return True

    def begin(self) -> None:
        """A request begins: until `end`, Meta may count it at any time."""
        self._open += 1

    def end(self) -> None:
        """A request was answered, or failed."""
        self._open -= 1
        self._answered.append(self._clock())

    def _within_a_second(self) -> int:
        """How many messages Meta may count together with one that is sent now."""
        since = self._clock() - 1
        while self._answered and self._answered[0] < since:
            self._answered.popleft()
        return self._open + len(self._answered)

    async def acquire(self) -> None:
        """Wait until the total rate allows another message.

        Requests that were delayed on their way may reach Meta together: those that are open, and those that
        were answered within a second, are together fewer than Meta allows.
        """
        while self._within_a_second() >= self._most:
            await asyncio.sleep(self._gap)
        now = self._clock()
        slot = self._next = max(self._next + self._gap, now - CATCH_UP_SECONDS)
        if slot > now:
            await asyncio.sleep(slot - now)
