"""The loops: orders are exported soon after approval; products, stock and payments follow an interval."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import httpx
from postgrest import APIError
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception,
    stop_when_event_set,
    wait_random_exponential,
)

from adapters.erp.exchange import Exchange
from adapters.erp.hub import is_transient
from adapters.erp.leader import Leader
from adapters.erp.port import BusyError, ErpError, ErpKindError, LoginRefusedError, RejectedError

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PAUSE_SECONDS = 60
"""The longest pause between two attempts while the ERP or the gateway is unreachable."""
_DEFAULT_INTERVAL_SECONDS = 15 * 60


@dataclass
class Health:
    """The state that /health returns: each stream's last success, and its error since then."""

    leading: bool = False
    succeeded_at: dict[str, datetime] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)


@dataclass
class Worker:
    """Runs the exchange until it is stopped."""

    exchange: Exchange
    leader: Leader
    poll_seconds: float
    interval_seconds: float | None = None
    """Overrides the hub's interval."""
    health: Health = field(default_factory=Health)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """End after the current round."""
        self._stop.set()

    async def run(self) -> None:
        """Exchange until `stop` is called; orders and synchronisations do not wait for each other."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(("orders",), lambda: self.poll_seconds))
            tasks.create_task(self._repeat(("products", "stock", "payments"), self._interval))

    async def once(self) -> bool:
        """Run every stream once, as soon as this adapter leads; returns whether all succeeded."""
        while (await self.leader.leading_since()) is None:
            logger.info("another adapter is leading: waiting")
            await self._pause(self.poll_seconds)
        return all(
            [await self._try(stream) is None for stream in ("products", "orders", "stock", "payments")]
        )

    def _interval(self) -> float:
        return self.interval_seconds or self.exchange.interval_seconds or _DEFAULT_INTERVAL_SECONDS

    async def _repeat(self, streams: tuple[str, ...], interval: Callable[[], float]) -> None:
        failures = 0
        while not self._stop.is_set():
            self.health.leading = (await self.leader.leading_since()) is not None
            if not self.health.leading:
                await self._pause(self.poll_seconds)
                continue
            errors = [error for stream in streams if (error := await self._try(stream))]
            failures = failures + 1 if errors else 0
            await self._pause(_next_pause(errors, failures, interval()))

    async def _try(self, stream: str) -> Exception | None:
        """One round of a stream; returns its error, so that no error ends the loop."""
        try:
            detail = await self._call_with_retries(lambda: self.exchange.run(stream))
            self.health.succeeded_at[stream] = datetime.now(UTC)
            self.health.trouble.pop(stream, None)
            await self._call_with_retries(lambda: self.exchange.report_success(stream, detail))
        except RetryError as error:
            return error  # stopped while the gateway was unreachable
        except BusyError as error:
            logger.info("%s: %s", stream, error)
            return error
        except (ErpError, APIError, httpx.HTTPError) as error:
            return await self._record_failure(stream, error)
        except Exception as error:
            logger.exception("%s: this round raised an unexpected error", stream)
            return await self._record_failure(stream, error)
        return None

    async def _record_failure(self, stream: str, error: Exception) -> Exception:
        self.health.trouble[stream] = str(error)
        logger.warning("%s: %s: %s", stream, type(error).__name__, error)
        detail = str(error) or type(error).__name__
        with suppress(RetryError, APIError, httpx.HTTPError):
            notify = isinstance(error, RejectedError)
            await self._call_with_retries(lambda: self.exchange.report_failure(stream, detail, notify=notify))
        return error

    async def _call_with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retry transient errors of the gateway with growing pauses; raises RetryError when stopped."""

        async def attempt() -> T:  # tenacity awaits only coroutine functions
            return await call()

        retrying = AsyncRetrying(
            retry=retry_if_exception(is_transient),
            # tenacity expects a threading.Event and only calls is_set().
            stop=stop_when_event_set(self._stop),  # type: ignore[arg-type]
            wait=wait_random_exponential(multiplier=0.2, max=MAX_PAUSE_SECONDS),
            sleep=self._pause,
            before_sleep=lambda state: logger.warning(
                "the gateway: %s; retrying", state.outcome and state.outcome.exception()
            ),
        )
        return await retrying(attempt)

    async def _pause(self, seconds: float) -> None:
        """Sleep for so many seconds or until `stop` is called."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


def _next_pause(errors: list[Exception], failures: int, interval: float) -> float:
    """Seconds until the next round: the interval, or after errors a shorter pause that doubles each time."""
    if all(isinstance(error, RejectedError) for error in errors):
        return interval  # everything else is stored: nothing changes before someone corrects the source
    if any(isinstance(error, LoginRefusedError | ErpKindError) for error in errors):
        return max(interval, MAX_PAUSE_SECONDS)
    least = max((error.seconds for error in errors if isinstance(error, BusyError)), default=0.0)
    return max(least, min(interval, 2.0 ** min(failures, 10), MAX_PAUSE_SECONDS))
