"""The worker of the WhatsApp adapter, against a real gateway."""

import asyncio
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
import structlog
from litestar.testing import TestClient
from postgrest import APIError
from rich.console import Console

from adapters.common import logs
from adapters.whatsapp.app import create
from adapters.whatsapp.console import ConsoleDelivery
from adapters.whatsapp.delivery import DeliveryError
from adapters.whatsapp.messages import Message
from adapters.whatsapp.outbox import Outbox
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.worker import Worker
from hub.ports import next_free
from tests.support.client import RunningGateway
from tests.support.test_cluster import environment_without_settings
from tests.support.waiting import wait_until
from tests.whatsapp.conftest import Enqueue


@pytest.fixture
def settings(seeded: RunningGateway, tmp_path: Path) -> Settings:
    """Settings without credentials, for the gateway `seeded`: messages are printed to the console."""
    return Settings.model_validate(
        {
            "gateway_url": seeded.url,
            "jwt_secret": seeded.jwt_secret,
            "whatsapp_file": tmp_path / "messages.jsonl",
            "whatsapp_poll_seconds": 0.05,
        }
    )


def states(gateway: RunningGateway) -> dict[str, tuple[str, int]]:
    """Status and number of attempts of every message."""
    with psycopg.connect(gateway.database_url) as conn:
        rows = conn.execute("select id::text, status, attempts from app.messages").fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def execute(gateway: RunningGateway, statement: str) -> None:
    """Execute a statement as superuser."""
    with psycopg.connect(gateway.database_url) as conn:
        conn.execute(statement)


def printed(settings: Settings) -> list[dict[str, Any]]:
    """The messages that the console delivery kept."""
    file = settings.whatsapp_file
    if file is None or not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def console_delivery(settings: Settings) -> ConsoleDelivery:
    """A console delivery that keeps messages and prints nothing."""
    return ConsoleDelivery(settings.whatsapp_file, Console(file=io.StringIO()))


class FakeProvider:
    """A provider that raises the given errors, then accepts each message after `seconds`."""

    def __init__(self, *failures: DeliveryError, seconds: float = 0) -> None:
        self.failures = list(failures)
        self.seconds = seconds
        self.accepted: list[UUID] = []

    async def turn(self) -> None:
        pass

    async def deliver(self, message: Message) -> str:
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.sleep(self.seconds)
        self.accepted.append(message.id)
        return f"provider-{message.id}-{len(self.accepted)}"

    async def probe(self) -> None:
        if self.failures and self.failures[0].pause:
            raise self.failures.pop(0)


