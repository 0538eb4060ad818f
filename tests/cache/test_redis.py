"""Redis: shared by processes, and never a reason for a wrong or late answer."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from adapters.cache.bodies import Answer, Seal, build
from adapters.cache.shared_store import SharedStore
from tests.cache.conftest import Shop
from tests.cache.environment import RedisServer, RunningCache, redis_server, running_cache
from tests.support import test_cluster

PATIENT = {"redis_timeout_ms": 1000, "redis_wait_ms": 2000}
"""For tests in which Redis works: a busy machine is no failure of it."""

GARBAGE = [b"", b"x" * 40, b"\x1f\x8b" + b"\0" * 50, b'{"products": []}']


def fills(source: str) -> float:
    """Number of bodies that caches of this process have read from `database` or `redis`."""
    return REGISTRY.get_sample_value("hub_cache_fills_total", {"source": source}) or 0


@asynccontextmanager
async def client(redis: RedisServer) -> AsyncIterator[Any]:
    async with Redis.from_url(redis.url) as connection:
        yield connection


async def sku_price(cache: RunningCache, shop: Shop, sku: str = "SKU-000") -> float:
    answer = await cache.get("/catalogue", shop.context.partners[0])
    assert answer.status_code == 200, answer.text
    return float(next(p["price"] for p in answer.json()["products"] if p["sku"] == sku))


async def health(cache: RunningCache) -> tuple[int, str, str]:
    """Status of /health/ready, its word, and what it says of Redis."""
    answer = await cache.client.get("/health/ready")
    body = answer.json()
    return answer.status_code, body["status"], body["checks"]["redis"]["detail"]


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def stored(redis: RedisServer) -> list[bytes]:
    """Keys of the bodies in Redis."""
    async with client(redis) as connection:
        keys = await connection.keys("hub:*")
        return [key for key in keys if b"probe" not in key and b"lock" not in key]


def test_second_process_takes_the_body_from_redis(shop: Shop, redis: RedisServer) -> None:
    async def run() -> None:
        async with (
            running_cache(shop.url, redis, **PATIENT) as first,
            running_cache(shop.url, redis, **PATIENT) as second,
        ):
            shop.set_price("SKU-000", 111)
            before = fills("database"), fills("redis")
            assert await sku_price(first, shop) == 111

            async def is_stored() -> bool:
                return bool(await stored(redis))

            await eventually(is_stored)
            assert await sku_price(second, shop) == 111
            assert (fills("database"), fills("redis")) == (before[0] + 1, before[1] + 1)

    asyncio.run(run())


def test_two_hundred_simultaneous_misses_of_two_processes_fill_once(shop: Shop, redis: RedisServer) -> None:
    async def run() -> None:
        async with (
            running_cache(shop.url, redis, **PATIENT) as first,
            running_cache(shop.url, redis, **PATIENT) as second,
        ):
            shop.set_price("SKU-000", 222)
            before = fills("database")
            asked = [sku_price(cache, shop) for cache in (first, second) for _ in range(100)]
            assert set(await asyncio.gather(*asked)) == {222}
            assert fills("database") == before + 1

    asyncio.run(run())


def test_lock_of_a_dead_process_delays_by_no_more_than_the_limit(shop: Shop, redis: RedisServer) -> None:
    async def run() -> None:
        async with client(redis) as connection:
            store = SharedStore(redis.url, Seal("s" * 40), prefix="hub", timeout=1, wait=0.08)
            await connection.set("hub:GOLD:1:lock", b"1")
            delays = []
            for _ in range(3):
                started = time.monotonic()
                assert await store.find("GOLD:1") is None
                delays.append(time.monotonic() - started)
            assert 0.07 < min(delays) < 0.1
            assert store.problem == "", "a held lock is no failure of Redis"
            await store.close()

    asyncio.run(run())


def test_client_that_swallows_the_cancellation_does_not_prolong_the_wait(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = itertools.count()

    async def held(_: SharedStore, name: str) -> bool:
        assert next(polls) < 20, "it goes on for ever"
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)
        return False

    async def run() -> None:
        store = SharedStore(redis.url, Seal("s" * 40), prefix="hub", timeout=1, wait=0.08)
        assert await store.find("GOLD:1") is None
        await store.close()

    monkeypatch.setattr(SharedStore, "_claim", held)
    asyncio.run(run())


def test_killed_redis_is_reported_and_used_again_when_it_is_back(shop: Shop, redis: RedisServer) -> None:
    async def run() -> None:
        async with running_cache(shop.url, redis, **PATIENT) as cache:
            assert await health(cache) == (200, "ok", "")
            redis.kill()
            shop.set_price("SKU-000", 333)
            assert await sku_price(cache, shop) == 333
            assert await health(cache) == (200, "degraded", "away")
            assert REGISTRY.get_sample_value("hub_cache_redis_available") == 0
            assert "hub_cache_redis_failures_total" in (await cache.client.get("/metrics")).text
            redis.start()

            async def is_well() -> bool:
                return await health(cache) == (200, "ok", "")

            await eventually(is_well)
            shop.set_price("SKU-000", 334)
            assert await sku_price(cache, shop) == 334

    asyncio.run(run())


def test_redis_may_be_away_from_the_start(shop: Shop) -> None:
    async def run() -> None:
        with redis_server(start=False) as absent:
            async with running_cache(shop.url, absent) as cache:
                shop.set_price("SKU-000", 444)
                assert await sku_price(cache, shop) == 444
                assert await health(cache) == (200, "degraded", "away")

    asyncio.run(run())


def test_stopped_redis_costs_one_request_its_timeout_and_the_others_nothing(
    shop: Shop, redis: RedisServer
) -> None:
    """SIGSTOP: connections are accepted, and nothing is answered."""

    async def run() -> None:
        seal = Seal("s" * 40)
        store = SharedStore(redis.url, seal, prefix="hub", timeout=0.05, wait=0.08)
        assert await store.probe()
        redis.signal(signal.SIGSTOP)
        try:
            times = []
            for number in range(5):
                started = time.monotonic()
                assert await store.find(f"GOLD:{number}") is None
                times.append(time.monotonic() - started)
            assert times[0] < 0.1
            assert sum(times[1:]) < 0.05, "a request does not wait for what is known to be slow"
            assert store.problem == "timeout"
            async with running_cache(shop.url, redis) as cache:
                shop.set_price("SKU-000", 555)
                assert await sku_price(cache, shop) == 555
                assert await health(cache) == (200, "degraded", "timeout")
        finally:
            redis.signal(signal.SIGCONT)
            await store.close()

    asyncio.run(run())


def test_flushed_redis_is_filled_again(shop: Shop, redis: RedisServer) -> None:
    async def run() -> None:
        async with running_cache(shop.url, redis, **PATIENT) as cache, client(redis) as connection:
            for price in (661, 662):
                shop.set_price("SKU-000", price)
                await connection.flushall()
                assert await sku_price(cache, shop) == price
            assert await health(cache) == (200, "ok", "")

    asyncio.run(run())


def test_full_redis_is_left_out(shop: Shop) -> None:
    async def run() -> None:
        with redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction") as full:
            async with running_cache(shop.url, full) as cache:
                shop.set_price("SKU-000", 777)
                assert await sku_price(cache, shop) == 777
                assert await health(cache) == (200, "degraded", "refused")

    asyncio.run(run())


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_redis_is_never_served(shop: Shop, redis: RedisServer, garbage: bytes) -> None:
    async def run() -> None:
        shop.set_price("SKU-000", 888)
        async with running_cache(shop.url, redis, **PATIENT) as first:
            assert await sku_price(first, shop) == 888

            async def is_stored() -> bool:
                return bool(await stored(redis))

            await eventually(is_stored)
        async with client(redis) as connection:
            for key in await stored(redis):
                await connection.set(key, garbage)
        async with running_cache(shop.url, redis, **PATIENT) as second:
            before = fills("redis")
            assert await sku_price(second, shop) == 888
            assert fills("redis") == before
            assert await health(second) == (200, "degraded", "garbage")

    asyncio.run(run())


def test_body_under_the_name_of_another_is_never_served(shop: Shop, redis: RedisServer) -> None:
    """An old, genuine value that was copied to the name of the present one."""

    async def run() -> None:
        store = SharedStore(redis.url, Seal("s" * 40), prefix="hub", timeout=1, wait=1)
        body = build(Answer("1", 1, '"1"', b"{}"))  # type: ignore[arg-type]
        store.keep("GOLD:1", body)
        async with client(redis) as connection:
            await eventually(lambda: connection.exists("hub:GOLD:1"))
            await connection.copy("hub:GOLD:1", "hub:GOLD:2")
        assert await store.find("GOLD:1") == body
        assert await store.find("GOLD:2") is None
        assert store.problem == "garbage"
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [b"\xff" * 64, b"$99999999999\r\n", b"+OK\r\n" * 5, b"HTTP/1.1 400 Bad Request\r\n\r\n", b""],
)
def test_server_that_speaks_no_redis_costs_no_more_than_the_limit(answer: bytes) -> None:
    async def run() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1000):
                writer.write(answer)

        port = test_cluster.free_port(31600)
        async with await asyncio.start_server(speak, "127.0.0.1", port):
            url = f"redis://127.0.0.1:{port}/0"
            store = SharedStore(url, Seal("s" * 40), prefix="hub", timeout=0.05, wait=0.08)
            started = time.monotonic()
            assert await store.find("GOLD:1") is None
            assert time.monotonic() - started < 0.1
            assert store.problem
            assert not await store.probe()
            await store.close()

    asyncio.run(run())
