"""Copies in a process: filled once, and right for the request that waits for them."""

import asyncio
import time
from typing import cast

import msgspec
import pytest

from adapters.cache.bodies import Answer, Body
from adapters.cache.copies import Copies
from adapters.cache.database import Stock
from adapters.cache.shared_store import SharedStore
from adapters.cache.stock import StockCopies


class Reader:
    """A database whose catalogue has the version `version`."""

    def __init__(self) -> None:
        self.version = 1
        self.reads = 0
        self.gate = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, name: str) -> Answer:
        self.reads += 1
        version = self.version
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return Answer(str(version), version, f'"{version}"', msgspec.Raw(b"{}"))


def test_simultaneous_misses_fill_once() -> None:
    async def run() -> None:
        reader = Reader()
        copies = Copies(reader, None)
        waiting = [asyncio.create_task(copies.body("GOLD", "1")) for _ in range(200)]
        await asyncio.sleep(0)
        reader.gate.set()
        bodies = await asyncio.gather(*waiting)
        assert reader.reads == 1
        assert {body.version for body in bodies} == {1}
        assert copies.present("GOLD", "1") is bodies[0]
        assert copies.present("GOLD", "2") is None
        assert copies.present("SILVER", "1") is None

    asyncio.run(run())


def test_change_during_a_fill_makes_later_requests_wait_for_the_next_one() -> None:
    async def run() -> None:
        reader = Reader()
        copies = Copies(reader, None)
        early = asyncio.create_task(copies.body("GOLD", "1"))
        await asyncio.sleep(0.01)
        reader.version = 2
        late = [asyncio.create_task(copies.body("GOLD", "2")) for _ in range(50)]
        await asyncio.sleep(0.01)
        reader.gate.set()
        assert (await early).version == 1
        assert {body.version for body in await asyncio.gather(*late)} == {2}
        assert reader.reads == 2

    asyncio.run(run())


def test_failed_fill_is_raised_and_repeated_for_the_next_request() -> None:
    async def run() -> None:
        reader = Reader()
        reader.gate.set()
        reader.failure = ValueError("away")
        copies = Copies(reader, None)
        with pytest.raises(ValueError, match="away"):
            await copies.body("GOLD", "1")
        reader.failure = None
        assert (await copies.body("GOLD", "1")).version == 1

    asyncio.run(run())


class RecordingStore:
    """A store that holds nothing; `sought` are the names asked for."""

    def __init__(self) -> None:
        self.sought: list[str] = []

    async def find(self, name: str) -> Body | None:
        self.sought.append(name)
        return None

    def keep(self, name: str, body: Body) -> None:
        pass


def test_fill_that_follows_asks_redis_for_the_latest_state_only() -> None:
    """An earlier one could be there, and would be stale for the request that came last."""

    async def run() -> None:
        reader, store = Reader(), RecordingStore()
        copies = Copies(reader, cast(SharedStore, store))
        waiting = []
        for state in ("1", "2", "3"):
            waiting.append(asyncio.create_task(copies.body("GOLD", state)))
            await asyncio.sleep(0)
        reader.gate.set()
        await asyncio.gather(*waiting)
        assert store.sought == ["GOLD:1", "GOLD:3"]

    asyncio.run(run())


class StockReader:
    """Stock that changes with each read."""

    def __init__(self) -> None:
        self.reads = 0

    async def __call__(self) -> Stock:
        self.reads += 1
        await asyncio.sleep(0.01)
        return msgspec.convert(
            {
                "read_at": "2026-01-01T00:00:00Z",
                "body": msgspec.Raw(b'{"x":{"display_stock":%d}}' % self.reads),
            },
            Stock,
        )


def test_stock_is_read_again_when_its_age_reaches_the_limit() -> None:
    async def run() -> None:
        reader, now = StockReader(), [100.0]
        copies = StockCopies(reader, lambda: now[0])
        first = await asyncio.gather(*(copies.copy(5) for _ in range(100)))
        assert reader.reads == 1
        assert {copy.body for copy in first} == {first[0].body}
        now[0] += 4.7
        assert (await copies.copy(5)) is first[0]
        assert copies.headers(first[0]) == {"Age": "5"}
        now[0] += 0.1
        assert b'"display_stock":2' in (await copies.copy(5)).body

    asyncio.run(run())


def test_age_of_stock_counts_from_before_it_was_read() -> None:
    async def run() -> None:
        now = [100.0]

        async def read() -> Stock:
            now[0] += 2.0
            return await StockReader()()

        copies = StockCopies(read, lambda: now[0])
        assert copies.headers(await copies.copy(5)) == {"Age": "2"}

    asyncio.run(run())


def test_stock_of_limit_zero_is_never_older_than_its_request() -> None:
    async def run() -> None:
        copies = StockCopies(StockReader())
        for _ in range(3):
            arrived = time.monotonic()
            assert (await copies.copy(0)).sent_at >= arrived

    asyncio.run(run())
