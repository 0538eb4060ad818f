"""Supervision of background tasks: a task that dies is visible, and is restarted after a growing pause."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from prometheus_client import Counter, Gauge

from adapters.common.retry import pause

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""Tasks may take so long to finish what they hold. `hub up` and compose grant a program more than that and
`adapters.common.program.CONNECTION_SECONDS` together."""

_RUNNING = Gauge("hub_task_running", "1 while the task runs, 0 while it awaits its restart", ["task"])
_RESTARTS = Counter("hub_task_restarts", "Deaths of the background task", ["task"])


@dataclass
class _Task:
    name: str
    run: Callable[[], Awaitable[None]]
    stop: Callable[[], None] | None
    error: str = ""
    """Why it died; empty again once it has run for as long as the pause before its restart."""
    pause: float = 0.0
    started_at: float = 0.0


class Supervisor:
    """Runs tasks from the beginning to the end of its block.

    `stop_seconds` limits the graceful stop; then the tasks that still run are cancelled. Pauses before a
    restart double from `first_pause` to `max_pause` seconds.
    """

    def __init__(
        self, stop_seconds: float = STOP_SECONDS, first_pause: float = 1.0, max_pause: float = 60.0
    ) -> None:
        self._stop_seconds = stop_seconds
        self._first_pause = first_pause
        self._max_pause = max_pause
        self._tasks: list[_Task] = []
        self._running: dict[asyncio.Task[None], _Task] = {}
        self._stopping = asyncio.Event()

    def add(
        self, name: str, run: Callable[[], Awaitable[None]], stop: Callable[[], None] | None = None
    ) -> None:
        """Add a task before the block begins. `stop` requests its end; without it the task is cancelled."""
        self._tasks.append(_Task(name, run, stop))

    def problem(self) -> str:
        """The tasks that died, with their errors; empty while all run."""
        now = time.monotonic()
        for task in self._tasks:
            if task.error and task.started_at and now - task.started_at > task.pause:
                task.error = ""
        return "; ".join(f"{task.name}: {task.error}" for task in self._tasks if task.error)

    async def __aenter__(self) -> Self:
        for task in self._tasks:
            self._running[asyncio.create_task(self._keep(task), name=task.name)] = task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for running, task in self._running.items():
            if task.stop:
                task.stop()
            else:
                running.cancel()
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=self._stop_seconds)
        for running in late:
            logger.warning(
                "%s: not finished after %s seconds: cancelled", running.get_name(), self._stop_seconds
            )
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _keep(self, task: _Task) -> None:
        running = _RUNNING.labels(task.name)
        try:
            while not self._stopping.is_set():
                task.started_at = time.monotonic()
                running.set(1)
                error: Exception | None = None
                try:
                    await task.run()
                except Exception as raised:
                    error = raised
                if self._stopping.is_set():
                    break
                running.set(0)
                await self._await_restart(task, error)
        finally:
            running.set(0)

    async def _await_restart(self, task: _Task, error: Exception | None) -> None:
        ran = time.monotonic() - task.started_at
        grown = task.pause * 2 if ran <= max(task.pause, self._first_pause) else self._first_pause
        task.pause = min(self._max_pause, max(self._first_pause, grown))
        task.error = f"{type(error).__name__}: {error}" if error else "it ended"
        task.started_at = 0.0
        _RESTARTS.labels(task.name).inc()
        logger.error(
            "the task %s died and is restarted after %s seconds: %s",
            task.name,
            task.pause,
            task.error,
            exc_info=error,
        )
        await pause(task.pause, self._stopping)
