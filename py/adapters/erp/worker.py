"""The loops: orders out as soon as they are approved, products, stock and payments in at each interval."""

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
from adapters.erp.hub import may_pass
from adapters.erp.leader import Leader
from adapters.erp.port import BusyError, ErpError, LoginRefusedError

logger = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_PAUSE = 60
"""Seconds between two tries while the ERP or the gateway is away: a backlog is not kept waiting for long."""
_DEFAULT_INTERVAL = 15 * 60


@dataclass
class Health:
    """What /health tells: by stream the last success, and the trouble since."""

    leading: bool = False
    succeeded_at: dict[str, datetime] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)


@dataclass
class Worker:
    """Runs the exchange until it is told to stop."""

    exchange: Exchange
    leader: Leader
    poll_seconds: float
    interval_seconds: float | None = None
    health: Health = field(default_factory=Health)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """End after what is under way."""
        self._stop.set()

    async def run(self) -> None:
        """Until `stop` is called. Orders do not wait for a long sync, nor a sync for orders."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(("orders",), lambda: self.poll_seconds))
            tasks.create_task(self._repeat(("products", "stock", "payments"), self._interval))

    async def once(self) -> bool:
        """Every stream once; returns whether all went well."""
        while (await self.leader.since()) is None:
            logger.info("another adapter is at work: waiting")
            await self._pause(self.poll_seconds)
        return all(
            [await self._try(stream) is None for stream in ("products", "orders", "stock", "payments")]
        )

    def _interval(self) -> float:
        return self.interval_seconds or self.exchange.interval_seconds or _DEFAULT_INTERVAL

    async def _repeat(self, streams: tuple[str, ...], interval: Callable[[], float]) -> None:
        failures = 0
        while not self._stop.is_set():
            self.health.leading = (await self.leader.since()) is not None
            if not self.health.leading:
                await self._pause(self.poll_seconds)
                continue
            troubles = [trouble for stream in streams if (trouble := await self._try(stream))]
            failures = failures + 1 if troubles else 0
            await self._pause(_pause(troubles, failures, interval()))

    async def _try(self, stream: str) -> Exception | None:
        """One turn of a stream; returns what went wrong. Whatever it is, the next turn comes."""
        try:
            detail = await self._insist(lambda: self.exchange.turn(stream))
            self.health.succeeded_at[stream] = datetime.now(UTC)
            self.health.trouble.pop(stream, None)
            await self._insist(lambda: self.exchange.fares_well(stream, detail))
        except RetryError as error:
            return error  # told to stop while the gateway was away
        except BusyError as error:
            logger.info("%s: %s", stream, error)
            return error
        except (ErpError, APIError, httpx.HTTPError) as error:
            return await self._tell(stream, error)
        except Exception as error:
            logger.exception("%s: this turn failed", stream)
            return await self._tell(stream, error)
        return None

    async def _tell(self, stream: str, error: Exception) -> Exception:
        self.health.trouble[stream] = str(error)
        logger.warning("%s: %s: %s", stream, type(error).__name__, error)
        with suppress(RetryError, APIError, httpx.HTTPError):
            await self._insist(lambda: self.exchange.fares_badly(stream, str(error) or type(error).__name__))
        return error

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the gateway answers, with growing pauses; raises RetryError when told to stop."""

        async def attempt() -> T:  # tenacity awaits what is declared so, and nothing else
            return await call()

        retrying = AsyncRetrying(
            retry=retry_if_exception(may_pass),
            # An asyncio.Event has the one method that is asked for.
            stop=stop_when_event_set(self._stop),  # type: ignore[arg-type]
            wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE),
            sleep=self._pause,
            before_sleep=lambda state: logger.warning(
                "the gateway: %s; trying again", state.outcome and state.outcome.exception()
            ),
        )
        return await retrying(attempt)

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless told to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


def _pause(troubles: list[Exception], failures: int, interval: float) -> float:
    """Sooner than the interval while there is trouble, later than the last time."""
    if not troubles:
        return interval
    if any(isinstance(trouble, LoginRefusedError) for trouble in troubles):
        return max(interval, LONGEST_PAUSE)
    least = max((trouble.seconds for trouble in troubles if isinstance(trouble, BusyError)), default=0.0)
    return max(least, min(interval, 2.0 ** min(failures, 10), LONGEST_PAUSE))
