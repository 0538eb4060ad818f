"""Messengers, webhooks and transitions of orders that touch the same messages at the same time."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.concurrency import Operation, api_call, assert_invariants, connect, run_concurrently
from tests.support.context import Connection, Context, items, make_context, submit, value
from tests.support.messaging import claim, enqueue, status_update, text_message, webhook

ROUNDS = 6
MESSAGES = 60


@pytest.fixture
def context(conn: Connection) -> Context:
    return make_context(conn)


def _sql(statement: str, *values: Any) -> Operation:
    return lambda conn: conn.execute(statement, values or None).fetchall()


def _claimed_messages(conn: Connection, count: int) -> list[str]:
    """Messages in flight, each to a recipient of its own, in the order of their ids."""
    rows = conn.execute(
        "insert into app.messages (template, recipient_type, recipient_id, priority, status, lease_until)"
        " select 'inbound_text', 'AGENT', gen_random_uuid(), 2, 'CLAIMED', now() + interval '1 hour'"
        " from generate_series(1, %s) returning id::text",
        [count],
    ).fetchall()
    return sorted(row[0] for row in rows)


def _sent(messages: list[str]) -> Operation:
    report = [{"message_id": m, "provider_id": f"wamid.{m}"} for m in messages]
    return _sql("select app.messages_sent(%s)", Jsonb(report))


def _statuses(messages: list[str], status: str = "delivered") -> dict[str, Any]:
    return webhook(*(status_update(f"wamid.{m}", status, m) for m in messages), kind="statuses")


def _store(conn: Connection, *payloads: dict[str, Any]) -> None:
    for payload in payloads:
        conn.execute("select app.inbound_message(%s)", [Jsonb(payload)])


_PROCESS = _sql("select api.process_inbox()")
_SUSPEND = "update app.sub_distributors set status = 'SUSPENDED' where status = 'ACTIVE'"
_PROCESS_ONE = _sql("select api.process_inbox(1)")


# --- No deadlocks: partners, orders, messages, each in the order of their ids (D-3.orders-9) ---


def test_sent_reports_and_statuses_of_the_same_messages_never_deadlock(url: str, conn: Connection) -> None:
    for _ in range(ROUNDS):
        messages = _claimed_messages(conn, MESSAGES)
        _store(conn, *(_statuses([m]) for m in reversed(messages)))
        run_concurrently(url, [_sent(messages), _PROCESS, _sent(messages[::-1])])
    assert conn.execute("select status, count(*) from app.messages group by 1").fetchall() == [
        ("DELIVERED", ROUNDS * MESSAGES)
    ]


def test_inbox_runs_that_concern_the_same_rows_never_deadlock(url: str, conn: Connection) -> None:
    """Two webhooks with the same messages, senders and statuses in opposite order, processed at once."""
    for round_number in range(ROUNDS):
        messages = _claimed_messages(conn, MESSAGES)
        texts = [
            text_message("halo", f"62812{round_number:03}{n:05}", f"wamid.{round_number}.{n}")
            | {"timestamp": "1763884800"}
            for n in range(MESSAGES)
        ]
        for statuses, arrived in ((messages, texts), (messages[::-1], texts[::-1])):
            updates = [status_update(f"wamid.{m}", "delivered", m) for m in statuses]
            _store(conn, webhook(value_of={"statuses": updates, "messages": arrived}))
        run_concurrently(url, [_PROCESS_ONE, _PROCESS_ONE])
    assert value(conn, "select count(*) from app.inbound_messages where processed_at is null") == 0
    assert value(conn, "select count(*) from app.inbound_events where outcome = 'forwarded'") == (
        ROUNDS * MESSAGES
    )
    assert value(conn, "select count(*) from app.messages where status = 'DELIVERED'") == ROUNDS * MESSAGES


def _routed_orders(conn: Connection, context: Context, count: int) -> list[dict[str, Any]]:
    return [submit(conn, context.partners[n % 3], items(SKU_000=1)) for n in range(count)]


def _taps(conn: Connection, orders: list[dict[str, Any]], decision: str, key: str) -> list[dict[str, Any]]:
    """Webhooks in which the orders' sub-distributors tap a button of their routing messages."""
    rows = conn.execute(
        "select o.id, substr(s.whatsapp_number, 2), concat_ws(':', %(decision)s::text, o.id,"
        " app.reply_signature(%(decision)s, o.id, s.id, o.awaiting_since)) from app.orders as o"
        " join app.sub_distributors as s on s.id = o.routed_to_subdist_id where o.id = any (%(orders)s)",
        {"decision": decision, "orders": [order["id"] for order in orders]},
    ).fetchall()
    return [
        webhook(
            {"id": f"wamid.{key}.{order}", "from": number, "type": "button", "button": {"payload": payload}}
        )
        for order, number, payload in rows
    ]


