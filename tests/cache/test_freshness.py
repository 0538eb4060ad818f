"""A client that has seen a commit never reads older: under changes, at moments, and with parts away.

`HUB_CACHE_TRIALS` and `HUB_CACHE_KILLS` lengthen the trials: 1000 and 20 take about two minutes.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from adapters.cache.database import Database
from adapters.common.tokens import mint
from tests.cache.conftest import Shop
from tests.cache.environment import RedisServer, RunningCache, login, running_cache
from tests.support import test_cluster
from tests.support.client import RunningGateway
from tests.support.context import call, line, make_context

TRIALS = int(os.environ.get("HUB_CACHE_TRIALS", "100"))
KILLS = int(os.environ.get("HUB_CACHE_KILLS", "3"))
CHANGES_PER_SECOND = 50

Connection = psycopg.AsyncConnection[Any]


@asynccontextmanager
async def connected(shop: Shop) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(shop.url, autocommit=True) as conn:
        yield conn


async def set_price(conn: Connection, sku: str, rupiah: int) -> None:
    await conn.execute("update app.products set base_price = %s where sku = %s", [rupiah, sku])


def price_of(answer: httpx.Response, sku: str) -> float:
    assert answer.status_code == 200, answer.text
    return float(next(p["price"] for p in answer.json()["products"] if p["sku"] == sku))


@asynccontextmanager
async def beside(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Repeat `work` until the block ends; its errors are raised then."""
    stopping = asyncio.Event()

    async def repeat() -> None:
        while not stopping.is_set():
            await work()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        stopping.set()
        await task


@asynccontextmanager
async def prices_changing(shop: Shop) -> AsyncIterator[None]:
    """Change the price of SKU-004, fifty times a second."""
    price = 10_000
    async with connected(shop) as conn:

        async def change() -> None:
            nonlocal price
            started = time.monotonic()
            price += 1
            await set_price(conn, "SKU-004", price)
            await asyncio.sleep(max(0, 1 / CHANGES_PER_SECOND - (time.monotonic() - started)))

        async with beside(change):
            yield


def test_writers_read_their_own_commit_while_prices_change(shop: Shop, redis: RedisServer) -> None:
    async def run() -> None:
        broken = 0
        async with (
            running_cache(shop.url, redis) as first,
            running_cache(shop.url, redis) as second,
            connected(shop) as conn,
            prices_changing(shop),
        ):
            for trial in range(TRIALS):
                await set_price(conn, "SKU-000", 1000 + trial)
                caches = (first, second)
                asked = [cache.get("/catalogue", shop.context.partners[trial % 3]) for cache in caches]
                for answer in await asyncio.gather(*asked):
                    broken += price_of(answer, "SKU-000") != 1000 + trial
        assert broken == 0

    asyncio.run(run())


def test_etag_of_a_commit_that_was_overtaken_is_never_confirmed(shop: Shop) -> None:
    async def run() -> None:
        async with running_cache(shop.url) as cache, connected(shop) as conn:
            partner = shop.context.partners[0]
            for price in range(50):
                etag = (await cache.get("/catalogue", partner)).headers["ETag"]
                await set_price(conn, "SKU-000", 5000 + price)
                again = await cache.get("/catalogue", partner, if_none_match=etag)
                assert again.status_code == 200
                assert price_of(again, "SKU-000") == 5000 + price

    asyncio.run(run())


def test_redis_killed_under_load_costs_no_answer(shop: Shop, redis: RedisServer) -> None:
    async def run() -> None:
        partner = shop.context.partners[0]
        committed, wrong, failed, answers = 0, 0, 0, 0
        async with (
            running_cache(shop.url, redis) as first,
            running_cache(shop.url, redis) as second,
            connected(shop) as conn,
        ):

            async def write() -> None:
                nonlocal committed
                await set_price(conn, "SKU-000", committed + 1)
                committed += 1
                await asyncio.sleep(0.02)

            async def read(cache: RunningCache) -> None:
                nonlocal wrong, failed, answers
                least = committed
                answer = await cache.get("/catalogue", partner)
                answers += 1
                failed += answer.status_code != 200
                wrong += answer.status_code == 200 and price_of(answer, "SKU-000") < least

            await write()
            async with (
                beside(write),
                beside(lambda: read(first)),
                beside(lambda: read(second)),
                beside(lambda: read(second)),
            ):
                for _ in range(KILLS):
                    await asyncio.sleep(0.15)
                    await asyncio.to_thread(redis.kill)
                    await asyncio.sleep(0.15)
                    await asyncio.to_thread(redis.start)
        assert answers > KILLS * 10
        assert (wrong, failed) == (0, 0)

    asyncio.run(run())


