"""The delivery loop: claim, deliver, report. Delivery is at least once, and a lease guards each message."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar
from uuid import UUID

from postgrest import APIError
from tenacity import RetryError

from adapters.common.gateway import is_transient
from adapters.common.retry import call_with_retries
from adapters.whatsapp.delivery import Delivery, DeliveryError, UnknownOutcomeError
from adapters.whatsapp.messages import Message

logger = logging.getLogger(__name__)
T = TypeVar("T")

_MAX_PAUSE_SECONDS = 15
"""The longest pause between two attempts to reach the gateway."""


class MessageSource(Protocol):
    """The part of the outbox that the worker calls."""

    async def claim(self, channel: str | None) -> list[Message]: ...
    async def report_sent(self, message_id: UUID, provider_id: str) -> None: ...
    async def report_failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None: ...
    async def release(self, message_ids: list[UUID]) -> None: ...


@dataclass
class Health:
    """The state that /health returns; the counters start at 0 with the process."""

    last_claim_at: datetime | None = None
    gateway_answers: bool = False
    sent: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass
class Worker:
    """Delivers the due messages of a channel until it is stopped.

    Stopped, it completes the deliveries that have begun and gives the other claimed messages back.
    """

    outbox: MessageSource
    delivery: Delivery
    channel: str | None = None
    """None: all channels."""
    lease_seconds: float = 60
    poll_seconds: float = 0.5
    concurrency: int = 8
    health: Health = field(default_factory=Health)
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
            try:
                claimed = await self.step()
            except RetryError:
                break  # stopped while the gateway was unreachable
            if not claimed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self.poll_seconds)

    async def step(self) -> int:
        """Claim once and deliver the batch; returns the number of claimed messages."""
        claimed, deadline = await self._claim()
        slots = asyncio.Semaphore(self.concurrency)

        async def handle(message: Message) -> None:
            async with slots:
                await self._handle(message, deadline)

        # Concurrency keeps the order: a claim holds one message per recipient and priority.
        async with asyncio.TaskGroup() as tasks:
            for message in claimed:
                tasks.create_task(handle(message))
        return len(claimed)

    async def _claim(self) -> tuple[list[Message], float]:
        deadline = 0.0

        async def claim() -> list[Message]:
            nonlocal deadline
            deadline = time.monotonic() + self.lease_seconds  # before the database's own lease begins
            return await self.outbox.claim(self.channel)

        claimed = await self._call_with_retries("claim_messages", claim)
        self.health.last_claim_at = datetime.now(UTC)
        self.health.gateway_answers = True
        return claimed, deadline

    async def _handle(self, message: Message, deadline: float) -> None:
        if self._stop.is_set():
            await self._release(message)
            return
        if time.monotonic() >= deadline:
            logger.warning("%s: the lease has lapsed, another worker may have the message", message.id)
            return
        provider_id = self._unreported.get(message.id)
        try:
            if provider_id is None:
                async with asyncio.timeout(deadline - time.monotonic()):
                    provider_id = await self.delivery.deliver(message)
        except DeliveryError as error:
            await self._report_failure(message, error.code, deadline, retry=error.retry)
        except (TimeoutError, UnknownOutcomeError) as error:
            # It may have been sent. Without a report the lease lapses, and the database sets it to UNKNOWN.
            self.health.unknown += 1
            logger.warning("%s: unknown whether it was sent (%s)", message.id, error or "no answer in time")
        except Exception as error:
            logger.exception("%s: the delivery raised an unexpected error", message.id)
            await self._report_failure(message, type(error).__name__, deadline, retry=True)
        else:
            self._unreported[message.id] = provider_id
            if await self._report("message_sent", message, deadline, provider_id):
                del self._unreported[message.id]
                self.health.sent += 1

    async def _release(self, message: Message) -> None:
        """Give a message back that was claimed and not begun when the adapter was stopped."""
        try:
            await self._call_with_retries("release_messages", lambda: self.outbox.release([message.id]))
        except (RetryError, APIError) as error:
            logger.warning("%s: not given back, its lease must lapse: %s", message.id, error)

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
            self.health.gateway_answers = False
            logger.warning("%s: %s; retrying", name, error or type(error).__name__)

        return await call_with_retries(
            call,
            stop=self._stop,
            retry_if=is_transient,
            max_pause_seconds=_MAX_PAUSE_SECONDS,
            on_error=log_retry,
            seconds=seconds,
        )