def test_transitions_reports_and_webhooks_of_the_same_offers_never_deadlock(
    url: str, conn: Connection, context: Context
) -> None:
    """A suspension withdraws many offers at once, in the order of partners and not of messages."""
    for round_number in range(ROUNDS):
        conn.execute("update app.sub_distributors set status = 'ACTIVE'")
        orders = _routed_orders(conn, context, 12)
        offers = [
            str(row[0])
            for row in conn.execute(
                "select id from app.messages where template = 'order_routed' and status = 'PENDING'"
                " order by id"
            ).fetchall()
        ]
        _store(
            conn,
            *_taps(conn, orders[::-1], "ACCEPT", f"{round_number}"),
            _statuses(offers[::-1], "sent"),
            _statuses(offers[::2], "failed"),
        )
        busiest = value(
            conn,
            "select routed_to_subdist_id from app.orders where status = 'SUBMITTED'"
            " group by 1 order by count(*) desc limit 1",
        )
        run_concurrently(
            url,
            [
                _sent(offers),
                _PROCESS,
                _PROCESS_ONE,
                _sql(_SUSPEND + " and id = %s returning id", busiest),
                *(
                    api_call(context.admin, "reject_order", order_id=order["id"], reason="test")
                    for order in orders[:3]
                ),
            ],
        )
        conn.execute("select api.process_inbox()")
        conn.execute("update app.messages set status = 'SENT' where status in ('PENDING', 'CLAIMED')")
    assert value(conn, "select count(*) from app.inbound_events where outcome like 'failed%'") == 0
    assert_invariants(conn)


def _lock(url: str, rows: str, *values: Any) -> Connection:
    """A connection whose open transaction locks these rows."""
    holder = psycopg.connect(url)
    holder.execute(f"select from {rows} for no key update", values)
    return holder


def _locked(url: str, table: str) -> int:
    """How many rows of a table other transactions have locked."""
    with psycopg.connect(url) as conn:
        rows = value(conn, f"select count(*) from app.{table}")
        free = conn.execute(f"select from app.{table} for no key update skip locked").rowcount
        conn.rollback()
    return int(rows - free)


def _until_timeout(operation: Operation, conn: Connection) -> None:
    with suppress(psycopg.errors.LockNotAvailable):
        operation(conn)


@pytest.mark.parametrize("operation", ["webhooks", "suspension"])
def test_partners_then_orders_then_messages_are_locked(
    url: str, conn: Connection, context: Context, operation: str
) -> None:
    conn.execute(
        "update app.sub_distributors set status = 'SUSPENDED' where id = %s", [context.subdists[1].sub]
    )
    orders = sorted(_routed_orders(conn, context, 6), key=lambda order: str(order["id"]))
    if operation == "webhooks":
        _store(conn, *_taps(conn, orders, "ACCEPT", "tap"))
        run = _PROCESS
    else:
        run = _sql(_SUSPEND + " returning id")
    offers = sorted(
        str(row[0])
        for row in conn.execute("select id from app.messages where template = 'order_routed'").fetchall()
    )
    last_partner = max(str(partner.sub) for partner in context.partners)
    for table, row, others_locked in (
        ("partners", last_partner, {"partners": 3, "orders": 0, "messages": 0}),
        ("orders", orders[-1]["id"], {"partners": 3, "orders": 6, "messages": 0}),
        ("messages", offers[0], {"partners": 3, "orders": 6, "messages": 1}),
    ):
        holder = _lock(url, f"app.{table} where id = %s", row)
        with connect(url) as own:
            own.execute("set lock_timeout = '1500ms'")
            waiting = threading.Thread(target=_until_timeout, args=(run, own), daemon=True)
            waiting.start()
            time.sleep(0.7)
            found = {name: _locked(url, name) for name in others_locked}
            waiting.join(10)
        holder.close()
        assert found == others_locked, table
    run(conn)


def test_withdrawal_locks_the_messages_of_an_order_in_id_order(
    url: str, conn: Connection, context: Context
) -> None:
    [order] = _routed_orders(conn, context, 1)
    conn.execute("select app.escalate_now(%s, 'test')", [order["id"]])
    lowest = value(conn, "select min(id::text) from app.messages")
    # The message with the lowest id becomes the last on disk.
    conn.execute("update app.messages set attempts = 1 where id = %s", [lowest])
    reject = api_call(context.admin, "reject_order", order_id=order["id"], reason="test")
    holder = _lock(url, "app.messages where id = %s", lowest)
    with connect(url) as own:
        own.execute("set lock_timeout = '1500ms'")
        waiting = threading.Thread(target=_until_timeout, args=(reject, own), daemon=True)
        waiting.start()
        time.sleep(0.7)
        found = _locked(url, "messages")
        waiting.join(10)
    holder.close()
    assert found == 1


# --- Claims: per recipient and priority one message at a time, in order, and every message once ---