def test_scheduled_price_is_charged_shown_and_cached_from_its_moment(shop: Shop, redis: RedisServer) -> None:
    """Each sample is between two readings of the database's clock, which both lie in one period.

    Prices count at the start of a transaction, so the first reading of a sample in one is that.
    """
    partner = shop.context.partners[1]
    sku, old, new = "SKU-003", 175_000, 99_000

    def shown(conn: psycopg.Connection[Any]) -> float:
        row = conn.execute("select set_config('role', 'partner', true)").fetchone()
        assert row
        conn.execute("select set_config('request.jwt.claims', %s, true)", [partner.claims])
        row = conn.execute("select price from api.products where sku = %s", [sku]).fetchone()
        assert row
        return float(row[0])

    def sample(kind: str) -> tuple[datetime, datetime, float]:
        with psycopg.connect(shop.url) as conn:
            before = moment(conn, "now()")
            if kind == "charged":
                quote = call(conn, partner, "quote_order", items=[line(sku, 1)], points=0)
                price = float(quote["subtotal"])
            else:
                price = shown(conn)
                conn.rollback()
            return before, moment(conn, "clock_timestamp()"), price

    async def cached(cache: RunningCache, conn: Connection) -> tuple[datetime, datetime, float]:
        before = await anow(conn)
        price = price_of(await cache.get("/catalogue", partner), sku)
        return before, await anow(conn), price

    async def run() -> None:
        async with running_cache(shop.url, redis) as cache, connected(shop) as conn:
            cursor = await conn.execute(
                "insert into app.tier_prices (product_id, tier, price, effective_from, effective_until)"
                " values (%s, 'GOLD', %s, clock_timestamp() + interval '1 second',"
                " clock_timestamp() + interval '1.8 seconds') returning effective_from, effective_until",
                [shop.context.products[sku], new],
            )
            row = await cursor.fetchone()
            assert row
            begin, end = row
            samples = []
            while (await anow(conn)) < end + timedelta(seconds=0.3):
                samples += [("cached", await cached(cache, conn))]
                samples += [(kind, await asyncio.to_thread(sample, kind)) for kind in ("charged", "shown")]
        for kind, (before, after, price) in samples:
            if after < begin or before >= end:
                assert price == old, (kind, before)
            elif begin <= before and after < end:
                assert price == new, (kind, before)
        for kind in ("cached", "charged", "shown"):
            assert {price for name, (_, _, price) in samples if name == kind} == {old, new}

    asyncio.run(run())


def moment(conn: psycopg.Connection[Any], expression: str) -> datetime:
    row = conn.execute(f"select {expression}".encode()).fetchone()
    assert row
    return row[0]  # type: ignore[no-any-return]


async def anow(conn: Connection) -> datetime:
    row = await (await conn.execute("select clock_timestamp()")).fetchone()
    assert row
    return row[0]  # type: ignore[no-any-return]


def terminate(shop: Shop) -> None:
    """End the connections of the cache, as a restart of the server does."""
    shop.conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'cache'")


def test_restarted_database_fails_no_request(shop: Shop) -> None:
    async def run() -> None:
        async with running_cache(shop.url) as cache:
            for _ in range(5):
                terminate(shop)
                answer = await cache.get("/catalogue", shop.context.partners[0])
                assert answer.status_code == 200

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/catalogue", "/configs", "/stock"])
def test_without_the_database_nothing_stale_is_served(shop: Shop, path: str) -> None:
    partner = shop.context.partners[0]

    async def run() -> None:
        async with running_cache(shop.url, cache_database_seconds=0.3) as cache:
            etag = (await cache.get(path, partner)).headers.get("ETag", "none")
            with psycopg.connect(shop.url) as locking:
                locking.execute("lock table app.cache_versions in access exclusive mode")
                answers = await asyncio.gather(
                    *(cache.get(path, partner, if_none_match=etag) for _ in range(20))
                )
                ready = await cache.client.get("/health/ready")
            for answer in answers:
                body = answer.json()
                assert (answer.status_code, body["code"]) == (503, "PGRST000")
                assert set(body) == {"code", "message", "details", "hint"}
                assert answer.headers["Retry-After"] == "2"
            assert (ready.status_code, ready.json()["status"]) == (503, "trouble")
            assert (await cache.client.get("/health/live")).status_code == 200
            assert (await cache.get(path, partner)).status_code == 200

    asyncio.run(run())


