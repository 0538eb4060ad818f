"""The WhatsApp adapter against the real gateway."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import psycopg
import pytest
from rich.console import Console

from adapters.whatsapp.console import ConsoleDelivery
from adapters.whatsapp.delivery import DeliveryError
from adapters.whatsapp.messages import Message
from adapters.whatsapp.outbox import Outbox
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.worker import Worker
from hub.ports import next_free
from tests.support.client import RunningGateway
from tests.whatsapp.adapter.conftest import Owe, lines, run_sql, states


def quiet(told: Settings) -> ConsoleDelivery:
    return ConsoleDelivery(told.whatsapp_file, Console(file=io.StringIO()))


class Phone:
    """A provider that can be told to misbehave."""

    def __init__(self, *failures: DeliveryError, seconds: float = 0) -> None:
        self.failures = list(failures)
        self.seconds = seconds
        self.got: list[UUID] = []

    async def deliver(self, message: Message) -> str:
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.sleep(self.seconds)
        self.got.append(message.id)
        return f"phone-{message.id}-{len(self.got)}"


def with_worker(
    told: Settings, delivery: ConsoleDelivery | Phone, do: Callable[[Worker], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with Outbox(told) as outbox:
            await do(Worker(outbox, delivery, lease_seconds=told.whatsapp_lease_seconds))

    asyncio.run(run())


def once(told: Settings, delivery: ConsoleDelivery | Phone) -> None:
    async def step(worker: Worker) -> None:
        await worker.step()

    with_worker(told, delivery, step)


def test_a_message_is_delivered_once(seeded: RunningGateway, told: Settings, owe: Owe) -> None:
    [message_id] = owe(1)
    once(told, quiet(told))
    once(told, quiet(told))
    [line] = lines(told.whatsapp_file)
    assert line["id"] == message_id
    assert line["body"] == "Kabar pesanan ORD-261123-000001: kini selesai. Terima kasih."
    assert line["recipient"].startswith("+62840")
    assert states(seeded) == {message_id: ("SENT", 1)}


def test_a_failed_delivery_is_tried_again(seeded: RunningGateway, told: Settings, owe: Owe) -> None:
    [message_id] = owe(1)
    phone = Phone(DeliveryError("131016", retry=True))
    once(told, phone)
    assert states(seeded) == {message_id: ("PENDING", 1)}
    once(told, phone)
    assert phone.got == []  # its pause is not over
    run_sql(seeded, "update app.messages set next_attempt_at = now()")
    once(told, phone)
    assert phone.got == [UUID(message_id)]
    assert states(seeded) == {message_id: ("SENT", 2)}


def test_a_broken_delivery_is_tried_again(seeded: RunningGateway, told: Settings, owe: Owe) -> None:
    [message_id] = owe(1)

    class Broken(Phone):
        async def deliver(self, message: Message) -> str:
            raise ZeroDivisionError

    once(told, Broken())
    assert states(seeded) == {message_id: ("PENDING", 1)}


def test_what_can_never_be_delivered_goes_out_by_mail(
    seeded: RunningGateway, told: Settings, owe: Owe
) -> None:
    [message_id] = owe(1)
    once(told, Phone(DeliveryError("131026", retry=False)))
    assert states(seeded)[message_id] == ("FAILED", 1)
    once(told, quiet(told))
    [line] = lines(told.whatsapp_file)
    assert (line["channel"], line["recipient"].split("@")[1]) == ("EMAIL", "salon.example")


def test_two_workers_share_the_work_and_send_nothing_twice(
    seeded: RunningGateway, told: Settings, owe: Owe
) -> None:
    ids = owe(40)
    phone = Phone(seconds=0.005)

    async def run() -> None:
        async with Outbox(told) as one, Outbox(told) as two:
            workers = [Worker(one, phone, poll_seconds=0.02), Worker(two, phone, poll_seconds=0.02)]
            tasks = [asyncio.create_task(worker.run()) for worker in workers]
            async with asyncio.timeout(20):
                while len(phone.got) < len(ids):
                    await asyncio.sleep(0.02)
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks)
            assert all(worker.health.sent for worker in workers)

    asyncio.run(run())
    assert sorted(map(str, phone.got)) == sorted(ids)
    assert set(states(seeded).values()) == {("SENT", 1)}


def test_the_message_of_a_dead_worker_is_taken_again(
    seeded: RunningGateway, told: Settings, owe: Owe
) -> None:
    [message_id] = owe(1)

    async def die() -> None:
        async with Outbox(told) as outbox:
            assert len(await outbox.claim()) == 1

    asyncio.run(die())
    phone = Phone()
    once(told, phone)
    assert phone.got == []  # leased
    run_sql(seeded, "update app.messages set lease_until = now() - interval '1 second'")
    once(told, phone)
    assert phone.got == []  # unknown: the provider may yet tell of it
    run_sql(seeded, "update app.messages set unknown_since = now() - interval '1 day'")
    once(told, phone)
    assert phone.got == [UUID(message_id)]
    assert states(seeded) == {message_id: ("SENT", 2)}


def test_nothing_is_sent_after_its_lease_has_lapsed(seeded: RunningGateway, told: Settings, owe: Owe) -> None:
    first, second = owe(2)
    told.whatsapp_lease_seconds = 1
    phone = Phone(seconds=5)
    once(told, phone)
    assert phone.got == []
    assert states(seeded) == {first: ("CLAIMED", 1), second: ("CLAIMED", 1)}


def test_what_was_delivered_but_not_reported_is_reported_later_and_not_sent_again(
    seeded: RunningGateway, told: Settings, owe: Owe
) -> None:
    [message_id] = owe(1)
    told.whatsapp_lease_seconds = 1
    phone = Phone()

    async def run(worker: Worker) -> None:
        report, worker.outbox.sent = worker.outbox.sent, _away  # type: ignore[method-assign]
        await worker.step()
        worker.outbox.sent = report  # type: ignore[method-assign]
        run_sql(
            seeded, "update app.messages set status = 'PENDING', lease_until = null, next_attempt_at = now()"
        )
        await worker.step()

    with_worker(told, phone, run)
    assert phone.got == [UUID(message_id)]
    assert states(seeded) == {message_id: ("SENT", 2)}


async def _away(message_id: UUID, provider_id: str) -> None:
    raise httpx.ConnectError("away")


def test_a_gateway_that_is_away_is_waited_for(told: Settings) -> None:
    told.gateway_url = f"http://127.0.0.1:{next_free(39950)}"

    async def run(worker: Worker) -> None:
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(0.5)
        assert not worker.health.gateway_answers
        assert not task.done()
        worker.stop()
        async with asyncio.timeout(2):
            await task

    with_worker(told, Phone(), run)


def test_the_program_delivers_tells_its_health_and_stops_cleanly(
    seeded: RunningGateway, told: Settings, owe: Owe
) -> None:
    port = next_free(39960)
    environment = dict(os.environ) | {
        "HUB_GATEWAY_URL": told.gateway_url,
        "HUB_JWT_SECRET": told.jwt_secret,
        "HUB_WHATSAPP_PORT": str(port),
        "HUB_WHATSAPP_FILE": str(told.whatsapp_file),
    }
    program = subprocess.Popen(
        [sys.executable, "-m", "adapters.whatsapp"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        [message_id] = owe(1)
        deadline = time.monotonic() + 20
        while not lines(told.whatsapp_file) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [line["id"] for line in lines(told.whatsapp_file)] == [message_id]
        health = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
        assert (health.status_code, health.json()["status"]) == (200, "ok")
        program.send_signal(signal.SIGTERM)
        output, _ = program.communicate(timeout=10)
    finally:
        program.kill()
    assert program.returncode in (0, -signal.SIGTERM)
    assert "WhatsApp ·" in output
    assert "Traceback" not in output


def test_the_program_names_the_missing_setting() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")}
    ended = subprocess.run(
        [sys.executable, "-m", "adapters.whatsapp"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "HUB_JWT_SECRET" in ended.stderr


@pytest.mark.parametrize("call", ["claim_messages", "message_sent"])
def test_only_messengers_may(seeded: RunningGateway, call: str) -> None:
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