class Traffic:
    """Enqueuers and messengers at once; records when each message was claimed and reported."""

    recipients = tuple(f"00000000-0000-7000-8000-{n:012}" for n in range(6))
    templates = ("order_status", "order_routed", "sign_in_link")

    def __init__(self, url: str) -> None:
        self.log: list[tuple[float, str, str]] = []
        self.failures: list[BaseException] = []
        self.done = threading.Event()
        self._url = url

    def start(self, operation: Callable[[Connection, random.Random], None], seed: int) -> threading.Thread:
        def run() -> None:
            try:
                with connect(self._url) as own:
                    operation(own, random.Random(seed))  # noqa: S311
            except BaseException as failure:
                self.failures.append(failure)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def enqueue(self, own: Connection, chance: random.Random) -> None:
        """Enqueue messages; some transactions stay open, so that others overtake them."""
        for _ in range(150):
            with own.transaction():
                for _ in range(chance.choice((1, 1, 3))):
                    enqueue(own, chance.choice(self.recipients), chance.choice(self.templates))
                time.sleep(chance.choice((0, 0, 0.002)))

    def deliver(self, own: Connection, chance: random.Random) -> None:
        """Claim and report; some attempts fail, and some are never reported."""
        while not self.done.is_set():
            claimed = claim(own, chance.choice((1, 3, 10)))
            self.log += [(time.monotonic(), "claimed", message) for message in claimed]
            if not claimed:
                time.sleep(0.005)
            sent = []
            for message in claimed:
                fate = chance.random()
                self.log.append((time.monotonic(), "reported", message))
                if fate < 0.1:
                    own.execute("select app.message_failed(%s, '131000', true)", [message])
                    own.execute("update app.messages set next_attempt_at = now() where id = %s", [message])
                elif fate < 0.15:
                    own.execute("update app.messages set lease_until = now() where id = %s", [message])
                else:
                    sent.append(message)
            _sent(sent)(own)


def test_claims_beside_enqueuers_and_reports_keep_one_message_of_a_lane_in_flight(
    url: str, conn: Connection
) -> None:
    """Recipients are few and busy, so that claims search lane by lane."""
    conn.execute("select app.set_config_value('outbox.unknown_wait_seconds', '1')")
    conn.execute("select app.set_config_value('outbox.max_attempts', '100')")
    traffic = Traffic(url)
    messengers = [traffic.start(traffic.deliver, n) for n in range(3)]
    for enqueuer in [traffic.start(traffic.enqueue, 100 + n) for n in range(2)]:
        enqueuer.join(60)
    until = time.monotonic() + 60
    waiting = "select count(*) from app.messages where status <> 'SENT'"
    while value(conn, waiting) and time.monotonic() < until:
        time.sleep(0.05)
    traffic.done.set()
    for messenger in messengers:
        messenger.join(30)
    assert not traffic.failures, traffic.failures[0]
    assert value(conn, waiting) == 0  # none starved

    lanes = {
        row[0]: row[1:]
        for row in conn.execute("select id::text, recipient_id, priority from app.messages").fetchall()
    }
    in_flight: dict[Any, str] = {}
    for _, event, message in sorted(traffic.log, key=lambda entry: entry[0]):
        if event == "claimed":
            assert in_flight.setdefault(lanes[message], message) == message
        else:
            del in_flight[lanes[message]]


def test_messages_enqueued_one_after_another_are_claimed_in_order(url: str, conn: Connection) -> None:
    """Three messengers drain a backlog of few recipients, while one enqueuer goes on."""
    conn.execute("select app.set_config_value('outbox.unknown_wait_seconds', '1')")
    conn.execute("select app.set_config_value('outbox.max_attempts', '100')")
    traffic = Traffic(url)
    messengers = [traffic.start(traffic.deliver, n) for n in range(3)]
    for n in range(150):
        enqueue(conn, traffic.recipients[n % 3])
    until = time.monotonic() + 60
    waiting = "select count(*) from app.messages where status <> 'SENT'"
    while value(conn, waiting) and time.monotonic() < until:
        time.sleep(0.05)
    traffic.done.set()
    for messenger in messengers:
        messenger.join(30)
    assert not traffic.failures, traffic.failures[0]
    assert value(conn, waiting) == 0
    places = dict(conn.execute("select id::text, position from app.messages").fetchall())
    recipient_of = dict(conn.execute("select id::text, recipient_id from app.messages").fetchall())
    last: dict[Any, int] = {}
    for _, event, message in sorted(traffic.log, key=lambda entry: entry[0]):
        if event == "claimed":
            recipient = recipient_of[message]
            assert places[message] >= last.get(recipient, 0), "claimed after a later one"
            last[recipient] = places[message]


def test_message_committed_late_waits_for_the_later_one_in_flight(
    url: str, conn: Connection, context: Context
) -> None:
    """Positions are assigned when messages are inserted, but transactions commit in any order."""
    recipient = context.partners[0].sub
    with psycopg.connect(url) as late, psycopg.connect(url) as first:
        earlier = enqueue(late, recipient)
        later = enqueue(conn, recipient)
        assert claim(first) == [later]  # not committed yet
        late.commit()
        outcomes: list[Any] = []
        second = threading.Thread(target=lambda: outcomes.append(claim(conn)), daemon=True)
        second.start()
        second.join(0.3)
        first.commit()
        second.join(10)
    assert outcomes == [[]]
    assert claim(conn) == []
    conn.execute("select app.message_sent(%s, 'wamid.1')", [later])
    assert claim(conn) == [earlier]
