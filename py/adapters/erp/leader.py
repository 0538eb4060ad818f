"""Leader election: of several adapters, the one that holds an advisory lock of the database works."""

import asyncio
import logging
import os
import socket
import time
from contextlib import suppress

import psycopg
from psycopg.conninfo import make_conninfo

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 3.0
"""Without an answer of the database for so long, this adapter does not lead."""

_LOCK = "select pg_try_advisory_lock(hashtext('erp adapter'))"
_LIMITS: dict[str, str | int] = {
    "application_name": "erp adapter",
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
    # When the network is cut, the server gives the lock up later than the adapter that held it notices.
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=60s",
}


class Leader:
    """Leadership by an advisory lock on a connection of its own.

    Without a connection URL there is a single adapter, which leads at once.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[tuple[bool]] | None = None
        self._since: float | None = None if url else time.monotonic()
        self._verification: asyncio.Task[None] | None = None
        self._problem = ""
        if not url:
            logger.warning("HUB_LISTEN_URL is not set: only one ERP adapter may run")

    def problem(self) -> str:
        """Why it is unknown which adapter leads; empty while the database answers."""
        return self._problem

    async def leading_since(self) -> float | None:
        """Since when (time.monotonic) this adapter leads, verified in the database; None if it does not."""
        if not self._url:
            return self._since
        if self._verification is None or self._verification.done():
            self._verification = asyncio.create_task(self._verify())
        await asyncio.shield(self._verification)
        return self._since

    async def _verify(self) -> None:
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
        try:
            await self._ask(deadline)
            self._problem = ""
        except Exception as error:
            self._problem = str(error).strip() or type(error).__name__
            if asyncio.get_running_loop().time() >= deadline:
                self._problem = f"the database does not answer within {ANSWER_SECONDS:g} seconds"
            logger.warning("the leader lock is lost: %s", self._problem)
            await self._close()

    async def _ask(self, deadline: float) -> None:
        """Take or verify the lock; raises an error of psycopg or TimeoutError at the deadline."""
        if self._connection is None:
            async with asyncio.timeout_at(deadline):
                self._connection = await psycopg.AsyncConnection.connect(
                    make_conninfo(self._url, **_LIMITS), autocommit=True
                )
        # psycopg ends a cancelled statement only when the server answers, so its socket is shut down.
        limit = asyncio.get_running_loop().call_at(deadline, _shut_down, self._connection)
        try:
            if self._since is None:
                row = await (await self._connection.execute(_LOCK)).fetchone()
                self._since = time.monotonic() if row and row[0] else None
            else:
                await self._connection.execute("select")
        finally:
            limit.cancel()

    async def _close(self) -> None:
        if self._url:
            self._since = None
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()

    async def aclose(self) -> None:
        """Close the connection, which releases the lock. A frozen database does not delay it."""
        if self._verification and not self._verification.done():
            if self._connection:
                _shut_down(self._connection)
            await asyncio.wait({self._verification})
        await self._close()


def _shut_down(connection: psycopg.AsyncConnection[tuple[bool]]) -> None:
    """Shut down the socket of a connection: what waits for the server fails at once."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
