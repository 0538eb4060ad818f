"""The delivery loop: claim, deliver, report. Delivery is at least once, and a lease guards each message.

The three run beside each other: the next messages are claimed while the last ones are delivered, and what was
delivered meanwhile is reported in one call.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
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

_FEW = 5
"""When fewer claimed messages wait, the next are claimed: so many leave in less time than a claim takes."""

_REST_SECONDS = 0.05
"""Pause after a report while others are delivered: what is delivered meanwhile is reported in one call."""

_REPORTS = 1000
"""Deliveries that one call reports at most."""

_STOPPED = Gauge("hub_channel_stopped", "1 while a channel rests or tries its provider", ["channel"])


class MessageSource(Protocol):
    """The part of the outbox that the worker calls."""

    async def claim(self, channel: str | None, limit: int | None) -> list[Message]: ...
    async def report_sent(self, sent: Mapping[UUID, str]) -> None: ...
    async def report_failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None: ...
    async def release(self, message_ids: list[UUID]) -> None: ...


@dataclass
class Health:
    """The state that /health returns; the counters start at 0 with the process."""

    last_claim_at: datetime | None = None
    sent: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class _Claimed:
    """A claimed message, and when its lease lapses (time.monotonic)."""

    message: Message
    deadline: float


@contextmanager
def _traced(*claimed: _Claimed) -> Iterator[None]:
    """Bind the id of the request that enqueued these messages, if it is the same of all; no other one.

    A task begins with what was bound where it was created.
    """
    ids = {each.message.request_id for each in claimed}
    structlog.contextvars.unbind_contextvars("request_id")
    traced = {"request_id": ids.pop()} if len(ids) == 1 else {}
    with structlog.contextvars.bound_contextvars(**{key: value for key, value in traced.items() if value}):
        yield


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
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a message was taken or delivered, and when worker or channel is stopped."""
    _waiting: deque[_Claimed] = field(default_factory=deque)
    """Claimed messages whose delivery has not begun."""
    _untried: deque[_Claimed] = field(default_factory=deque)
    """Claimed messages that the provider never saw."""
    _delivered: deque[tuple[_Claimed, str]] = field(default_factory=deque)
    """Deliveries to report, with the provider's ids."""
    _unreported: dict[UUID, str] = field(default_factory=dict)
    """Provider ids of deliveries that are not reported yet; claimed again, they are not sent again."""
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """The running dispatcher and reporter."""
    _busy: set[asyncio.Task[None]] = field(default_factory=set)
    """The running deliveries."""

    def stop(self) -> None:
        """Claim no more messages."""
        self._stop.set()
        self._wake.set()
        self._changed.set()

    def wake(self) -> None:
        """A message was enqueued: end the pause."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `stop` is called."""
        async with self._delivering() as group:
            while not self._stop.is_set():
                self._wake.clear()
                if rest := self.breaker.remaining():
                    await self._settle()
                    await pause(rest, self._stop)
                    continue
                try:
                    claimed = await self._fill(group)
                except RetryError:
                    break  # stopped while the gateway was unreachable
                if not claimed:
                    if not self.breaker.remaining():
                        await pause(self.poll_seconds, self._wake)
                elif self.breaker.reason:
                    await self._settle()  # one message at a time
                else:
                    while len(self._waiting) >= _FEW and not self._is_halted():
                        await self._change()

    async def step(self) -> int:
        """Claim once and deliver the batch, or one message after the channel was stopped.

        Returns the number of claimed messages, 0 while the provider is away.
        """
        async with self._delivering() as group:
            return await self._fill(group)

    @asynccontextmanager
    async def _delivering(self) -> AsyncIterator[asyncio.TaskGroup]:
        """The group of the deliveries that the block begins; they are settled at its end, or at its error."""
        error: Exception | None = None
        async with asyncio.TaskGroup() as group:
            try:
                yield group
            except Exception as raised:  # raised below: here it would cancel deliveries that have begun
                error = raised
            await self._settle()
        if error:
            raise error

    def _is_halted(self) -> bool:
        return self._stop.is_set() or self.breaker.remaining() > 0

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _fill(self, group: asyncio.TaskGroup) -> int:
        """Claim messages and begin to deliver them; returns how many."""
        if self.breaker.remaining() or not await self._is_reachable():
            return 0
        claimed = await self._claim(1 if self.breaker.reason else None)
        self._waiting.extend(claimed)
        if claimed:
            self._begin(group, "dispatcher", self._dispatch)
        return len(claimed)

    async def _settle(self) -> None:
        """Wait for what has begun, and give back what has not when worker or channel is stopped."""
        while self._tasks or self._busy:
            if self._is_halted():
                await self._give_back(self._waiting)
            if self._tasks or self._busy:
                await self._change()
        await self._give_back(self._waiting)
        await self._give_back(self._untried)

    def _begin(
        self,
        group: asyncio.TaskGroup,
        name: str,
        run: Callable[[asyncio.TaskGroup], Awaitable[None]],
    ) -> None:
        """Run the dispatcher or the reporter, unless it is running."""

        async def keep() -> None:
            try:
                await run(group)
            finally:
                del self._tasks[name]
                self._changed.set()

        if name not in self._tasks:
            self._tasks[name] = group.create_task(keep())

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        """Begin the delivery of what waits, each at its turn, until worker or channel is stopped.

        Concurrency keeps the order: a claim holds one message per recipient, channel and priority.
        """
        while self._waiting and not self._is_halted():
            if len(self._busy) >= self.concurrency:
                await self._change()
                continue
            await self.delivery.turn()
            if self._waiting and not self._is_halted():
                task = group.create_task(self._deliver(group, self._waiting.popleft()))
                self._busy.add(task)
                task.add_done_callback(self._end)
            self._changed.set()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._changed.set()

    async def _deliver(self, group: asyncio.TaskGroup, claimed: _Claimed) -> None:
        # In the log's lines about the message, and in the calls that report it.
        with _traced(claimed):
            provider_id = await self._handle(claimed)
        if provider_id is not None:
            self._unreported[claimed.message.id] = provider_id
            self._delivered.append((claimed, provider_id))
            self._begin(group, "reporter", self._report_sent)

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

    async def _claim(self, limit: int | None) -> list[_Claimed]:
        deadline = 0.0

        async def claim() -> list[Message]:
            nonlocal deadline
            deadline = time.monotonic() + self.lease_seconds  # before the database's own lease begins
            return await self.outbox.claim(self.channel, limit)

        claimed = await self._call_with_retries("claim_messages", claim)
        self.health.last_claim_at = datetime.now(UTC)
        return [_Claimed(message, deadline) for message in claimed]

    async def _handle(self, claimed: _Claimed) -> str | None:
        """Deliver a message, or report why it was not delivered; returns the provider's id."""
        message, deadline = claimed.message, claimed.deadline
        if time.monotonic() >= deadline:
            logger.warning("%s: the lease has lapsed, another worker may have the message", message.id)
            return None
        provider_id = self._unreported.get(message.id)
        try:
            if provider_id is None:
                async with asyncio.timeout(deadline - time.monotonic()):
                    provider_id = await self.delivery.deliver(message)
                self._reset()
        except DeliveryError as error:
            if error.pause:
                self._trip(error.code, error.pause)
            if error.tried:
                await self._report_failure(claimed, error.code, retry=error.retry)
            else:
                self._untried.append(claimed)
        except (TimeoutError, UnknownOutcomeError) as error:
            # It may have been sent. Without a report the lease lapses, and the database sets it to UNKNOWN.
            self.health.unknown += 1
            reason = str(error) or "no answer in time"
            logger.warning("%s: unknown whether it was sent (%s)", message.id, reason)
            self._trip(reason, UnknownOutcomeError.pause)
        except Exception as error:
            logger.exception("%s: the delivery raised an unexpected error", message.id)
            await self._report_failure(claimed, type(error).__name__, retry=True)
        return provider_id

    def _trip(self, reason: str, away: Pause) -> None:
        self.breaker.trip(reason, away)
        self._changed.set()
        _STOPPED.labels(self.channel or "all").set(1)
        logger.warning(
            "%s: stopped for %.0f seconds: %s", self.channel, self.breaker.remaining(), self.breaker.reason
        )

    def _reset(self) -> None:
        if self.breaker.reason:
            logger.info("%s: the provider accepts messages again", self.channel)
        self.breaker.reset()
        _STOPPED.labels(self.channel or "all").set(0)

    async def _give_back(self, messages: deque[_Claimed]) -> None:
        """Give claimed messages back before their lease lapses; the claim does not count."""
        if not messages:
            return
        ids = [claimed.message.id for claimed in messages]
        deadline = max(claimed.deadline for claimed in messages)
        messages.clear()
        try:
            await self._call_with_retries(
                "release_messages", lambda: self.outbox.release(ids), deadline - time.monotonic()
            )
        except (RetryError, APIError) as error:
            logger.warning("%s messages are not given back, their leases must lapse: %s", len(ids), error)

    async def _report_sent(self, group: asyncio.TaskGroup) -> None:
        """Report what was delivered, in one call what was delivered during the last one."""
        while self._delivered:
            batch = [self._delivered.popleft() for _ in range(min(_REPORTS, len(self._delivered)))]
            await self._report_batch(batch)
            self._wake.set()  # the next messages of these recipients are due
            if self._busy or self._waiting:
                await pause(_REST_SECONDS, self._stop)

    async def _report_batch(self, batch: list[tuple[_Claimed, str]]) -> None:
        sent = {claimed.message.id: provider_id for claimed, provider_id in batch}
        deadline = max(claimed.deadline for claimed, _ in batch)
        try:
            with _traced(*(claimed for claimed, _ in batch)):
                await self._call_with_retries(
                    "messages_sent", lambda: self.outbox.report_sent(sent), deadline - time.monotonic()
                )
        except RetryError:
            logger.warning("%s deliveries: messages_sent did not reach the gateway", len(batch))
            return
        except APIError as error:
            if len(batch) > 1:  # one of them is refused: not the others
                for one in batch:
                    await self._report_batch([one])
                return
            logger.warning("%s: the gateway refused messages_sent: %s", [*sent], error.code)
        for claimed, _ in batch:
            self._unreported.pop(claimed.message.id, None)
            with _traced(claimed):
                logger.info("%s: sent", claimed.message.id)
        self.health.sent += len(batch)

    async def _report_failure(self, claimed: _Claimed, code: str, *, retry: bool) -> None:
        """Report before the lease lapses that a message was not delivered."""
        message = claimed.message
        logger.warning("%s: not delivered: %s", message.id, code)
        self.health.failed += 1
        try:
            await self._call_with_retries(
                "message_failed",
                lambda: self.outbox.report_failed(message.id, code, retry=retry),
                claimed.deadline - time.monotonic(),
            )
        except RetryError:
            logger.warning("%s: message_failed did not reach the gateway", message.id)
        except APIError as error:
            logger.warning("%s: the gateway refused message_failed: %s", message.id, error.code)

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
