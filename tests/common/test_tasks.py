"""Supervision: a dead task is visible and restarted; the stop is graceful, within a limit."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import yaml
from prometheus_client import REGISTRY

from adapters.common.program import CONNECTION_SECONDS
from adapters.common.tasks import STOP_SECONDS, Supervisor
from hub import paths


def running(name: str) -> float | None:
    return REGISTRY.get_sample_value("hub_task_running", {"task": name})


def restarts(name: str) -> float:
    return REGISTRY.get_sample_value("hub_task_restarts_total", {"task": name}) or 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_dead_task_is_visible_and_restarted_after_growing_pauses() -> None:
    begun: list[float] = []

    async def fail_three_times() -> None:
        begun.append(time.monotonic())
        if len(begun) <= 3:
            raise ZeroDivisionError("a defect")
        await asyncio.sleep(60)

    async def run() -> None:
        tasks = Supervisor(first_pause=0.05)
        tasks.add("fails", fail_three_times)
        async with tasks:
            await until(lambda: len(begun) == 1 and running("fails") == 0)
            assert tasks.problem() == "fails: ZeroDivisionError: a defect"
            await until(lambda: len(begun) == 4)
            assert running("fails") == 1
            assert tasks.problem(), "it has not proved itself yet"
            await until(lambda: not tasks.problem())

    before = restarts("fails")
    asyncio.run(run())
    assert restarts("fails") - before == 3
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert [pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True)] == [True] * 3
    assert running("fails") == 0


def test_task_that_ends_by_itself_is_restarted() -> None:
    begun: list[int] = []

    async def end() -> None:
        begun.append(1)

    async def run() -> None:
        tasks = Supervisor(first_pause=0.01)
        tasks.add("ends", end)
        async with tasks:
            await until(lambda: len(begun) > 1)
            assert tasks.problem() == "ends: it ended"

    asyncio.run(run())


def stop_during(work: Callable[[asyncio.Event], Awaitable[None]], stop_seconds: float) -> float:
    """Stop a supervisor whose task runs `work` until its event is set; returns the seconds it took."""

    async def run() -> float:
        stop = asyncio.Event()
        tasks = Supervisor(stop_seconds=stop_seconds)
        tasks.add("works", lambda: _coroutine(work(stop)), stop.set)
        async with tasks:
            await asyncio.sleep(0.02)
            began = time.monotonic()
        return time.monotonic() - began

    return asyncio.run(run())


async def _coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


def test_stop_waits_until_a_task_has_finished_what_it_holds() -> None:
    finished: list[int] = []

    async def finish(stop: asyncio.Event) -> None:
        await stop.wait()
        await asyncio.sleep(0.1)
        finished.append(1)

    assert 0.1 <= stop_during(finish, 5) < 2
    assert finished == [1]


def test_task_that_does_not_finish_in_time_is_cancelled() -> None:
    async def hang(stop: asyncio.Event) -> None:
        await asyncio.sleep(60)

    assert 0.1 <= stop_during(hang, 0.1) < 2


def test_supervisord_and_compose_grant_the_time_of_a_graceful_stop() -> None:
    needed = STOP_SECONDS + CONNECTION_SECONDS
    supervise = (paths.root() / "py" / "hub" / "stack" / "supervise.py").read_text()
    granted = [int(seconds) for seconds in re.findall(r"^stopwaitsecs = (\d+)", supervise, re.M)]
    assert min(granted) > needed
    services = yaml.safe_load((paths.root() / "docker-compose.yml").read_text())["services"]
    for name, service in services.items():
        if str(service.get("command", [""])[0]).startswith("adapters."):
            assert int(service["stop_grace_period"].removesuffix("s")) > needed, name
