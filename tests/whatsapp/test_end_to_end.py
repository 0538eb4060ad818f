"""The whole way: database, gateway, adapter and Meta's double."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from adapters.whatsapp.webhook import LARGEST
from hub.seed import load
from tests.support.client import RunningGateway
from tests.support.context import Caller, submit, value
from tests.whatsapp import environment
from tests.whatsapp.crash_test import run
from tests.whatsapp.environment import House
from tests.whatsapp.fake_meta import payloads, signed, tap


@pytest.fixture(scope="module")
def seeded(gateway: RunningGateway) -> RunningGateway:
    """The module's gateway, on the demo data."""
    load(gateway.database_url)
    return gateway


@pytest.fixture
def house(seeded: RunningGateway, tmp_path: Path) -> Iterator[House]:
    """A house whose outbox is empty; its adapter is not yet started."""
    with psycopg.connect(seeded.database_url) as conn:
        conn.execute("delete from app.messages")
    with environment.running(seeded, tmp_path) as made:
        yield made


def until(done: Callable[[], Any], seconds: float = 20) -> Any:
    """What `done` says once it says something; fails after so long."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def order(conn: psycopg.Connection[Any]) -> dict[str, Any]:
    """An order of a partner whose region is served; credit is no matter."""
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


def routings(house: House) -> list[dict[str, Any]]:
    """Messages with buttons: templates, and free ones to whoever wrote lately."""
    return [seen for seen in house.meta.seen if payloads(seen)]


def names(house: House) -> list[str]:
    """Templates that arrived, `interactive` where it was none."""
    return [seen["template"]["name"] if "template" in seen else seen["type"] for seen in house.meta.seen]


def answer_by_tap(house: House, conn: psycopg.Connection[Any]) -> tuple[float, dict[str, Any]]:
    """Order, tap Terima, wait for PROCESSING; returns the seconds from the tap, and the webhook's value."""
    before = len(routings(house))
    made = order(conn)
    sent = until(lambda: routings(house)[before:])[0]
    tapped = tap(sent["to"], payloads(sent)[0])
    accepted = "select status = 'PROCESSING' and last_response_at is not null from app.orders where id = %s"
    began = time.monotonic()
    assert asyncio.run(house.meta.send_webhook(tapped)) == 1
    until(lambda: value(conn, accepted, made["id"]))
    return time.monotonic() - began, tapped


def test_a_tap_on_terima_moves_the_order_within_a_second(house: House) -> None:
    """The best of three: what a busy machine takes longer for says nothing."""
    house.start()
    house.wait_up()
    with psycopg.connect(house.gateway.database_url, autocommit=True) as conn:
        turns = [answer_by_tap(house, conn) for _ in range(3)]
        assert min(took for took, _ in turns) < 1, turns
        print("seconds from tap to PROCESSING:", [round(took, 3) for took, _ in turns])
        again = turns[0][1]
        again["messages"][0]["id"] = "wamid.again"
        assert asyncio.run(house.meta.send_webhook(again)) == 1
        until(lambda: value(conn, "select count(*) from app.inbound_events where outcome <> 'received'") == 4)
        outcomes = conn.execute("select outcome from app.inbound_events order by processed_at").fetchall()
        assert outcomes == [("ACCEPT",)] * 3 + [("button out of date",)]
        until(lambda: names(house).count("button_outdated"))
        # He has written: from the second order on, Meta takes buttons in free form.
        assert [kind for kind in names(house) if kind in ("order_routed", "interactive")] == [
            "order_routed",
            "interactive",
            "interactive",
        ]


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "by-callback"])
def test_a_window_that_closed_meanwhile_costs_a_template_and_nothing_else(house: House, late: bool) -> None:
    """The hub believes that the reader wrote lately, Meta does not."""
    house.meta.late_refusals = late
    house.meta.callback_copies = 2
    with psycopg.connect(house.gateway.database_url, autocommit=True) as conn:
        conn.execute(
            "insert into app.conversations select whatsapp_number, now() from app.sub_distributors"
            " on conflict (number) do update set last_inbound_at = now()"
        )
        made = order(conn)
        house.start()
        until(lambda: names(house).count("order_routed"))
        settled = "select status, attempts, error_code from app.messages where order_id = %s"
        until(lambda: value(conn, settled.replace("status,", "status = 'READ',", 1), made["id"]))
        rows = conn.execute(settled, [made["id"]]).fetchall()
        assert rows == [("READ", 2, None)]
        assert names(house) == ["order_routed"]
        logged = "select count(*) from app.sla_escalation_logs where order_id = %s"
        assert value(conn, logged, made["id"]) == 0


