"""Leader election: of several adapters, the one that holds an advisory lock of the database works."""

import asyncio
import logging
import time

import psycopg

logger = logging.getLogger(__name__)

_LOCK = "select pg_try_advisory_lock(hashtext('erp adapter'))"


class Leader:
    """Leadership by an advisory lock on a connection of its own.

    Without a connection URL there is a single adapter, which leads at once.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[tuple[bool]] | None = None
        self._since: float | None = None if url else time.monotonic()
        self._mutex = asyncio.Lock()

    async def leading_since(self) -> float | None:
        """Since when (time.monotonic) this adapter leads, verified in the database; None if it does not."""
        if not self._url:
            return self._since
        async with self._mutex:
            return await self._check()

    async def _check(self) -> float | None:
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
            logger.warning("the leader lock is lost: %s", str(error).strip())
            await self.aclose()
        return self._since

    async def aclose(self) -> None:
        """Close the connection, which releases the lock."""
        if self._url:
            self._since = None
        if self._connection:
            await self._connection.close()
            self._connection = None
