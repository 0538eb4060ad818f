"""End to end: database, gateway, adapter process and fake Meta server."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from adapters.whatsapp.webhook import MAX_BODY_BYTES
from tests.support.client import RunningGateway
from tests.support.context import Caller, submit, value
from tests.support.waiting import wait_until
from tests.whatsapp.crash_test import run
from tests.whatsapp.environment import Environment, running
from tests.whatsapp.fake_meta import payloads, signed, tap


@pytest.fixture
def environment(seeded: RunningGateway, tmp_path: Path) -> Iterator[Environment]:
    """An environment with an empty outbox, whose adapter is not started yet."""
    with running(seeded, tmp_path) as environment:
        yield environment


MOST_HELD = 24 + 4 + 10
"""What a killed adapter held at most: deliveries, a few that waited for their turn, and a new batch."""


def submit_order(conn: psycopg.Connection[Any]) -> dict[str, Any]:
    """Submit an order of a partner whose region has a sub-distributor, within their credit limit."""
    conn.execute("update app.partners set credit_limit = 1000000000")
    partner = value(
        conn,
        "select p.id from app.partners p where app.nearest_subdist(p.region_id) is not null"
        " and p.is_active and p.deleted_at is null order by p.id limit 1",
    )
    sku = value(
        conn,
        "select p.sku from app.products p join app.inventory i on i.product_id = p.id"
        " where p.is_active and i.erp_stock > 100 order by 1 limit 1",
    )
    return submit(conn, Caller("partner", str(partner)), [{"sku": sku, "quantity": 1}])


def routings(environment: Environment) -> list[dict[str, Any]]:
    """Accepted messages with buttons, sent as templates or in free form."""
    return [message for message in environment.meta.accepted if payloads(message)]


def names(environment: Environment) -> list[str]:
    """Names of the templates of accepted messages, `interactive` for those in free form."""
    messages = environment.meta.accepted
    return [body["template"]["name"] if "template" in body else body["type"] for body in messages]


def answer_by_tap(environment: Environment, conn: psycopg.Connection[Any]) -> tuple[float, dict[str, Any]]:
    """Submit an order, tap Terima, wait for PROCESSING; returns the seconds since the tap and its webhook."""
    before = len(routings(environment))
    order = submit_order(conn)
    sent = wait_until(lambda: routings(environment)[before:])[0]
    tapped = tap(sent["to"], payloads(sent)[0])
    accepted = "select status = 'PROCESSING' and last_response_at is not null from app.orders where id = %s"
    began = time.monotonic()
    assert asyncio.run(environment.meta.send_webhook(tapped)) == 1
    wait_until(lambda: value(conn, accepted, order["id"]))
    return time.monotonic() - began, tapped


def test_tap_on_terima_moves_the_order_to_processing_within_a_second(environment: Environment) -> None:
    """The best of three counts: a busy machine can delay any single one."""
    environment.start()
    environment.wait_up()
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        turns = [answer_by_tap(environment, conn) for _ in range(3)]
        assert min(took for took, _ in turns) < 1, turns
        print("seconds from tap to PROCESSING:", [round(took, 3) for took, _ in turns])
        again = turns[0][1]
        again["messages"][0]["id"] = "wamid.again"
        assert asyncio.run(environment.meta.send_webhook(again)) == 1
        wait_until(
            lambda: value(conn, "select count(*) from app.inbound_events where outcome <> 'received'") == 4
        )
        outcomes = conn.execute("select outcome from app.inbound_events order by processed_at").fetchall()
        assert outcomes == [("ACCEPT",)] * 3 + [("button out of date",)]
        wait_until(lambda: names(environment).count("button_outdated"))
        # The tap opened the window: from the second order on, buttons are sent in free form.
        assert [kind for kind in names(environment) if kind in ("order_routed", "interactive")] == [
            "order_routed",
            "interactive",
            "interactive",
        ]


@pytest.mark.parametrize("late", [False, True], ids=["in-answer", "by-callback"])
def test_message_refused_for_a_closed_window_is_sent_again_as_template(
    environment: Environment, late: bool
) -> None:
    """The hub expects an open window for the recipient; Meta has closed it."""
    environment.meta.late_refusals = late
    environment.meta.callback_copies = 2
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        conn.execute(
            "insert into app.conversations select whatsapp_number, now() from app.sub_distributors"
            " on conflict (number) do update set last_inbound_at = now()"
        )
        order = submit_order(conn)
        environment.start()
        wait_until(lambda: names(environment).count("order_routed"))
        settled = "select status, attempts, error_code from app.messages where order_id = %s"
        wait_until(lambda: value(conn, settled.replace("status,", "status = 'READ',", 1), order["id"]))
        rows = conn.execute(settled, [order["id"]]).fetchall()
        assert rows == [("READ", 2, None)]
        assert names(environment) == ["order_routed"]
        logged = "select count(*) from app.sla_escalation_logs where order_id = %s"
        assert value(conn, logged, order["id"]) == 0


def hostile_bodies() -> list[tuple[bytes, int]]:
    """Large, broken, repeated and unordered webhooks, each with the expected HTTP status."""
    many = [{"id": f"x{n}", "from": "62", "type": "text", "text": {"body": "y" * 200}} for n in range(500)]
    states = [{"id": f"wamid.{n}", "status": s} for n in range(50) for s in ("read", "failed", "sent")]
    genuine: list[Any] = [{"entry": [{"changes": [{"value": {"messages": many}}]}]}]
    genuine += [
        {"entry": [{"changes": [{"value": {"statuses": states[n:] + states[:n]}}]}]} for n in range(10)
    ]
    valid = [(json.dumps(body).encode(), 200) for body in genuine]
    broken = [(b"{", 400), (b"[" * 100_000, 400), (b"\xff" * 1000, 400), (b"[]", 400)]
    return (valid * 3 + broken * 4 + [(b"y" * (MAX_BODY_BYTES + 1), 413)]) * 2


def test_webhooks_are_stored_and_answered_before_they_are_processed(environment: Environment) -> None:
    """Locks block the processing, so that a webhook answered in time cannot have been processed before."""
    environment.start()
    environment.wait_up()
    took = []
    with (
        psycopg.connect(environment.gateway.database_url) as blocker,
        psycopg.connect(environment.gateway.database_url, autocommit=True) as conn,
        httpx.Client(trust_env=False) as client,
    ):
        before = value(conn, "select count(*) from app.inbound_messages")
        blocker.execute("lock app.inbound_events in exclusive mode")
        blocker.execute("lock app.messages in exclusive mode")
        for body, expected in hostile_bodies():
            began = time.monotonic()
            answer = client.post(environment.meta.webhook_url, content=body, headers=signed(body))
            took.append(time.monotonic() - began)
            assert answer.status_code == expected
        waiting = "select count(*), count(*) filter (where processed_at is null) from app.inbound_messages"
        stored, left = conn.execute(waiting).fetchall()[0]
        assert stored == before + 11  # repetitions are stored once
        assert left == 11  # none was processed before its answer
        assert client.post(environment.meta.webhook_url, content=b"{}").status_code == 401
        blocker.rollback()
        wait_until(lambda: value(conn, waiting.replace("count(*), ", "")) == 0)
    p95 = sorted(took)[int(len(took) * 0.95)]
    print(
        f"{len(took)} webhooks: median {sorted(took)[len(took) // 2] * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms"
    )
    assert p95 < 1  # Meta expects 250 ms; a busy machine needs more


def test_undeliverable_routing_message_is_sent_by_email_and_escalates(environment: Environment) -> None:
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        order = submit_order(conn)
        number = value(
            conn,
            "update app.sub_distributors set email = 'gudang@sub.example' where id ="
            " (select routed_to_subdist_id from app.orders where id = %s)"
            " returning substr(whatsapp_number, 2)",
            order["id"],
        )
        environment.meta.dead_numbers[number] = 131026
        environment.start()
        mails = wait_until(lambda: environment.mail.exists() and environment.mail.read_text())
        [mail] = [json.loads(line) for line in mails.splitlines()]
        assert (mail["channel"], mail["recipient"], mail["template"]) == (
            "EMAIL",
            "gudang@sub.example",
            "order_routed",
        )
        reasons = conn.execute(
            "select distinct escalation_level::text, reason from app.sla_escalation_logs where order_id = %s",
            [order["id"]],
        ).fetchall()
        assert reasons == [("HQ_INTERVENTION", "Pesan WhatsApp ke sub-distributor gagal: 131026")]
        wait_until(lambda: names(environment).count("sla_escalation"))


def test_headquarters_is_notified_of_a_refused_token_by_email(environment: Environment) -> None:
    environment.meta.token = "another"
    environment.enqueue(30)
    environment.start()
    mails = wait_until(lambda: environment.mail.exists() and environment.mail.read_text())
    assert "kode 190" in mails
    assert environment.meta.requests <= 24  # the concurrent deliveries


@pytest.mark.long_form
def test_kills_repeat_no_message_while_callbacks_arrive(
    environment: Environment,
) -> None:
    environment.meta.shuffled = True
    report = run(environment, messages=40, kills=2, callbacks=True)
    assert (report.delivered, report.repeated, report.kills) == (40, 0, 2), report
    assert report.repeats <= 2 * MOST_HELD


def test_kills_repeat_only_unknown_messages_when_callbacks_are_lost(
    environment: Environment,
) -> None:
    environment.meta.delay = 0.05  # so that kills interrupt messages between acceptance and report
    report = run(environment, messages=60, kills=3, callbacks=False)
    assert report.delivered == 60
    assert report.surplus > 0, "no kill interrupted a message: the test proves nothing"
    assert report.uncounted == 0
    assert report.surplus <= report.repeats <= 3 * MOST_HELD
