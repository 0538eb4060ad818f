"""The loops: orders are exported soon after approval; products, stock and payments follow an interval."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
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
LEAD_SECONDS = 60.0
"""`--once` waits so long for another adapter to end."""
_DEFAULT_INTERVAL_SECONDS = 15 * 60


@dataclass
class Health:
    """The state that /health returns: each stream's last success, and its error since then."""

    leading: bool = False
    succeeded_at: dict[str, datetime] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """The streams of which the ERP or the hub refused rows: people settle that, the adapter is well."""

    def record(self, stream: str, error: Exception) -> None:
        """A round of the stream failed."""
        self.trouble[stream] = str(error) or type(error).__name__
        if type(error) in (RefusedError, RejectedError):
            self.refused.add(stream)
        else:
            self.refused.discard(stream)

    def problem(self) -> str:
        """The streams that fail, with their errors, but for refused rows; empty while none does."""
        return "; ".join(
            f"{stream}: {error}" for stream, error in self.trouble.items() if stream not in self.refused
        )

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

    def stop(self) -> None:
        """End after the current round."""
        self._stop.set()

    async def exchange_orders(self) -> None:
        """Export orders and cancellations until `stop` is called."""
        await self._repeat(("orders",), lambda: self.poll_seconds)

    async def synchronise(self) -> None:
        """Import products, stock and payments until `stop` is called; orders do not wait for it."""
        await self._repeat(("products", "stock", "payments"), self._interval)

    async def probe(self) -> None:
        """Ask the gateway again and again until `stop` is called, so that its outage is known in time."""
        while self.gateway and not self._stop.is_set():
            with suppress(APIError, httpx.HTTPError, UnexpectedAnswerError, ErpKindError):
                await self.gateway.stream_state("orders")
            await pause(PROBE_SECONDS, self._stop)
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
        for stream in ("products", "orders", "stock", "payments"):
            error = await self._try(stream)
            succeeded = succeeded and error is None
            if isinstance(error, RetryError):
                logger.error("the gateway is unreachable: the exchange is given up")
                return False
        return succeeded

    def _interval(self) -> float:
        return self.interval_seconds or self.exchange.interval_seconds or _DEFAULT_INTERVAL_SECONDS

    async def _repeat(self, streams: tuple[str, ...], interval: Callable[[], float]) -> None:
        failures = 0
        while not self._stop.is_set():
            self.health.leading = (await self.leader.leading_since()) is not None
            if not self.health.leading:
                await pause(self.poll_seconds, self._stop)
                continue
            errors = [error for stream in streams if (error := await self._try(stream))]
            failures = failures + 1 if errors else 0
            await pause(_next_pause(errors, failures, interval()), self._stop)

    async def _try(self, stream: str) -> Exception | None:
        """One round of a stream; returns its error, so that no error ends the loop."""
        try:
            detail = await self._call_with_retries(lambda: self.exchange.run(stream))
            self.health.succeeded_at[stream] = datetime.now(UTC)
            self.health.trouble.pop(stream, None)
            self.health.refused.discard(stream)
            await self._call_with_retries(lambda: self.exchange.report_success(stream, detail))
        except RetryError as error:
            # Stopped, or the gateway is unreachable: there is nowhere to report it but here.
            if not self._stop.is_set():
                self.health.record(stream, UnreachableError("the gateway is unreachable"))
            return error
        except BusyError as error:
            logger.info("%s: %s", stream, error)
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


def _next_pause(errors: list[Exception], failures: int, interval: float) -> float:
    """Seconds until the next round: the interval, or after errors a shorter pause that doubles each time."""
    if all(isinstance(error, RejectedError) for error in errors):
        return interval  # everything else is stored: nothing changes before someone corrects the source
    if any(isinstance(error, LoginRefusedError | ErpKindError) for error in errors):
        return max(interval, MAX_PAUSE_SECONDS)
    least = max((error.seconds for error in errors if isinstance(error, BusyError)), default=0.0)
    return max(least, min(interval, 2.0 ** min(failures, 10), MAX_PAUSE_SECONDS))
