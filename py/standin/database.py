"""The pool, and the transaction of a request: the same as PostgREST's."""

import asyncio
import json
import logging
import random
import select
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from standin import errors
from standin.auth import Caller
from standin.config import Config
from standin.errors import ApiError
from standin.request import Request
from standin.sql import clean, ident
from standin.statement import Statement

logger = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]
Row = list[bytes | None]

MAX_ATTEMPTS = 20
_CONNECT_SECONDS = 5
_MAX_STALE = 3
_RETRIED = ("40001", "40P01")
_ISOLATION = {"read committed", "repeatable read", "serializable"}


@dataclass(frozen=True)
class Work:
    """The work of a request in its transaction. `check` sees the row and can refuse to commit."""

    statement: Statement
    read_only: bool
    check: Callable[[Row], None]
    settings: Mapping[str, str] = field(default_factory=dict)
    estimate: Statement | None = None


class Database:
    """Runs transactions; detects that the database is away and reconnects."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._search_path = ", ".join(ident(name) for name in config.search_path)
        name = config.db_pre_request
        self._pre_request = f"select {ident(*name.split('.'))}()".encode() if name else None
        self._kwargs: dict[str, Any] = {
            "autocommit": True,
            "client_encoding": "utf8",
            "connect_timeout": _CONNECT_SECONDS,
            "cursor_factory": psycopg.AsyncRawCursor,
            "application_name": "hub-standin",
            # A transaction pool knows no prepared statements.
            "prepare_threshold": 5 if config.db_prepared_statements else None,
        }
        self.pool = AsyncConnectionPool[Connection](
            config.db_uri,
            kwargs=self._kwargs,
            min_size=1,
            max_size=config.db_pool,
            timeout=config.db_pool_acquisition_timeout,
            max_lifetime=config.db_pool_max_lifetime,
            reconnect_timeout=1,
            open=False,
        )
        self.away: str | None = None
        self._recovery: asyncio.Task[None] | None = None
        self.recovered: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Start the pool; it connects in the background."""
        await self.pool.open(wait=False)

    async def close(self) -> None:
        """Stop everything."""
        if self._recovery:
            self._recovery.cancel()
        await self.pool.close(timeout=2)

    async def connect(self, uri: str | None = None, **more: str) -> Connection:
        """A connection outside the pool; `more` overrides parameters of the URI."""
        return await psycopg.AsyncConnection.connect(uri or self._config.db_uri, **self._kwargs | more)

    # -- transactions

    async def run(self, work: Work, caller: Caller, request: Request, zone: str | None) -> Row:
        """The row that the statement gives, committed. Raises ApiError, with the transaction rolled back."""
        begin = self._begin(work)
        settings = self._settings(work, caller, request, zone)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._with_connection(begin, settings, work)
            except psycopg.Error as error:
                if error.sqlstate not in _RETRIED:
                    raise errors.from_database(error, anonymous=caller.anonymous) from None
                last = error
            logger.info("transaction is run again after %s (attempt %d)", last.sqlstate, attempt)
            await asyncio.sleep(random.uniform(0, 0.002 * attempt))  # noqa: S311 - spreads colliding transactions
        raise ApiError(
            500,
            last.sqlstate or "40001",
            last.diag.message_primary or "could not serialize access",
            f"The stand-in gateway gave up after {MAX_ATTEMPTS} attempts; PostgREST would go on.",
        )

    async def _with_connection(self, begin: bytes, settings: Statement, work: Work) -> Row:
        for _ in range(_MAX_STALE):
            if self.away is not None:
                raise errors.no_connection(self.away)
            try:
                async with self.pool.connection() as connection:
                    if not _is_stale(connection):
                        return await self._transaction(connection, begin, settings, work)
                    await connection.close()
            except PoolTimeout:
                await self.probe()
                raise ApiError(
                    504, "PGRST003", "Timed out acquiring connection from connection pool."
                ) from None
            await self.probe()
            await self.pool.check()
        raise errors.connection_lost("every connection of the pool had been closed")

    async def _transaction(
        self, connection: Connection, begin: bytes, settings: Statement, work: Work
    ) -> Row:
        try:
            if not work.read_only and connection.info.parameter_status("in_hot_standby") == "on":
                # A standby refuses; without a transaction, rollback() below would forget nothing.
                await connection.execute(begin, prepare=False)
            # Sent in one packet; after an error the server skips the rest.
            async with connection.pipeline():
                await connection.execute(begin, prepare=False)
                await connection.execute(settings.text.encode(), settings.values)
                if self._pre_request:
                    await connection.execute(self._pre_request)
                estimate = None
                if work.estimate:
                    text, values = work.estimate.text.encode(), work.estimate.values
                    estimate = await connection.execute(text, values, prepare=False)
                cursor = await connection.execute(work.statement.text.encode(), work.statement.values)
                if work.read_only:  # there is nothing that a check could undo
                    await connection.execute(b"commit", prepare=False)
            row = _row(cursor)
            if estimate is not None:
                plan = json.loads(_row(estimate)[0] or b"")
                row[0] = str(int(plan[0]["Plan"]["Plan Rows"])).encode()
            work.check(row)
            if not work.read_only:
                await connection.execute(b"commit", prepare=False)
        except BaseException as error:
            if connection.closed and isinstance(error, psycopg.Error):
                self._lost(error)
                raise errors.connection_lost(error) from None
            if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                with suppress(psycopg.Error):
                    # rollback() also forgets what the server skipped to prepare after the error
                    await connection.rollback()
            raise
        return row

    def _begin(self, work: Work) -> bytes:
        level = work.settings.get("default_transaction_isolation", "").lower()
        isolation = f" isolation level {level}" if level in _ISOLATION else ""
        return f"begin{isolation} read {'only' if work.read_only else 'write'}".encode()

    def _settings(self, work: Work, caller: Caller, request: Request, zone: str | None) -> Statement:
        named = {
            "search_path": self._search_path,
            "role": caller.role,
            "request.jwt.claims": caller.claims,
            "request.method": request.method,
            "request.path": request.path,
            "request.headers": request.headers_json(),
            "request.cookies": request.cookies_json(),
        }
        if zone:
            named["timezone"] = zone
        named |= {n: v for n, v in work.settings.items() if n != "default_transaction_isolation"}
        calls = ", ".join(f"set_config('{name}', ${n}, true)" for n, name in enumerate(named, 1))
        return Statement(f"select {calls}", [clean(value) for value in named.values()])

    # -- when the database is away

    async def probe(self) -> None:
        """Raises ApiError (503) if the database cannot be reached."""
        try:
            await (await self.connect()).close()
        except psycopg.Error as error:
            self._lost(error)
            raise errors.no_connection(error) from None

    def _lost(self, error: psycopg.Error) -> None:
        if self.away is None:
            logger.warning("the database is away: %s", error)
            self.away = str(error)
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        delay = 0.2
        while True:
            try:
                await (await self.connect()).close()
                await self.pool.check()
            except psycopg.Error as error:
                self.away = str(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1)
            else:
                break
        logger.warning("the database is back")
        self.away = None
        self.recovered()


def _row(cursor: psycopg.AsyncCursor[Any]) -> Row:
    """The one row of a result, as raw bytes: the body is not decoded and encoded again."""
    result = cursor.pgresult
    if result is None or result.ntuples != 1:
        raise psycopg.InternalError("the statement gave no row")
    return [result.get_value(0, column) for column in range(result.nfields)]


def _is_stale(connection: Connection) -> bool:
    """Whether an idle connection has unread input, which means that the server closed it."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return bool(poller.poll(0))
