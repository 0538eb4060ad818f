"""Pauses between attempts: they end early, and never hide that their task was cancelled."""

import asyncio
import time
from collections.abc import Callable

import pytest

from adapters.common.retry import pause


async def _begin_pause(seconds: float, end: asyncio.Event) -> "asyncio.Task[None]":
    task = asyncio.create_task(pause(seconds, end))
    await asyncio.sleep(0.01)
    return task


def test_pause_ends_with_its_time_or_its_event() -> None:
    async def run() -> None:
        await pause(0.001, asyncio.Event())
        end = asyncio.Event()
        task = await _begin_pause(60, end)
        end.set()
        async with asyncio.timeout(5):
            await task

    started = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("events", [["set", "cancel"], ["cancel", "set"], ["cancel"]])
def test_cancelled_pause_is_cancelled_even_if_its_event_is_set_at_the_same_time(events: list[str]) -> None:
    """A task whose cancellation was lost would run for ever, and who waits for its end with it."""

    async def run() -> bool:
        end = asyncio.Event()
        task = await _begin_pause(60, end)
        acts: dict[str, Callable[[], object]] = {"set": end.set, "cancel": task.cancel}
        for event in events:
            acts[event]()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())
