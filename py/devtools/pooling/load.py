"""Many clients at once, over HTTP and in SQL, and the connections to the server that they share."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import psycopg

from devtools.bench import pgbench
from devtools.bench.pgbench import percentile

CLIENT_SECONDS = 40
"""The time limit of an HTTP client: longer than a request can wait and run (docs/operations/pooling.md)."""

PATHS = (
    "/products?select=sku,name,price,display_stock&order=sku&limit=20",
    "/orders?select=id,status,grand_total&order=created_at.desc&limit=20",
)

_SAMPLE_SECONDS = 0.1
_SHORTEST_SECONDS = 10
_COUNT = (
    "select count(*) from pg_catalog.pg_stat_activity where datname = current_database()"
    " and usename = 'authenticator' and query not ilike 'listen %'"
)


@dataclass
class Load:
    """What clients saw, and the most server connections that were open for them at once."""

    way: str
    clients: int
    seconds: float = 0.0
    requests: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    slowest_ms: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    """Requests that failed, by status and code, or by the kind of failure."""
    connections: int = 0

    @property
    def per_second(self) -> float:
        """Requests that were answered well, a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def over_http(way: str, url: str, tokens: Sequence[str], observer: str, *, seconds: float = 0) -> Load:
    """Send requests from one client a token, each with a connection of its own, for so many seconds.

    A client sends its next request when the last one is answered; with 0 seconds it sends one.
    `observer` is a superuser's URL of the database.
    """
    return asyncio.run(_over_http(way, url, tokens, observer, seconds))


async def _over_http(way: str, url: str, tokens: Sequence[str], observer: str, seconds: float) -> Load:
    load = Load(way, len(tokens))
    took: list[float] = []
    shared = ssl.create_default_context()  # One for all: each takes some milliseconds.

    async def client(number: int, token: str, until: float) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, verify=shared, trust_env=False, timeout=CLIENT_SECONDS
        ) as http:
            sent = 0
            while not sent or time.monotonic() < until:
                started = time.monotonic()
                failure = await _failure(http, PATHS[(number + sent) % len(PATHS)])
                took.append(time.monotonic() - started)
                load.errors.update(failure)
                sent += 1

    started = time.monotonic()
    async with _counting(observer, load):
        await asyncio.gather(*(client(i, token, started + seconds) for i, token in enumerate(tokens)))
    load.seconds = time.monotonic() - started
    load.requests = len(took) - load.errors.total()
    load.p50_ms, load.p95_ms, load.slowest_ms = (percentile(took, part) * 1000 for part in (0.5, 0.95, 1))
    return load


async def _failure(http: httpx.AsyncClient, path: str) -> list[str]:
    """The failure of a request, or nothing."""
    try:
        answer = await http.get(path)
    except httpx.HTTPError as error:
        return [type(error).__name__]
    if answer.is_success:
        return []
    try:
        return [f"{answer.status_code} {answer.json()['code']}"]
    except (ValueError, KeyError, TypeError):
        return [str(answer.status_code)]


@asynccontextmanager
async def _counting(observer: str, load: Load) -> AsyncIterator[None]:
    """Keep the largest number of connections to the server that were seen."""

    async def watch(conn: psycopg.AsyncConnection[tuple[int]]) -> None:
        while True:
            for row in await (await conn.execute(_COUNT)).fetchall():
                load.connections = max(load.connections, row[0])
            await asyncio.sleep(_SAMPLE_SECONDS)

    async with await psycopg.AsyncConnection.connect(observer, autocommit=True) as conn:
        watching = asyncio.create_task(watch(conn))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])


def in_sql(way: str, url: str, partner: str, observer: str, *, clients: int, seconds: float) -> Load:
    """Run pgbench through PgBouncer: each client reads products in transactions, as this partner.

    Less than ten seconds are one transaction a client, as pgbench's time includes connecting.
    Raises BenchError if a transaction fails.
    """
    return asyncio.run(_in_sql(way, url, partner, observer, clients, seconds))


async def _in_sql(way: str, url: str, partner: str, observer: str, clients: int, seconds: float) -> Load:
    load = Load(way, clients)
    transactions = 1 if seconds < _SHORTEST_SECONDS else 0
    async with _counting(observer, load):
        done = await asyncio.to_thread(
            pgbench.run,
            "newest_products",
            url,
            clients=clients,
            seconds=0 if transactions else seconds,
            transactions=transactions,
            protocol="extended",  # Named statements need PgBouncer 1.21.
            variables={"partner": partner},
        )
    load.seconds = clients * transactions / done.tps if transactions else seconds
    load.requests = round(done.tps * load.seconds)
    load.p50_ms, load.p95_ms, load.slowest_ms = done.p50_ms, done.p95_ms, done.slowest_ms
    return load
