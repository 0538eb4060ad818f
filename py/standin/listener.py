"""Keeps the schema cache fresh: NOTIFY, SIGUSR1, and retries while the database is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg

from standin.config import Config
from standin.database import Database
from standin.errors import ApiError
from standin.sql import ident

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 3.0


class Listener:
    """Two tasks: one reloads the schema on request, the other listens for NOTIFY."""

    def __init__(self, config: Config, database: Database, reload: Callable[[], Awaitable[None]]) -> None:
        self._config = config
        self._database = database
        self._reload = reload
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start, with a first load."""
        self._wanted.set()
        self._tasks.append(asyncio.create_task(self._reload_when_wanted()))
        if self._config.db_channel_enabled:
            self._tasks.append(asyncio.create_task(self._listen()))

    async def stop(self) -> None:
        """End both tasks."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def reload_soon(self) -> None:
        """Request a reload; several requests at once cause one."""
        self._wanted.set()

    async def _reload_when_wanted(self) -> None:
        pause = 0.1
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._reload()
                pause = 0.1
            except Exception as error:  # the next attempt may succeed
                logger.warning("the schema cache could not be loaded: %s", error)
                self._wanted.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            try:
                # A standby cannot LISTEN.
                connection = await self._database.connect(
                    self._config.hub_listen_uri, target_session_attrs="read-write"
                )
                async with connection:
                    await connection.execute(f"listen {ident(self._config.db_channel)}".encode())
                    if pause > 0.1:
                        self.reload_soon()  # a notification may have been missed
                    pause = 0.1
                    async for notice in connection.notifies():
                        if notice.payload in ("", "reload schema", "reload config"):
                            self.reload_soon()
            except psycopg.Error as error:
                logger.warning("not listening for schema reloads: %s", error)
                with suppress(ApiError):
                    await self._database.probe()  # detects first that the database is away
            pause = min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)
