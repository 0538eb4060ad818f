"""The loops, one for each stream: one that fails or is slow does not delay another.

Orders are exported soon after approval; products, stock and payments follow an interval.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import structlog
from postgrest import APIError
from tenacity import RetryError

from adapters.common.gateway import UnexpectedAnswerError
from adapters.common.retry import call_with_retries, pause
from adapters.erp.exchange import Exchange
from adapters.erp.hub import HubClient, is_transient
from adapters.erp.leader import Leader
from adapters.erp.port import (
    BusyError,
    ErpError,
    ErpKindError,
    LoginRefusedError,
    RefusedError,
    RejectedError,
    UnreachableError,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PAUSE_SECONDS = 60
"""The longest pause between two attempts while the ERP or the gateway is unreachable."""
RETRY_SECONDS = 30.0
"""A call of the gateway is repeated for so long; then the round ends, is recorded, and later begins again."""
PROBE_SECONDS = 15.0
"""Pause between two probes of the gateway, which an adapter makes that waits for its turn, too."""
AWAY_SECONDS = 0.25
"""The same while it is away: the adapter is ready within this time of its return."""
LEAD_SECONDS = 60.0
"""`--once` waits so long for another adapter to end."""
BUSY_SECONDS = 600.0
"""An ERP that asks for patience for longer is a failure, which is recorded and reported."""
ROUND_SECONDS = 3600.0
"""A round that runs for longer ends readiness: it hangs where no time limit applies, as on a lost share."""
STREAMS = ("products", "orders", "stock", "payments")
_DEFAULT_INTERVAL_SECONDS = 15 * 60


@dataclass
class Health:
    """The state that /health returns: each stream's last success, and its error since then."""

    leading: bool = False
    succeeded_at: dict[str, datetime] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """The streams of which the ERP or the hub refused rows: people settle that, the adapter is well."""
    running_since: dict[str, float] = field(default_factory=dict)
    """When the present round of each stream began (time.monotonic)."""

    def record(self, stream: str, error: Exception) -> None:
        """A round of the stream failed."""
        self.trouble[stream] = str(error) or type(error).__name__
        if type(error) in (RefusedError, RejectedError):
            self.refused.add(stream)
        else:
            self.refused.discard(stream)

    def problem(self) -> str:
        """The streams that fail or hang, with their errors, but for refused rows; empty while none does."""
        found = [f"{stream}: {error}" for stream, error in self.trouble.items() if stream not in self.refused]
        for stream, since in self.running_since.items():
            if (seconds := time.monotonic() - since) > ROUND_SECONDS:
                found.append(f"{stream}: its round has not ended for {seconds:.0f} seconds")
        return "; ".join(found)

    def details(self) -> dict[str, Any]:
        """The state as JSON."""
        status = "trouble" if self.trouble else "ok" if self.leading else "waiting for its turn"
        return {
            "status": status,
            "succeeded_at": {stream: at.isoformat() for stream, at in self.succeeded_at.items()},
            "trouble": self.trouble,
        }


