"""Repetition of calls that fail for a while, with growing, jittered pauses."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.2


async def call_with_retries(
    call: Callable[[], Awaitable[T]],
    *,
    stop: asyncio.Event,
    retry_if: Callable[[BaseException], bool],
    max_pause_seconds: float,
    on_error: Callable[[BaseException | None], None] | None = None,
    seconds: float | None = None,
) -> T:
    """Repeat `call` while `retry_if` accepts its error; other errors are raised.

    Pauses grow from FIRST_PAUSE_SECONDS to `max_pause_seconds`. `on_error` receives each error that is
    followed by a repetition. Raises tenacity.RetryError once `stop` is set, or after `seconds`.
    """

    async def attempt() -> T:  # tenacity awaits only coroutine functions
        return await call()

    def before_sleep(state: RetryCallState) -> None:
        if on_error:
            on_error(state.outcome.exception() if state.outcome else None)

    # tenacity expects a threading.Event and only calls is_set().
    stopped = stop_when_event_set(stop)  # type: ignore[arg-type]
    retrying = AsyncRetrying(
        retry=retry_if_exception(retry_if),
        stop=stopped if seconds is None else stopped | stop_after_delay(max(0.0, seconds)),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=max_pause_seconds),
        sleep=lambda pause_seconds: pause(pause_seconds, stop),
        before_sleep=before_sleep,
    )
    return await retrying(attempt)


async def pause(seconds: float, end: asyncio.Event) -> None:
    """Sleep for so many seconds or until `end` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await end.wait()
