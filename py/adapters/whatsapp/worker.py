"""The loop: claim, deliver, report. At least once; the lease says whose turn it is."""

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
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception,
    stop_after_delay,
    stop_never,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from adapters.whatsapp.delivery import Delivery, DeliveryError, UnknownOutcomeError
from adapters.whatsapp.messages import Message
from adapters.whatsapp.outbox import may_pass

logger = logging.getLogger(__name__)
T = TypeVar("T")

_LONGEST_PAUSE = 15
"""Seconds between two tries to reach a gateway that is away."""


class Claims(Protocol):
    """What the worker needs of the outbox."""

    async def claim(self) -> list[Message]: ...
    async def sent(self, message_id: UUID, provider_id: str) -> None: ...
    async def failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None: ...


@dataclass
class Health:
    """What /health tells."""

    last_claim_at: datetime | None = None
    gateway_answers: bool = False
    sent: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass
class Worker:
    """Delivers what is owed until it is told to stop; finishes the batch in its hands before it does."""

    outbox: Claims
    delivery: Delivery
    lease_seconds: float = 60
    poll_seconds: float = 0.5
    at_once: int = 8
    health: Health = field(default_factory=Health)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _unreported: dict[UUID, str] = field(default_factory=dict)
    """Delivered, but the gateway could not be told: if they come again, they are not sent again."""

    def stop(self) -> None:
        """Claim no more."""
        self._stop.set()
        self._woken.set()

    def wake(self) -> None:
        """Something is owed: pause no longer."""
        self._woken.set()

    async def run(self) -> None:
        """Until `stop` is called."""
        while not self._stop.is_set():
            self._woken.clear()
            try:
                claimed = await self.step()
            except RetryError:
                break  # told to stop while the gateway was away
            except Exception:
                # A defect, or an answer that makes no sense: say so, and do not spin.
                logger.exception("this round failed")
                await self._pause(_LONGEST_PAUSE)
                continue
            if not claimed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self.poll_seconds)

    async def step(self) -> int:
        """One claim and its deliveries; returns how many messages were claimed."""
        claimed, deadline = await self._claim()
        places = asyncio.Semaphore(self.at_once)

        async def handle(message: Message) -> None:
            async with places:
                await self._handle(message, deadline)

        # The outbox hands out one message of a reader and priority at a time: nothing overtakes.
        async with asyncio.TaskGroup() as tasks:
            for message in claimed:
                tasks.create_task(handle(message))
        return len(claimed)

    async def _claim(self) -> tuple[list[Message], float]:
        deadline = 0.0

        async def claim() -> list[Message]:
            nonlocal deadline
            deadline = time.monotonic() + self.lease_seconds  # counted from before the database does
            return await self.outbox.claim()

        claimed = await self._insist("claim_messages", claim, stop_never)
        self.health.last_claim_at = datetime.now(UTC)
        self.health.gateway_answers = True
        return claimed, deadline

    async def _handle(self, message: Message, deadline: float) -> None:
        if time.monotonic() >= deadline:
            logger.warning("%s: the lease has lapsed, it is another's turn", message.id)
            return
        provider_id = self._unreported.get(message.id)
        try:
            if provider_id is None:
                async with asyncio.timeout(deadline - time.monotonic()):
                    provider_id = await self.delivery.deliver(message)
        except DeliveryError as error:
            await self._report_failure(message, error.code, deadline, retry=error.retry)
        except (TimeoutError, UnknownOutcomeError) as error:
            # It may have been sent. The lease lapses, and the database knows what to do with the unknown.
            self.health.unknown += 1
            logger.warning("%s: unknown whether it was sent (%s)", message.id, error or "no answer in time")
        except Exception as error:
            logger.exception("%s: the delivery broke", message.id)
            await self._report_failure(message, type(error).__name__, deadline, retry=True)
        else:
            self._unreported[message.id] = provider_id
            if await self._report("message_sent", message, deadline, provider_id):
                del self._unreported[message.id]
                self.health.sent += 1

    async def _report_failure(self, message: Message, code: str, deadline: float, *, retry: bool) -> None:
        logger.warning("%s: not delivered: %s", message.id, code)
        self.health.failed += 1
        await self._report("message_failed", message, deadline, code, retry=retry)

    async def _report(
        self, what: str, message: Message, deadline: float, text: str, *, retry: bool = False
    ) -> bool:
        async def report() -> None:
            if what == "message_sent":
                await self.outbox.sent(message.id, text)
            else:
                await self.outbox.failed(message.id, text, retry=retry)

        try:
            await self._insist(what, report, stop_after_delay(max(0.0, deadline - time.monotonic())))
        except RetryError:
            logger.warning("%s: the gateway could not be told (%s)", message.id, what)
            return False
        except APIError as error:
            logger.warning("%s: the gateway refused %s: %s", message.id, what, error.code)
        return True

    async def _insist(self, what: str, call: Callable[[], Awaitable[T]], stop: stop_base) -> T:
        """Call until it works, with growing pauses; raises RetryError when told to stop or out of time."""

        def complain(state: RetryCallState) -> None:
            self.health.gateway_answers = False
            error = state.outcome and state.outcome.exception()
            logger.warning("%s: %s; trying again", what, error if error else "no answer")

        retrying = AsyncRetrying(
            retry=retry_if_exception(may_pass),
            # An asyncio.Event has the one method that is asked for.
            stop=stop | stop_when_event_set(self._stop),  # type: ignore[arg-type]
            wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_PAUSE),
            sleep=self._pause,
            before_sleep=complain,
        )
        return await retrying(call)

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless told to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
