"""The loops of the adapter: each stream for itself, bounded retries, a lock with time limits."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, cast

import httpx
import psycopg
import pytest
import structlog

from adapters.erp import leader as leaders
from adapters.erp import worker as workers
from adapters.erp.app import open_worker
from adapters.erp.exchange import Exchange, Summary, _parts
from adapters.erp.hub import HubClient, StreamState
from adapters.erp.leader import Leader
from adapters.erp.port import Batch, BusyError, Cursor, Erp, Payment, Product, UnreachableError
from adapters.erp.settings import Settings
from adapters.erp.worker import STREAMS, Worker
from tests.conftest import Clone
from tests.support import proxy as proxies
from tests.support.proxy import Fault
from tests.support.waiting import wait_until


class FakeExchange:
    """Products fail, stock hangs, the other streams succeed at once; `rounds` counts them."""

    interval_seconds = 0.01

    def __init__(self) -> None:
        self.rounds = dict.fromkeys(STREAMS, 0)
        self.failures: list[tuple[str, str]] = []

    async def run(self, stream: str) -> Summary:
        self.rounds[stream] += 1
        if stream == "products":
            raise UnreachableError("away")
        if stream == "stock":
            await asyncio.Event().wait()
        return Summary("")

    async def report_success(self, stream: str, summary: Summary) -> None:
        pass

    async def report_failure(self, stream: str, detail: str, *, notify: bool = False) -> None:
        self.failures.append((stream, detail))


def worker(exchange: FakeExchange) -> Worker:
    return Worker(cast(Exchange, exchange), Leader(""), poll_seconds=0.01)


def test_failing_or_hanging_stream_does_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = FakeExchange()
    running = worker(exchange)

    async def run() -> None:
        tasks = [asyncio.create_task(running.repeat(stream)) for stream in STREAMS]
        async with asyncio.timeout(5):
            while min(exchange.rounds["orders"], exchange.rounds["payments"]) < 5:
                await asyncio.sleep(0.01)
        running.stop()
        _, late = await asyncio.wait(tasks, timeout=1)
        assert len(late) == 1, "the stream that hangs"
        monkeypatch.setattr(workers, "ROUND_SECONDS", 0.0)
        assert running.health.problem().startswith("products: away; stock: its round has not ended for")
        late.pop().cancel()

    asyncio.run(run())
    assert (exchange.rounds["stock"], exchange.failures[0]) == (1, ("products", "away"))


def test_each_round_has_a_request_id_of_its_own() -> None:
    class Recording(FakeExchange):
        """The ids of the exchange and of the report of each round."""

        def __init__(self) -> None:
            super().__init__()
            self.ids: list[list[str]] = []

        async def run(self, stream: str) -> Summary:
            self.ids.append([structlog.contextvars.get_contextvars()["request_id"]])
            if stream == "products":
                raise UnreachableError("away")
            return Summary("")

        async def report_success(self, stream: str, summary: Summary) -> None:
            self.ids[-1].append(structlog.contextvars.get_contextvars()["request_id"])

        async def report_failure(self, stream: str, detail: str, *, notify: bool = False) -> None:
            self.ids[-1].append(structlog.contextvars.get_contextvars()["request_id"])

    exchange = Recording()
    running = worker(exchange)

    async def run() -> None:
        for stream in (*STREAMS, "orders"):
            await running._try(stream)
            assert "request_id" not in structlog.contextvars.get_contextvars()

    asyncio.run(run())
    assert [len(set(ids)) for ids in exchange.ids] == [1] * 5, "a round and its report share one"
    assert len({ids[0] for ids in exchange.ids}) == 5


def test_erp_that_asks_for_patience_too_long_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(FakeExchange):
        async def run(self, stream: str) -> Summary:
            self.rounds[stream] += 1
            if self.rounds[stream] < 4:
                raise BusyError("locked", 0)
            return Summary("")

    exchange = Busy()
    running = worker(exchange)
    found: list[tuple[int, str]] = []

    async def run() -> None:
        for limit in (600.0, -1.0, -1.0, -1.0):
            monkeypatch.setattr(workers, "BUSY_SECONDS", limit)
            await running._try("orders")
            found.append((len(exchange.failures), running.health.problem()))

    asyncio.run(run())
    assert found == [(0, ""), (1, "orders: locked"), (2, "orders: locked"), (2, "")]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [("silent", "ReadTimeout"), ("half", "peer closed connection"), ("reset", "ReadError")],
)
def test_one_round_ends_when_a_proxy_before_the_gateway_stops_forwarding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, fault: Fault, problem: str
) -> None:
    monkeypatch.setattr("adapters.erp.hub._STATE_SECONDS", 0.2)

    async def run(url: str) -> tuple[bool, str]:
        settings = Settings.model_validate(
            {
                "gateway_url": url,
                "jwt_secret": "x" * 32,
                "erp_kind": "csv",
                "erp_folder": tmp_path,
            }
        )
        async with open_worker(settings) as silent:
            silent.retry_seconds = 0.3
            async with asyncio.timeout(5):
                return await silent.once(), cast(HubClient, silent.gateway).problem()

    with proxies.running(fault=fault) as proxy:
        succeeded, found = asyncio.run(run(proxy.url))
    assert (succeeded, problem in found) == (False, True), found


class FakeHub:
    """Its calls fail in turn as `outages` say; `reports` are those that it received."""

    def __init__(self, outages: list[bool]) -> None:
        self.outages = outages
        self.reports: list[tuple[str, bool]] = []
        self.remarks: list[str] = []
        self.set_aside: list[dict[str, str]] = []

    def _answer(self) -> None:
        if self.outages and self.outages.pop(0):
            raise httpx.ConnectError("away")

    async def stream_state(self, stream: str) -> StreamState:
        return StreamState(read_at="2026-01-01T00:00:00Z", erp_kind="csv")

    async def apply_products(self, products: list[Product], cursor: Cursor | None) -> dict[str, Any]:
        self._answer()
        return {"applied": len(products), "set_aside": self.set_aside}

    async def report(
        self, stream: str, detail: str, *, ok: bool, notify: bool = False, remarks: str = ""
    ) -> None:
        self._answer()
        self.reports.append((detail, notify))
        self.remarks.append(remarks)


class FakeErp:
    """Rejects a file, which is gone afterwards."""

    def __init__(self) -> None:
        self.rejected = [["products-a.csv: no column"]]

    async def products(self, cursor: Cursor | None) -> AsyncIterator[Batch[Product]]:
        yield Batch([], rejected=self.rejected.pop() if self.rejected else [])

    async def confirm_stored(self, stream: str) -> None:
        pass


@pytest.mark.parametrize(
    "outages", [[], [True], [False, True]], ids=["none", "while it is stored", "while it is reported"]
)
def test_rejected_file_is_notified_once_after_an_outage_of_the_gateway(outages: list[bool]) -> None:
    hub = FakeHub(outages)
    exchange = Exchange(cast(Erp, FakeErp()), cast(HubClient, hub), 1)
    running = Worker(exchange, Leader(""), poll_seconds=0.01, retry_seconds=0)

    async def run() -> None:
        for _ in range(3):
            await running._try("products")

    asyncio.run(run())
    notified = [detail for detail, notify in hub.reports if notify]
    assert notified == ["rejected; products-a.csv: no column; stored: 0 read, 0 changed"]
    assert hub.reports[-1] == ("0 read, 0 changed", False), "the stream recovers"


def test_remarks_of_a_successful_round_are_reported() -> None:
    hub, erp = FakeHub([]), FakeErp()
    erp.rejected = []
    hub.set_aside = [{"sku": f"S-{n}", "reason": "it has no price in Tryton"} for n in range(22)]
    exchange = Exchange(cast(Erp, erp), cast(HubClient, hub), 1)
    running = Worker(exchange, Leader(""), poll_seconds=0.01)
    assert asyncio.run(running._try("products")) is None
    [remarks] = hub.remarks
    assert remarks.startswith("S-0: it has no price in Tryton; S-1: ")
    assert remarks.endswith("; and 2 more")
    assert hub.reports == [(f"0 read, 0 changed; {remarks}", False)]


def test_gateway_that_is_away_is_probed_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "AWAY_SECONDS", 0.01)

    class Gateway:
        asked = 0

        async def stream_state(self, stream: str) -> None:
            self.asked += 1
            if self.asked < 3:
                raise httpx.ConnectError("away")

        def problem(self) -> str:
            return "away" if self.asked < 3 else ""

    gateway = Gateway()
    running = worker(FakeExchange())
    running.gateway = cast(HubClient, gateway)

    async def run() -> None:
        probing = asyncio.create_task(running.probe())
        await asyncio.sleep(0.2)
        running.stop()
        await probing

    asyncio.run(run())
    assert gateway.asked == 3, "the next probe of a gateway that is back comes after PROBE_SECONDS"


def paid(invoice: str, count: int) -> list[Payment]:
    return [
        Payment(invoice_number=invoice, amount=Decimal(1), reference_number=f"R{n}", paid_at="2026-01-01")
        for n in range(count)
    ]


def test_payments_of_an_invoice_are_sent_in_one_call() -> None:
    """The hub compares what it has with what the call lists: half of a list would miss payments."""
    rows = [*paid("A", 600), *paid("B", 600), *paid("C", 1001), *paid("D", 2)]
    batch = Batch(rows, complete=["A", "B", "C", "D", "E"])
    parts = [(Counter(row.invoice_number for row in part), complete) for part, complete in _parts(batch)]
    assert parts == [
        ({"A": 600}, ["A"]),
        ({"B": 600}, ["B"]),
        ({"C": 1000}, []),
        ({"C": 1}, []),
        ({"D": 2}, ["D", "E"]),
    ]
    assert _parts(Batch([])) == [([], [])]


def backend(conn: psycopg.Connection[Any]) -> int:
    """The process that holds the lock."""
    row = conn.execute(
        "select pid from pg_locks where locktype = 'advisory' and granted"
        " and database = (select oid from pg_database where datname = current_database())"
    ).fetchone()
    assert row
    return int(row[0])


def test_frozen_database_neither_hangs_the_stop_nor_leaves_two_leaders(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leaders, "ANSWER_SECONDS", 0.5)
    url = clone()

    async def run(conn: psycopg.Connection[Any]) -> None:
        first, second = Leader(url), Leader(url)
        assert await first.leading_since() is not None
        assert await second.leading_since() is None
        frozen = backend(conn)
        os.kill(frozen, signal.SIGSTOP)
        try:
            started = time.monotonic()
            answers = await asyncio.gather(*(first.leading_since() for _ in range(4)))
            assert (answers, "does not answer" in first.problem()) == ([None] * 4, True)
            assert await second.leading_since() is None, "the frozen process holds the lock"
            assert await first.leading_since() is None
            await first.aclose()
            assert time.monotonic() - started < 3
            assert len(asyncio.all_tasks()) == 1, "nothing waits for the frozen process"
        finally:
            os.kill(frozen, signal.SIGCONT)
        async with asyncio.timeout(10):
            while await second.leading_since() is None:
                await asyncio.sleep(0.05)
        assert (await first.leading_since(), second.problem()) == (None, "")
        await first.aclose()
        await second.aclose()

    with psycopg.connect(url, autocommit=True) as conn:
        asyncio.run(run(conn))
        gone = (
            "select count(*) from pg_stat_activity where application_name = 'erp adapter'"
            " and datname = current_database()"
        )
        wait_until(lambda: conn.execute(gone).fetchone() == (0,), 5)
    assert "the leader lock is lost: the database does not answer" in caplog.text


def test_adapter_without_a_lock_states_that_it_must_be_the_only_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Leader("")
    assert "HUB_LISTEN_URL is not set: only one ERP adapter may run" in caplog.text