def hostile_bodies() -> list[tuple[bytes, int]]:
    """Webhooks that are large, broken, repeated and out of order, each with the answer it gets."""
    many = [{"id": f"x{n}", "from": "62", "type": "text", "text": {"body": "y" * 200}} for n in range(500)]
    states = [{"id": f"wamid.{n}", "status": s} for n in range(50) for s in ("read", "failed", "sent")]
    genuine: list[Any] = [{"entry": [{"changes": [{"value": {"messages": many}}]}]}]
    genuine += [
        {"entry": [{"changes": [{"value": {"statuses": states[n:] + states[:n]}}]}]} for n in range(10)
    ]
    taken = [(json.dumps(body).encode(), 200) for body in genuine]
    broken = [(b"{", 400), (b"[" * 100_000, 400), (b"\xff" * 1000, 400), (b"[]", 400)]
    return (taken * 3 + broken * 4 + [(b"y" * (LARGEST + 1), 413)]) * 2


def test_webhooks_are_stored_first_and_answered_fast_whatever_they_bring(house: House) -> None:
    """While nothing can be worked on: a lock keeps the inbox waiting."""
    house.start()
    house.wait_up()
    took = []
    with (
        psycopg.connect(house.gateway.database_url) as blocker,
        psycopg.connect(house.gateway.database_url, autocommit=True) as conn,
        httpx.Client(trust_env=False) as client,
    ):
        before = value(conn, "select count(*) from app.inbound_messages")
        blocker.execute("lock app.inbound_events in exclusive mode")
        blocker.execute("lock app.messages in exclusive mode")
        for body, expected in hostile_bodies():
            began = time.monotonic()
            answer = client.post(house.meta.webhook_url, content=body, headers=signed(body))
            took.append(time.monotonic() - began)
            assert answer.status_code == expected
        waiting = "select count(*), count(*) filter (where processed_at is null) from app.inbound_messages"
        stored, left = conn.execute(waiting).fetchall()[0]
        assert stored == before + 11  # each once, however often it came
        assert left == 11  # and not worked on before the answer
        assert client.post(house.meta.webhook_url, content=b"{}").status_code == 401
        blocker.rollback()
        until(lambda: value(conn, waiting.replace("count(*), ", "")) == 0)
    p95 = sorted(took)[int(len(took) * 0.95)]
    print(
        f"{len(took)} webhooks: median {sorted(took)[len(took) // 2] * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms"
    )
    assert p95 < 1  # Meta wants 250 ms; a busy machine's allowance


def test_what_fails_for_good_is_mailed_and_a_lost_routing_escalates(house: House) -> None:
    with psycopg.connect(house.gateway.database_url, autocommit=True) as conn:
        made = order(conn)
        number = value(
            conn,
            "update app.sub_distributors set email = 'gudang@sub.example' where id ="
            " (select routed_to_subdist_id from app.orders where id = %s)"
            " returning substr(whatsapp_number, 2)",
            made["id"],
        )
        house.meta.dead_numbers[number] = 131026
        house.start()
        mails = until(lambda: house.mail.exists() and house.mail.read_text())
        [mail] = [json.loads(line) for line in mails.splitlines()]
        assert (mail["channel"], mail["recipient"], mail["template"]) == (
            "EMAIL",
            "gudang@sub.example",
            "order_routed",
        )
        reasons = conn.execute(
            "select distinct escalation_level::text, reason from app.sla_escalation_logs where order_id = %s",
            [made["id"]],
        ).fetchall()
        assert reasons == [("HQ_INTERVENTION", "Pesan WhatsApp ke sub-distributor gagal: 131026")]
        until(lambda: names(house).count("sla_escalation"))


def test_a_bad_token_is_told_to_headquarters_by_mail(house: House) -> None:
    house.meta.token = "another"
    house.owe(30)
    house.start()
    mails = until(lambda: house.mail.exists() and house.mail.read_text())
    assert "kode 190" in mails
    assert house.meta.requests <= 8  # those that were under way at once


def test_killed_while_sending_everything_arrives_once_while_callbacks_come(house: House) -> None:
    house.meta.shuffled = True
    toll = run(house, messages=40, kills=2, callbacks=True)
    assert (toll.seen, toll.twice, toll.kills) == (40, 0, 2), toll
    assert toll.repeats <= 2 * 10  # what was claimed but had not left the adapter: a batch for each kill


def test_killed_with_the_callbacks_lost_only_the_unknown_go_twice_and_are_counted(house: House) -> None:
    house.meta.delay = 0.05  # so that a kill finds some on their way
    toll = run(house, messages=60, kills=3, callbacks=False)
    assert toll.seen == 60
    assert toll.surplus > 0, "no kill hit a message on its way: this shows nothing"
    assert toll.not_counted == 0
    assert toll.surplus <= toll.repeats <= 3 * 10  # a batch for each kill