def test_frozen_database_is_answered_503_within_the_limit(shop: Shop) -> None:
    """SIGSTOP: the server sends nothing any more, not even the end of a cancelled statement."""
    partner = shop.context.partners[0]

    async def run() -> None:
        async with running_cache(shop.url, cache_database_seconds=0.5) as cache:
            assert (await cache.get("/catalogue", partner)).status_code == 200
            backends = shop.conn.execute(
                "select pid from pg_stat_activity where usename = 'cache'"
            ).fetchall()
            for (pid,) in backends:
                os.kill(pid, signal.SIGSTOP)
            try:
                started = time.monotonic()
                answer = await cache.get("/catalogue", partner)
                assert (answer.status_code, answer.json()["code"]) == (503, "PGRST000")
                assert time.monotonic() - started < 4, "psycopg alone waits for 5"
                # The postmaster still runs: a new connection answers when the frozen ones are replaced.
                async with asyncio.timeout(5):
                    while (await cache.get("/catalogue", partner)).status_code != 200:
                        pass
            finally:
                for (pid,) in backends:
                    os.kill(pid, signal.SIGCONT)

    asyncio.run(run())


def pids(shop: Shop) -> set[int]:
    """The cache's connections."""
    rows = shop.conn.execute("select pid from pg_stat_activity where usename = 'cache'").fetchall()
    return {pid for (pid,) in rows}


def test_version_of_a_later_database_makes_the_cache_reconnect(shop: Shop) -> None:
    """A former primary that still answers: its version is older than what the client has seen."""

    async def run() -> None:
        async with running_cache(shop.url) as cache:
            partner = shop.context.partners[0]
            first = await cache.get("/catalogue", partner)
            version = int(first.headers["Hub-Version"])
            # The pool may still be growing: what counts is whether the connections of before remain.
            before = pids(shop)
            same = await cache.get("/catalogue", partner, hub_version=str(version))
            assert before <= pids(shop)
            later = await cache.get("/catalogue", partner, hub_version=str(version + 1))
            assert not before <= pids(shop)
            # The commit is of a database that was restored from a backup: it cannot be waited for.
            assert (same.status_code, later.status_code) == (200, 200)

    asyncio.run(run())


def test_cache_reads_no_standby(shop: Shop) -> None:
    assert "target_session_attrs=primary" in str(Database(login(shop.url), seconds=1)._pool.conninfo)


TOKENS: dict[str, Callable[[], str]] = {
    "valid": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER),
    "another secret": lambda: mint("x" * 40, "partner", PARTNER),
    "expired": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, minutes=-1),
    "within the leeway": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, minutes=-1 / 4),
    "not yet": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, nbf=int(time.time()) + 90),
    "issued later": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, iat=int(time.time()) + 90),
    "nbf is text": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, nbf="soon"),
    "fraction": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, exp=time.time() + 60.5),
    "audience": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, aud="anyone"),
    "odd audience": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, aud=7),
    "one part": lambda: "a",
    "two parts": lambda: "a.b",
    "no base64": lambda: "!.!.!",
    "no account": lambda: mint(test_cluster.JWT_SECRET, "partner", None),
    "odd session": lambda: mint(test_cluster.JWT_SECRET, "partner", PARTNER, sid="x"),
}
PARTNER = "0190aa00-0000-7000-8000-0000000000ff"


@pytest.fixture(scope="module")
def gateway_database(gateway: RunningGateway) -> RunningGateway:
    """The gateway on a database with one partner."""
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        context = make_context(conn, partners=1)
        conn.execute(
            "insert into app.partners (id, email, phone, password_hash, business_name, region_id)"
            " values (%s, 'token@hub.test', '+628139999999', 'x', 'Token', %s)",
            [PARTNER, context.regions["bandung"]],
        )
    return gateway


def answers(
    database: RunningGateway, rpc: str, path: str, token: str
) -> tuple[httpx.Response, httpx.Response]:
    """What the gateway and the cache answer to the bearer of a token."""
    headers = {"Authorization": f"Bearer {token}"}

    async def run() -> httpx.Response:
        async with running_cache(database.database_url) as cache:
            return await cache.client.get(path, headers=headers)

    return httpx.get(f"{database.url}/rpc/{rpc}", headers=headers, trust_env=False), asyncio.run(run())


@pytest.mark.parametrize("name", TOKENS)
def test_cache_and_gateway_judge_a_token_alike(gateway_database: RunningGateway, name: str) -> None:
    theirs, ours = answers(gateway_database, "catalogue", "/catalogue", TOKENS[name]())
    assert ours.status_code == theirs.status_code, (ours.text, theirs.text)
    if ours.status_code == 200:
        assert ours.json() == theirs.json()
    else:
        assert ours.json()["code"] == theirs.json()["code"]


def test_cache_and_gateway_return_the_same_documents(gateway_database: RunningGateway) -> None:
    theirs, ours = answers(gateway_database, "app_configs", "/configs", TOKENS["valid"]())
    assert ours.json() == theirs.json()
    assert ours.headers["ETag"] == f"W/{theirs.headers['ETag']}"