@dataclass
class Worker:
    """Runs the exchange until it is stopped."""

    exchange: Exchange
    leader: Leader
    poll_seconds: float
    interval_seconds: float | None = None
    """Overrides the hub's interval."""
    gateway: HubClient | None = None
    """What `probe` asks."""
    retry_seconds: float = RETRY_SECONDS
    lead_seconds: float = LEAD_SECONDS
    health: Health = field(default_factory=Health)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _busy_since: dict[str, float] = field(default_factory=dict)

    def stop(self) -> None:
        """End after the current round."""
        self._stop.set()

    async def repeat(self, stream: str) -> None:
        """Run rounds of a stream until `stop` is called."""
        failures = 0
        while not self._stop.is_set():
            self.health.leading = (await self.leader.leading_since()) is not None
            if not self.health.leading:
                await pause(self.poll_seconds, self._stop)
                continue
            error = await self._try(stream)
            failures = failures + 1 if error else 0
            interval = self.poll_seconds if stream == "orders" else self._interval()
            await pause(_next_pause(error, failures, interval), self._stop)

    async def probe(self) -> None:
        """Ask the gateway again and again until `stop` is called, so that its outage is known in time."""
        while self.gateway and not self._stop.is_set():
            with suppress(APIError, httpx.HTTPError, UnexpectedAnswerError, ErpKindError):
                await self.gateway.stream_state("orders")
            await pause(AWAY_SECONDS if self.gateway.problem() else PROBE_SECONDS, self._stop)
        await self._stop.wait()

    async def once(self) -> bool:
        """Run every stream once, as soon as this adapter leads; returns whether all succeeded.

        It gives up when another adapter leads for `lead_seconds`, or when the gateway is unreachable.
        """
        deadline = time.monotonic() + self.lead_seconds
        while (await self.leader.leading_since()) is None:
            if time.monotonic() > deadline:
                logger.error("another adapter is leading: nothing was exchanged")
                return False
            logger.info("another adapter is leading: waiting")
            await pause(self.poll_seconds, self._stop)
        succeeded = True
        for stream in STREAMS:
            error = await self._try(stream)
            succeeded = succeeded and error is None
            if isinstance(error, RetryError):
                logger.error("the gateway is unreachable: the exchange is given up")
                return False
        return succeeded

    def _interval(self) -> float:
        return self.interval_seconds or self.exchange.interval_seconds or _DEFAULT_INTERVAL_SECONDS

    async def _try(self, stream: str) -> Exception | None:
        """One round of a stream; returns its error, so that no error ends the loop."""
        self.health.running_since[stream] = time.monotonic()
        try:
            # The id joins the logs of the round with the changes and messages that it makes in the hub.
            with structlog.contextvars.bound_contextvars(request_id=uuid.uuid4().hex):
                error = await self._run(stream)
        finally:
            self.health.running_since.pop(stream, None)
        if not isinstance(error, BusyError):
            self._busy_since.pop(stream, None)
        return error

    async def _run(self, stream: str) -> Exception | None:
        try:
            summary = await self._call_with_retries(lambda: self.exchange.run(stream))
            self.health.succeeded_at[stream] = datetime.now(UTC)
            self.health.trouble.pop(stream, None)
            self.health.refused.discard(stream)
            await self._call_with_retries(lambda: self.exchange.report_success(stream, summary))
        except RetryError as error:
            # Stopped, or the gateway is unreachable: there is nowhere to report it but here.
            if not self._stop.is_set():
                self.health.record(stream, UnreachableError("the gateway is unreachable"))
            return error
        except BusyError as error:
            logger.info("%s: %s", stream, error)
            since = self._busy_since.setdefault(stream, time.monotonic())
            if time.monotonic() - since > BUSY_SECONDS:
                await self._record_failure(stream, error)
            return error
        except (ErpError, APIError, httpx.HTTPError, UnexpectedAnswerError) as error:
            return await self._record_failure(stream, error)
        except Exception as error:
            logger.exception("%s: this round raised an unexpected error", stream)
            return await self._record_failure(stream, error)
        return None

    async def _record_failure(self, stream: str, error: Exception) -> Exception:
        self.health.record(stream, error)
        logger.warning("%s: %s: %s", stream, type(error).__name__, error)
        detail = str(error) or type(error).__name__
        with suppress(RetryError, APIError, httpx.HTTPError, UnexpectedAnswerError):
            notify = isinstance(error, RejectedError)
            await self._call_with_retries(lambda: self.exchange.report_failure(stream, detail, notify=notify))
        return error

    async def _call_with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retry transient errors of the gateway; raises RetryError when stopped or after `retry_seconds`."""
        return await call_with_retries(
            call,
            stop=self._stop,
            retry_if=is_transient,
            max_pause_seconds=MAX_PAUSE_SECONDS,
            on_error=lambda error: logger.warning("the gateway: %s; retrying", error),
            seconds=self.retry_seconds,
        )


def _next_pause(error: Exception | None, failures: int, interval: float) -> float:
    """Seconds until the next round: the interval, or after errors a shorter one that doubles each time."""
    if error is None or isinstance(error, RejectedError):
        return interval  # everything else is stored: nothing changes before someone corrects the source
    if isinstance(error, LoginRefusedError | ErpKindError):
        return max(interval, MAX_PAUSE_SECONDS)
    least = error.seconds if isinstance(error, BusyError) else 0.0
    return max(least, min(interval, 2.0 ** min(failures, 10), MAX_PAUSE_SECONDS))
