"""Stops a channel whose provider is away or refuses every message, and lets one message at a time try it."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """How long a channel rests: the first time, and at most after it doubled."""

    first_seconds: float
    max_seconds: float


BACK_OFF = Pause(2, 120)
"""The provider is away, overloaded or limits the rate."""

REFUSED = Pause(60, 60)
"""The provider refuses the token, the login or the account until someone intervenes."""


class Breaker:
    """Whether a channel may claim messages.

    After `trip` nothing may be claimed for a while. Then the provider is probed, and messages are tried one
    by one until a delivery succeeds. `clock` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._until = 0.0
        self.reason = ""
        """Why the channel was stopped; empty while it runs."""
        self.probed = False
        """Whether the provider has answered a probe since the last stop."""

    def trip(self, reason: str, pause: Pause) -> None:
        """Stop the channel; deliveries that fail at the same time count once."""
        now = self._clock()
        if now < self._until:
            self._until = max(self._until, now + pause.first_seconds)
        else:
            self._seconds = min(pause.max_seconds, max(pause.first_seconds, self._seconds * 2))
            self._until = now + self._seconds
        self.reason, self.probed = reason, False

    def remaining(self) -> float:
        """Seconds until the provider may be tried again; 0 while the channel runs or tries it."""
        return max(0.0, self._until - self._clock())

    def reset(self) -> None:
        """A delivery succeeded: the channel runs."""
        self._seconds, self.reason, self.probed = 0.0, "", False
