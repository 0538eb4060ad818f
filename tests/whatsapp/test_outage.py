"""Days without a provider: nothing is claimed, nothing is lost, and the backlog drains in order."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from adapters.whatsapp.breaker import BACK_OFF, REFUSED, Breaker
from adapters.whatsapp.delivery import DeliveryError
from adapters.whatsapp.meta import MetaDelivery
from adapters.whatsapp.outbox import Outbox
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.worker import Worker
from tests.support.client import RunningGateway
from tests.whatsapp import environment as environments
from tests.whatsapp.conftest import Enqueue
from tests.whatsapp.fake_meta import FakeMeta, MetaError
from tests.whatsapp.outage import Report, out_of_order, pass_a_day, run

Rows = list[tuple[str, int, int]]


class MovedClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def states(gateway: RunningGateway) -> Rows:
    """Status, attempts and repeats of the messages, sorted."""
    with psycopg.connect(gateway.database_url) as conn:
        rows = conn.execute("select status, attempts, repeats from app.messages order by 1, 2, 3")
        return [(row[0], row[1], row[2]) for row in rows]


def with_worker(
    settings: Settings, seeded: RunningGateway, do: Callable[[Worker, MovedClock], Awaitable[None]]
) -> None:
    """Run a worker for WhatsApp whose breaker has a clock of its own."""
    settings.gateway_url = seeded.url
    settings.jwt_secret = type(settings.jwt_secret)(seeded.jwt_secret)
    clock = MovedClock()

    async def run() -> None:
        async with Outbox(settings) as outbox, MetaDelivery(settings) as delivery:
            await do(Worker(outbox, delivery, channel="WHATSAPP", breaker=Breaker(clock)), clock)

    asyncio.run(run())


async def be_away(worker: Worker, clock: MovedClock, seconds: float) -> int:
    """Let the worker run for so many seconds of its clock; returns how many messages it claimed."""
    until, claimed = clock.now + seconds, 0
    while clock.now < until:
        claimed += await worker.step()
        clock.now += worker.breaker.remaining() or 0.5
    return claimed


async def drain(worker: Worker, gateway: RunningGateway, clock: MovedClock) -> None:
    """Run the worker until nothing is due."""
    async with asyncio.timeout(60):
        due = True
        while due:
            await worker.step()
            clock.now += worker.breaker.remaining()
            due = any(status in ("PENDING", "CLAIMED") for status, _, _ in states(gateway))


@pytest.mark.parametrize("status", [503, 502], ids=["not-sent", "unknown"])
def test_day_without_meta_burns_no_attempt_and_loses_no_message(
    meta: FakeMeta, settings: Settings, seeded: RunningGateway, enqueue: Enqueue, status: int
) -> None:
    """What a proxy may have sent is sent again, and counted: at most the deliveries that had begun."""
    enqueue(30)
    meta.callbacks = False
    meta.outage = status

    async def run(worker: Worker, clock: MovedClock) -> None:
        assert await be_away(worker, clock, 24 * 3600) == 10  # only the batch that met the outage
        assert 0 < meta.requests <= 8
        unknown = meta.requests if status == 502 else 0
        assert 24 * 3600 / 120 <= meta.probes <= 24 * 3600 / 120 + 10
        expected: Rows = [("CLAIMED", 1, 0)] * unknown + [("PENDING", 0, 0)] * (30 - unknown)
        assert states(seeded) == expected
        pass_a_day(seeded.database_url)
        meta.outage = 0
        await drain(worker, seeded, clock)
        pass_a_day(seeded.database_url)  # the wait of unknown messages
        await drain(worker, seeded, clock)

        assert states(seeded) == [("SENT", 1, 0)] * (30 - unknown) + [("SENT", 2, 1)] * unknown

    with_worker(settings, seeded, run)
    assert len(meta.accepted) == 30


def test_refused_account_is_tried_with_one_message_at_a_time(
    meta: FakeMeta, settings: Settings, seeded: RunningGateway, enqueue: Enqueue
) -> None:
    """The number can be read while the account is locked: only a message shows that it is free again."""
    enqueue(30)
    meta.callbacks = False
    meta.rejections.extend([MetaError(131031, "Account has been locked")] * 10)

    async def run(worker: Worker, clock: MovedClock) -> None:
        assert await worker.step() == 10
        assert await worker.step() == 0
        refused = meta.requests
        while meta.rejections:
            clock.now += 59
            assert await worker.step() == 0
            clock.now += 1
            assert await worker.step() == 1
        assert meta.requests == 10
        assert meta.probes == 10 - refused
        clock.now += 60
        assert [await worker.step() for _ in range(2)] == [1, 10]

    with_worker(settings, seeded, run)


def test_refused_token_claims_nothing_until_it_is_replaced(
    meta: FakeMeta, settings: Settings, seeded: RunningGateway, enqueue: Enqueue
) -> None:
    enqueue(30)
    meta.token = "another"

    async def run(worker: Worker, clock: MovedClock) -> None:
        assert await be_away(worker, clock, 3600) == 10
        assert meta.requests <= 8
        assert meta.probes == 59

    with_worker(settings, seeded, run)
    assert sorted({attempts for _, attempts, _ in states(seeded)}) == [0, 1]


def test_backlog_drains_in_order_within_the_rate_limits(
    meta: FakeMeta, settings: Settings, seeded: RunningGateway, enqueue: Enqueue
) -> None:
    """A short form of `test_day_without_meta_with_20000_messages_waiting`."""
    for _ in range(6):
        enqueue(40)
    meta.callbacks = False
    meta.per_second, settings.whatsapp_per_second = 160, 140

    async def run(worker: Worker, clock: MovedClock) -> None:
        meta.outage = 503
        await be_away(worker, clock, 600)
        meta.outage = 0
        await drain(worker, seeded, clock)
        assert worker.health.failed == 0

    with_worker(settings, seeded, run)
    assert len(meta.accepted) == 240
    assert max(meta.deliveries().values()) == 1
    sent = [message["biz_opaque_callback_data"] for message in meta.accepted]
    assert out_of_order(seeded.database_url, sent) == 0
    by_recipient: dict[str, int] = defaultdict(int)
    for accepted in meta.accepted:
        by_recipient[accepted["to"]] += 1
    assert set(by_recipient.values()) == {6}


def is_right(report: Report) -> bool:
    """Nothing is lost or overtaken, doubles are counted, no limit is exceeded, e-mail goes on meanwhile."""
    wrong = (report.lost, report.uncounted, report.out_of_order, report.limited)
    held = 60 * report.kills  # messages and e-mails that a killed adapter held
    return (
        wrong == (0, 0, 0, 0)
        and report.repeated <= report.repeats <= held
        and report.mails - report.mails_meanwhile <= held
    )


def test_adapter_killed_while_meta_is_away_and_after_it_loses_nothing(
    seeded: RunningGateway, tmp_path: Path
) -> None:
    """The short form of the two below."""
    with environments.running(seeded, tmp_path) as environment:
        report = run(
            environment, 100, 200, callbacks=True, mails=30, kills=2, seconds=0, unknown_wait=1, singles=0
        )
    assert is_right(report), report


@pytest.mark.long_form
def test_day_without_meta_with_20000_messages_waiting(seeded: RunningGateway, tmp_path: Path) -> None:
    with environments.running(seeded, tmp_path) as environment:
        report = run(environment, 20_000, 70, callbacks=True, mails=2_000, seconds=5, singles=50)
    print(report)
    assert is_right(report), report
    assert report.repeated == 0, report
    assert report.p95_ms < 1000, report


@pytest.mark.long_form
def test_adapter_killed_50_times_during_a_day_without_meta_and_the_recovery(
    seeded: RunningGateway, tmp_path: Path
) -> None:
    with environments.running(seeded, tmp_path) as environment:
        report = run(environment, 20_000, 70, callbacks=True, mails=2_000, kills=50, singles=0)
    print(report)
    assert is_right(report), report


def test_pause_doubles_up_to_its_maximum_and_failures_at_once_count_once() -> None:
    clock = MovedClock()
    breaker = Breaker(clock)
    pauses = []
    for _ in range(8):
        breaker.trip("130429", BACK_OFF)
        breaker.trip("130429", BACK_OFF)
        pauses.append(breaker.remaining())
        clock.now += breaker.remaining()
    assert pauses == [2, 4, 8, 16, 32, 64, 120, 120]
    breaker.trip("130429", BACK_OFF)
    breaker.reset()
    clock.now += 120
    breaker.trip("190", REFUSED)
    assert (breaker.remaining(), breaker.reason) == (60, "190")


def test_failure_that_concerns_one_message_stops_no_channel(
    meta: FakeMeta, settings: Settings, seeded: RunningGateway, enqueue: Enqueue
) -> None:
    enqueue(3)
    meta.rejections.extend([MetaError(131026, "no"), MetaError(131000, "no")])

    async def run(worker: Worker, clock: MovedClock) -> None:
        assert await worker.step() == 3
        assert (worker.breaker.reason, worker.health.failed, worker.health.sent) == ("", 2, 1)

    with_worker(settings, seeded, run)


def test_delivery_error_without_a_pause_concerns_one_message() -> None:
    assert DeliveryError("131026", retry=False).pause is None
