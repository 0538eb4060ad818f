"""The calls of the cache: versions and callers, bodies, stock. The role `cache` may do nothing else."""

import asyncio
import time
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import msgspec
import psycopg
from psycopg import conninfo
from psycopg_pool import AsyncConnectionPool

from adapters.cache.bodies import Answer
from adapters.cache.errors import DatabaseAwayError, RefusedError

CONNECTIONS = 3
"""Connections of one process at most: one asks for versions, the others read bodies and stock."""

CONFIGS = "configs"
"""Name of the body that is no price list's."""

_RECONNECT_SECONDS = 2.0
_DRAIN_SECONDS = 1.0
_CANCEL_SECONDS = 0.25
_WATCH_SECONDS = 1.0


class Caller(msgspec.Struct, frozen=True):
    """A caller's price list, or why the request guard refuses them."""

    price_list: str | None = None
    status: int = 401
    code: str = ""
    message: str = ""
    details: str | None = None
    hint: str | None = None

    def admitted(self) -> str:
        """The price list. Raises RefusedError for a refused caller."""
        if self.price_list is None:
            raise RefusedError(self.status, self.code, self.message, details=self.details, hint=self.hint)
        return self.price_list


class Family(msgspec.Struct, frozen=True):
    """The version of a family, and the state that its body shows: equal states, equal bodies."""

    version: int
    state: str


class State(msgspec.Struct, frozen=True):
    """One snapshot of the database: what is current, and who may read it."""

    read_at: datetime
    catalogue: Family
    configs: Family
    stock_seconds: float
    callers: list[Caller]


class Standby(msgspec.Struct, frozen=True):
    """A standby's lag; `lag_seconds` is None while it is away."""

    name: str
    lag_bytes: int
    is_late: bool
    lag_seconds: int | None = None


class Stock(msgspec.Struct, frozen=True):
    """Display stock by product id, as JSON text."""

    read_at: datetime
    body: msgspec.Raw


class Database:
    """PostgreSQL's primary, through a few connections."""

    def __init__(self, url: str, *, seconds: float) -> None:
        """`url` connects as the role `cache`; `seconds` is the time limit of a call with its retries."""
        self._seconds = seconds
        self._drained_at = float("-inf")
        self.problem = "not asked yet"
        """Why the last call failed, empty after one that succeeded."""
        self._pool = AsyncConnectionPool(
            # After a failover a standby may answer under the old address: it could show an older state.
            conninfo.make_conninfo(url, target_session_attrs="primary", application_name="hub-cache"),
            kwargs={"autocommit": True, "connect_timeout": max(2, round(seconds))},
            min_size=1,
            max_size=CONNECTIONS,
            timeout=seconds,
            reconnect_timeout=_RECONNECT_SECONDS,
            open=False,
        )

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    async def state(self, callers: list[str]) -> State:
        """Versions, and an answer for each of these claims (JSON texts). Raises DatabaseAwayError."""
        text = await self._call("select app.cache_state(%s::jsonb)::text", f"[{','.join(callers)}]")
        return msgspec.json.decode(text, type=State)

    async def body(self, name: str) -> Answer:
        """The body of a price list, or of `configs`. Raises DatabaseAwayError."""
        if name == CONFIGS:
            text = await self._call("select app.cache_configs()::text")
        else:
            text = await self._call("select app.cache_catalogue(%s)::text", name)
        return msgspec.json.decode(text, type=Answer)

    async def stock(self) -> Stock:
        """Display stock now. Raises DatabaseAwayError."""
        return msgspec.json.decode(await self._call("select app.cache_stock()::text"), type=Stock)

    async def standbys(self) -> list[Standby]:
        """The standbys that the primary keeps WAL for. Raises DatabaseAwayError."""
        text = await self._call("select app.cache_standbys()::text")
        return msgspec.json.decode(text, type=list[Standby])

    async def reconnect(self) -> None:
        """Replace the connections, which may lead to a former primary; at most once a second."""
        now = time.monotonic()
        if now - self._drained_at >= _DRAIN_SECONDS:
            self._drained_at = now
            await self._pool.drain()

    async def watch(self) -> None:
        """Ask every second, so that `problem` is current without requests; never ends."""
        while True:
            with suppress(RefusedError):
                await self.state([])
            await asyncio.sleep(_WATCH_SECONDS)

    async def _call(self, query: str, *values: str) -> str:
        """Repeat a read on other connections: after a restart of the server each of them fails once."""
        problem: Exception | None = None
        try:
            # The inner limit cancels the statement, which psycopg awaits for seconds if the server is frozen;
            # the outer one ends that wait and closes the connection.
            async with asyncio.timeout(self._seconds + _CANCEL_SECONDS), asyncio.timeout(self._seconds):
                for _ in range(CONNECTIONS + 1):
                    try:
                        async with self._pool.connection() as conn:
                            row = await (await conn.execute(query, values)).fetchone()
                    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                        problem = error
                    else:
                        self.problem = ""
                        return str(row[0]) if row else ""
        except TimeoutError as error:
            problem = problem or error
        except psycopg.Error as error:
            raise _refusal(error) from error
        self.problem = type(problem).__name__
        raise DatabaseAwayError(type(problem).__name__) from problem


def _refusal(error: psycopg.Error) -> RefusedError:
    if error.sqlstate != "PGRST":
        return RefusedError(
            500, error.sqlstate or "XX000", "The database refused a call of the cache", hint="See its log"
        )
    body: dict[str, Any] = msgspec.json.decode(error.diag.message_primary or "{}")
    status: int = msgspec.json.decode(error.diag.message_detail or "{}").get("status", 500)
    return RefusedError(
        status,
        str(body.get("code")),
        str(body.get("message")),
        details=body.get("details"),
        hint=body.get("hint"),
    )
