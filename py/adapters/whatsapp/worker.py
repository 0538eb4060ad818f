"""The delivery loop: claim, deliver, report. Delivery is at least once, and a lease guards each message."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar
from uuid import UUID

import structlog
from postgrest import APIError
from prometheus_client import Gauge
from tenacity import RetryError

from adapters.common.gateway import is_transient
from adapters.common.retry import call_with_retries, pause
from adapters.whatsapp.breaker import BACK_OFF, Breaker, Pause
from adapters.whatsapp.delivery import Delivery, DeliveryError, UnknownOutcomeError
from adapters.whatsapp.messages import Message

logger = logging.getLogger(__name__)
T = TypeVar("T")

_MAX_PAUSE_SECONDS = 15
"""The longest pause between two attempts to reach the gateway."""

_STOPPED = Gauge("hub_channel_stopped", "1 while a channel rests or tries its provider", ["channel"])


class MessageSource(Protocol):
    """The part of the outbox that the worker calls."""

    async def claim(self, channel: str | None, limit: int | None) -> list[Message]: ...
    async def report_sent(self, message_id: UUID, provider_id: str) -> None: ...
    async def report_failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None: ...
    async def release(self, message_ids: list[UUID]) -> None: ...


@dataclass
class Health:
    """The state that /health returns; the counters start at 0 with the process."""

    last_claim_at: datetime | None = None
    sent: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass
class Worker:
    """Delivers the due messages of a channel until it is stopped.

    Stopped, it gives back what it has claimed and not begun, and completes the deliveries that have begun.
    While the provider is away or refuses every message, nothing is claimed: `breaker`.
    """

    outbox: MessageSource
    delivery: Delivery
    channel: str | None = None
    """None: all channels."""
    lease_seconds: float = 60
    poll_seconds: float = 0.5
    concurrency: int = 8
    health: Health = field(default_factory=Health)
    breaker: Breaker = field(default_factory=Breaker)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _unreported: dict[UUID, str] = field(default_factory=dict)
    """Provider ids of delivered messages whose report failed; claimed again, they are not sent again."""

    def stop(self) -> None:
        """Claim no more messages."""
        self._stop.set()
        self._wake.set()

    def wake(self) -> None:
        """A message was enqueued: end the pause."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `stop` is called."""
        while not self._stop.is_set():
            self._wake.clear()
            if rest := self.breaker.remaining():
                await pause(rest, self._stop)
                continue
            try:
                claimed = await self.step()
            except RetryError:
                break  # stopped while the gateway was unreachable
            if not claimed and not self.breaker.remaining():
                await pause(self.poll_seconds, self._wake)

    async def step(self) -> int:
        """Claim once and deliver the batch, or one message after the channel was stopped.

        Returns the number of claimed messages, 0 while the provider is away.
        """
        if self.breaker.remaining() or not await self._is_reachable():
            return 0
        claimed, deadline = await self._claim(1 if self.breaker.reason else None)
        waiting, untried = deque(claimed), deque[Message]()
        # Concurrency keeps the order: a claim holds one message per recipient and priority.
        async with asyncio.TaskGroup() as tasks:
            stopped = tasks.create_task(self._stop.wait())
            busy = {
                tasks.create_task(self._deliver_in_turn(waiting, untried, deadline))
                for _ in range(min(self.concurrency, len(claimed)))
            }
            while busy and not self._stop.is_set():
                await asyncio.wait({*busy, stopped}, return_when=asyncio.FIRST_COMPLETED)
                busy = {task for task in busy if not task.done()}
            stopped.cancel()
            await self._give_back(waiting, deadline)
        await self._give_back(untried, deadline)
        return len(claimed)

    async def _is_reachable(self) -> bool:
        """Whether messages may be claimed: the channel runs, or its provider has answered a probe."""
        if not self.breaker.reason or self.breaker.probed:
            return True
        try:
            await self.delivery.probe()
        except (DeliveryError, UnknownOutcomeError) as error:
            self._trip(str(error), error.pause or BACK_OFF)
            return False
        self.breaker.probed = True
        return True

    async def _deliver_in_turn(
        self, waiting: deque[Message], untried: deque[Message], deadline: float
    ) -> None:
        """Deliver what waits until worker or channel is stopped; `untried` receives what was not seen."""
        while waiting and not self._stop.is_set() and not self.breaker.remaining():
            message = waiting.popleft()
            # In the log's lines about the message, and in the calls that report it.
            traced = {"request_id": message.request_id} if message.request_id else {}
            with structlog.contextvars.bound_contextvars(**traced):
                if not await self._handle(message, deadline):
                    untried.append(message)

    async def _claim(self, limit: int | None) -> tuple[list[Message], float]:
        deadline = 0.0

        async def claim() -> list[Message]:
            nonlocal deadline
            deadline = time.monotonic() + self.lease_seconds  # before the database's own lease begins
            return await self.outbox.claim(self.channel, limit)

        claimed = await self._call_with_retries("claim_messages", claim)
        self.health.last_claim_at = datetime.now(UTC)
        return claimed, deadline

    async def _handle(self, message: Message, deadline: float) -> bool:
        """Deliver and report; returns false if the provider never saw the message."""
        if time.monotonic() >= deadline:
            logger.warning("%s: the lease has lapsed, another worker may have the message", message.id)
            return True
        provider_id = self._unreported.get(message.id)
        try:
            if provider_id is None:
                async with asyncio.timeout(deadline - time.monotonic()):
                    provider_id = await self.delivery.deliver(message)
                self._reset()
        except DeliveryError as error:
            if error.pause:
                self._trip(error.code, error.pause)
            if not error.tried:
                return False
            await self._report_failure(message, error.code, deadline, retry=error.retry)
        except (TimeoutError, UnknownOutcomeError) as error:
            # It may have been sent. Without a report the lease lapses, and the database sets it to UNKNOWN.
            self.health.unknown += 1
            reason = str(error) or "no answer in time"
            logger.warning("%s: unknown whether it was sent (%s)", message.id, reason)
            self._trip(reason, UnknownOutcomeError.pause)
        except Exception as error:
            logger.exception("%s: the delivery raised an unexpected error", message.id)
            await self._report_failure(message, type(error).__name__, deadline, retry=True)
        else:
            self._unreported[message.id] = provider_id
            if await self._report("message_sent", message, deadline, provider_id):
                del self._unreported[message.id]
                self.health.sent += 1
                logger.info("%s: sent", message.id)
        return True

    def _trip(self, reason: str, away: Pause) -> None:
        self.breaker.trip(reason, away)
        _STOPPED.labels(self.channel or "all").set(1)
        logger.warning(
            "%s: stopped for %.0f seconds: %s", self.channel, self.breaker.remaining(), self.breaker.reason
        )

    def _reset(self) -> None:
        if self.breaker.reason:
            logger.info("%s: the provider accepts messages again", self.channel)
        self.breaker.reset()
        _STOPPED.labels(self.channel or "all").set(0)

    async def _give_back(self, messages: deque[Message], deadline: float) -> None:
        """Give claimed messages back before their lease lapses; the claim does not count."""
        if not messages:
            return
        ids = [message.id for message in messages]
        messages.clear()
        try:
            await self._call_with_retries(
                "release_messages", lambda: self.outbox.release(ids), deadline - time.monotonic()
            )
        except (RetryError, APIError) as error:
            logger.warning("%s messages are not given back, their leases must lapse: %s", len(ids), error)

    async def _report_failure(self, message: Message, code: str, deadline: float, *, retry: bool) -> None:
        logger.warning("%s: not delivered: %s", message.id, code)
        self.health.failed += 1
        await self._report("message_failed", message, deadline, code, retry=retry)

    async def _report(
        self, function: str, message: Message, deadline: float, text: str, *, retry: bool = False
    ) -> bool:
        """Report an outcome before the lease lapses; returns whether the gateway answered."""

        async def report() -> None:
            if function == "message_sent":
                await self.outbox.report_sent(message.id, text)
            else:
                await self.outbox.report_failed(message.id, text, retry=retry)

        try:
            await self._call_with_retries(function, report, deadline - time.monotonic())
        except RetryError:
            logger.warning("%s: %s did not reach the gateway", message.id, function)
            return False
        except APIError as error:
            logger.warning("%s: the gateway refused %s: %s", message.id, function, error.code)
        return True

    async def _call_with_retries(
        self, name: str, call: Callable[[], Awaitable[T]], seconds: float | None = None
    ) -> T:
        """Retry transient errors with growing pauses; raises RetryError when stopped or out of time."""

        def log_retry(error: BaseException | None) -> None:
            logger.warning("%s: %s; retrying", name, error or type(error).__name__)

        return await call_with_retries(
            call,
            stop=self._stop,
            retry_if=is_transient,
            max_pause_seconds=_MAX_PAUSE_SECONDS,
            on_error=log_retry,
            seconds=seconds,
        )