def with_worker(
    settings: Settings, delivery: ConsoleDelivery | FakeProvider, do: Callable[[Worker], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with Outbox(settings) as outbox:
            await do(Worker(outbox, delivery, lease_seconds=settings.whatsapp_lease_seconds))

    asyncio.run(run())


def once(settings: Settings, delivery: ConsoleDelivery | FakeProvider) -> None:
    """Let a worker claim and deliver one batch."""

    async def step(worker: Worker) -> None:
        await worker.step()

    with_worker(settings, delivery, step)


def test_log_about_a_message_and_its_report_carry_the_id_of_the_request_that_enqueued_it(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    seen: list[Any] = []

    class Tracing(FakeProvider):
        async def deliver(self, message: Message) -> str:
            seen.append(structlog.contextvars.get_contextvars().get("request_id"))
            return await super().deliver(message)

    enqueue(1)
    execute(seeded, "update app.messages set request_id = 'web-7'")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter())
    logger = logging.getLogger("adapters.whatsapp.worker")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel("INFO")
    try:
        once(settings, Tracing())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert seen == ["web-7"]
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["request_id"] for line in lines if line["event"].endswith(": sent")] == ["web-7"]
    assert structlog.contextvars.get_contextvars() == {}, "the next message has another id"


def test_message_is_delivered_once(seeded: RunningGateway, settings: Settings, enqueue: Enqueue) -> None:
    [message_id] = enqueue(1)
    once(settings, console_delivery(settings))
    once(settings, console_delivery(settings))
    [line] = printed(settings)
    assert line["id"] == message_id
    assert line["body"] == "Kabar pesanan ORD-261123-000001: kini selesai. Terima kasih."
    assert line["recipient"].startswith("+62840")
    assert states(seeded) == {message_id: ("SENT", 1)}


def test_failed_delivery_is_retried_after_a_pause(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    [message_id] = enqueue(1)
    provider = FakeProvider(DeliveryError("131016", retry=True))
    once(settings, provider)
    assert states(seeded) == {message_id: ("PENDING", 1)}
    once(settings, provider)
    assert provider.accepted == []  # the pause before the next attempt is not over
    execute(seeded, "update app.messages set next_attempt_at = now()")
    once(settings, provider)
    assert provider.accepted == [UUID(message_id)]
    assert states(seeded) == {message_id: ("SENT", 2)}


def test_unexpected_error_of_a_provider_is_retried(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    [message_id] = enqueue(1)

    class Broken(FakeProvider):
        async def deliver(self, message: Message) -> str:
            raise ZeroDivisionError

    once(settings, Broken())
    assert states(seeded) == {message_id: ("PENDING", 1)}


def test_undeliverable_message_is_sent_by_email(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    [message_id] = enqueue(1)
    once(settings, FakeProvider(DeliveryError("131026", retry=False)))
    assert states(seeded)[message_id] == ("FAILED", 1)
    once(settings, console_delivery(settings))
    [line] = printed(settings)
    assert (line["channel"], line["recipient"].split("@")[1]) == ("EMAIL", "salon.example")


def test_two_workers_share_messages_and_send_none_twice(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    ids = enqueue(40)
    provider = FakeProvider(seconds=0.005)

    async def run() -> None:
        async with Outbox(settings) as one, Outbox(settings) as two:
            workers = [Worker(one, provider, poll_seconds=0.02), Worker(two, provider, poll_seconds=0.02)]
            tasks = [asyncio.create_task(worker.run()) for worker in workers]
            async with asyncio.timeout(20):
                while len(provider.accepted) < len(ids):
                    await asyncio.sleep(0.02)
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks)
            assert all(worker.health.sent for worker in workers)

    asyncio.run(run())
    assert sorted(map(str, provider.accepted)) == sorted(ids)
    assert set(states(seeded).values()) == {("SENT", 1)}


def test_message_of_a_dead_worker_is_sent_after_lease_and_unknown_wait(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    [message_id] = enqueue(1)

    async def claim_and_die() -> None:
        async with Outbox(settings) as outbox:
            assert len(await outbox.claim()) == 1

    asyncio.run(claim_and_die())
    provider = FakeProvider()
    once(settings, provider)
    assert provider.accepted == []  # leased
    execute(seeded, "update app.messages set lease_until = now() - interval '1 second'")
    once(settings, provider)
    assert provider.accepted == []  # unknown: a callback may still settle it
    execute(seeded, "update app.messages set unknown_since = now() - interval '1 day'")
    once(settings, provider)
    assert provider.accepted == [UUID(message_id)]
    assert states(seeded) == {message_id: ("SENT", 2)}


def test_delivery_is_cancelled_when_the_lease_lapses(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    first, second = enqueue(2)
    settings.whatsapp_lease_seconds = 1
    provider = FakeProvider(seconds=5)
    once(settings, provider)
    assert provider.accepted == []
    assert states(seeded) == {first: ("CLAIMED", 1), second: ("CLAIMED", 1)}


def test_delivered_message_is_reported_again_without_being_sent_again(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    [message_id] = enqueue(1)
    settings.whatsapp_lease_seconds = 1
    provider = FakeProvider()

    async def run(worker: Worker) -> None:
        report, worker.outbox.report_sent = worker.outbox.report_sent, _unreachable  # type: ignore[method-assign]
        await worker.step()
        worker.outbox.report_sent = report  # type: ignore[method-assign]
        execute(
            seeded, "update app.messages set status = 'PENDING', lease_until = null, next_attempt_at = now()"
        )
        await worker.step()

    with_worker(settings, provider, run)
    assert provider.accepted == [UUID(message_id)]
    assert states(seeded) == {message_id: ("SENT", 2)}


async def _unreachable(sent: Mapping[UUID, str]) -> None:
    raise httpx.ConnectError("away")


class FakeOutbox:
    """Has these messages once; `refused` is a message whose report the gateway refuses."""

    def __init__(self, *messages: Message, claim_seconds: float = 0) -> None:
        self.messages = list(messages)
        self.claim_seconds = claim_seconds
        self.refused: UUID | None = None
        self.reports: list[list[UUID]] = []
        self.request_ids: list[str | None] = []
        """The request ids of the reports."""

    async def claim(self, channel: str | None, limit: int | None) -> list[Message]:
        await asyncio.sleep(self.claim_seconds)
        claimed, self.messages = self.messages, []
        return claimed

    async def report_sent(self, sent: Mapping[UUID, str]) -> None:
        self.reports.append([*sent])
        self.request_ids.append(structlog.contextvars.get_contextvars().get("request_id"))
        if self.refused in sent:
            raise APIError({"code": "INVALID_ARGUMENT", "message": "", "details": "", "hint": ""})

    async def report_failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None:
        raise AssertionError

    async def release(self, message_ids: list[UUID]) -> None:
        raise AssertionError


def fake_message(number: int) -> Message:
    return Message(
        id=UUID(int=number),
        template="order_status",
        channel="WHATSAPP",
        recipient_type="PARTNER",
        recipient_name="",
        recipient="+628",
        body="",
        order_id=None,
        attempts=1,
    )


def test_message_whose_lease_lapsed_during_the_claim_is_not_sent() -> None:
    """Another messenger may have it: the answer to the claim was late."""
    outbox, provider = FakeOutbox(fake_message(1), claim_seconds=0.06), FakeProvider()
    assert asyncio.run(Worker(outbox, provider, lease_seconds=0.05).step()) == 1
    assert (provider.accepted, outbox.reports) == ([], [])
    outbox = FakeOutbox(fake_message(1), claim_seconds=0.06)
    asyncio.run(Worker(outbox, provider, lease_seconds=5).step())
    assert provider.accepted == [UUID(int=1)]


def test_deliveries_are_reported_together_and_one_refusal_concerns_one() -> None:
    outbox = FakeOutbox(*(fake_message(number) for number in range(20)))
    outbox.refused = UUID(int=3)
    worker = Worker(outbox, FakeProvider(), concurrency=20)
    asyncio.run(worker.step())
    assert worker.health.sent == 20
    assert len(outbox.reports) < 20 + 3, "at most three calls, then those of the refused one alone"
    assert [UUID(int=3)] in outbox.reports


def test_report_carries_the_request_id_of_its_messages_and_no_other() -> None:
    outbox = FakeOutbox()
    worker = Worker(outbox, FakeProvider())

    async def run() -> None:
        for number, request_id in enumerate(("web-1", None, "web-2")):
            outbox.messages = [fake_message(number).model_copy(update={"request_id": request_id})]
            await worker.step()

    with structlog.contextvars.bound_contextvars(request_id="of the test"):
        asyncio.run(run())
    assert outbox.request_ids == ["web-1", None, "web-2"]


def test_next_messages_are_claimed_while_the_last_ones_are_delivered() -> None:
    """A delivery that takes long does not hold up the others."""
    outbox, slow = FakeOutbox(fake_message(1)), asyncio.Event()

    class OneIsSlow(FakeProvider):
        async def deliver(self, message: Message) -> str:
            if message.id == UUID(int=1):
                await slow.wait()
            return await super().deliver(message)

    provider = OneIsSlow()
    worker = Worker(outbox, provider, poll_seconds=0.01)

    async def run() -> None:
        task = asyncio.create_task(worker.run())
        async with asyncio.timeout(5):
            while outbox.messages:
                await asyncio.sleep(0.005)
            for number in range(2, 6):
                outbox.messages = [fake_message(number)]
                while UUID(int=number) not in provider.accepted:
                    await asyncio.sleep(0.005)
            slow.set()
            worker.stop()
            await task

    asyncio.run(run())
    assert provider.accepted[-1] == UUID(int=1)
    assert worker.health.sent == 5


def test_refused_claim_cancels_no_delivery_that_has_begun() -> None:
    class RefusesTheSecondClaim(FakeOutbox):
        async def claim(self, channel: str | None, limit: int | None) -> list[Message]:
            if not self.messages:
                raise APIError({"code": "INVALID_ARGUMENT", "message": "", "details": "", "hint": ""})
            return await super().claim(channel, limit)

    outbox, provider = RefusesTheSecondClaim(fake_message(1)), FakeProvider(seconds=0.1)
    with pytest.raises(APIError, match="INVALID_ARGUMENT"):
        asyncio.run(Worker(outbox, provider).run())
    assert (provider.accepted, outbox.reports) == ([UUID(int=1)], [[UUID(int=1)]])


def test_mail_server_gets_few_messages_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Worker] = {}

    def make(*args: Any, **options: Any) -> Worker:
        return made.setdefault(options["channel"], Worker(*args, **options))

    monkeypatch.setattr("adapters.whatsapp.app.Worker", make)
    with TestClient(create(settings, {channel: FakeProvider() for channel in ("WHATSAPP", "EMAIL")})):
        found = {channel: worker.concurrency for channel, worker in made.items()}
    assert found == {"WHATSAPP": 24, "EMAIL": 8}


def test_worker_waits_for_an_unreachable_gateway(settings: Settings) -> None:
    settings.gateway_url = f"http://127.0.0.1:{next_free(39950)}"

    async def run(worker: Worker) -> None:
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(0.5)
        assert worker.health.last_claim_at is None
        assert not task.done()
        worker.stop()
        async with asyncio.timeout(2):
            await task

    with_worker(settings, FakeProvider(), run)


def test_slow_mail_server_does_not_slow_whatsapp(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    ids = enqueue(20)
    execute(
        seeded,
        "update app.messages set channel = 'EMAIL' where id in"
        " (select id from app.messages order by position limit 10)",
    )
    mail, whatsapp = FakeProvider(seconds=60), FakeProvider()

    async def run() -> None:
        async with Outbox(settings) as outbox:
            workers = [
                Worker(outbox, mail, channel="EMAIL", poll_seconds=0.02),
                Worker(outbox, whatsapp, channel="WHATSAPP", poll_seconds=0.02),
            ]
            tasks = [asyncio.create_task(worker.run()) for worker in workers]
            async with asyncio.timeout(10):
                while workers[1].health.sent < 10:
                    await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert len(ids) == 20
    assert mail.accepted == []
    with psycopg.connect(seeded.database_url) as conn:
        rows = conn.execute(
            "select channel::text, count(*) from app.messages where status = 'SENT' group by 1"
        )
        assert rows.fetchall() == [("WHATSAPP", 10)]


def test_stopped_worker_finishes_what_began_and_gives_the_rest_back(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    enqueue(6)
    provider = FakeProvider(seconds=0.3)

    async def run(worker: Worker) -> None:
        worker.concurrency = 2
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(0.1)
        while "CLAIMED" not in {status for status, _ in states(seeded).values()}:
            await asyncio.sleep(0.01)
        worker.stop()
        async with asyncio.timeout(3):
            await task

    with_worker(settings, provider, run)
    assert len(provider.accepted) == 2
    assert sorted(states(seeded).values()) == [("PENDING", 0)] * 4 + [("SENT", 1)] * 2


def test_program_delivers_serves_health_and_stops_on_sigterm(
    seeded: RunningGateway, settings: Settings, enqueue: Enqueue
) -> None:
    port = next_free(39960)
    variables = dict(os.environ) | {
        "HUB_GATEWAY_URL": settings.gateway_url,
        "HUB_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "HUB_DELIVERY": "console",
        "HUB_WHATSAPP_PORT": str(port),
        "HUB_WHATSAPP_FILE": str(settings.whatsapp_file),
    }
    program = subprocess.Popen(
        [sys.executable, "-m", "adapters.whatsapp"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        [message_id] = enqueue(1)
        wait_until(lambda: printed(settings), interval=0.05)
        assert [line["id"] for line in printed(settings)] == [message_id]
        health = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
        assert (health.status_code, health.json()["status"]) == (200, "ok")
        program.send_signal(signal.SIGTERM)
        output, _ = program.communicate(timeout=10)
    finally:
        program.kill()
    assert program.returncode in (0, -signal.SIGTERM)
    assert "WhatsApp ·" in output
    assert "Traceback" not in output


def test_program_names_a_missing_setting() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "adapters.whatsapp"],
        env=environment_without_settings(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "HUB_JWT_SECRET" in ended.stderr


@pytest.mark.parametrize("call", ["claim_messages", "message_sent"])
def test_admin_may_not_call_the_outbox(seeded: RunningGateway, call: str) -> None:
    with psycopg.connect(seeded.database_url) as conn:
        admin = conn.execute("select id from app.agents where role = 'ADMIN'").fetchall()[0][0]
    body = {} if call == "claim_messages" else {"message_id": str(admin), "provider_id": "x"}
    answer = httpx.post(
        f"{seeded.url}/rpc/{call}",
        json=body,
        headers={"Authorization": f"Bearer {seeded.token('admin', admin)}", "Content-Profile": "api"},
        trust_env=False,
    )
    assert answer.status_code == 403
