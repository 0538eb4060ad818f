"""One of several adapters works: the one that holds a lock in the database."""

import asyncio
import logging
import time

import psycopg

logger = logging.getLogger(__name__)

_LOCK = "select pg_try_advisory_lock(hashtext('erp adapter'))"


class Leader:
    """Leadership by an advisory lock on a connection of our own; without a connection URL we lead at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[tuple[bool]] | None = None
        self._since: float | None = None if url else time.monotonic()
        self._turn = asyncio.Lock()

    async def since(self) -> float | None:
        """From when on (time.monotonic) we lead, asked of the database itself; None if we do not."""
        if not self._url:
            return self._since
        async with self._turn:
            return await self._ask()

    async def _ask(self) -> float | None:
        try:
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=5, application_name="erp adapter"
                )
            if self._since is None:
                row = await (await self._connection.execute(_LOCK)).fetchone()
                self._since = time.monotonic() if row and row[0] else None
            else:
                await self._connection.execute("select")
        except psycopg.Error as error:
            logger.warning("the lock is lost: %s", str(error).strip())
            await self.aclose()
        return self._since

    async def aclose(self) -> None:
        """Lead no more."""
        if self._url:
            self._since = None
        if self._connection:
            await self._connection.close()
            self._connection = None
