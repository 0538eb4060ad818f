"""Claims beside a long backlog of few recipients: what they cost, and that they keep the order."""

import json
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Connection, value
from tests.support.messaging import claim, end_backoff, enqueue, enqueue_mail

HOT = "00000000-0000-7000-8000-000000000001"
OTHERS = [f"00000000-0000-7000-8000-0000000001{n:02}" for n in range(5)]


def fill_backlog(conn: Connection, messages: int, recipients: int, channel: str = "WHATSAPP") -> None:
    conn.execute(
        "select app.enqueue_messages('order_status', 'PARTNER', array(select md5((i %% %s)::text)::uuid"
        " from generate_series(1, %s) as i), null, '{}', %s::app.notification_channel_enum)",
        [recipients, messages, channel],
    )


def blocks_read(conn: Connection, statement: str) -> int:
    """The blocks that a statement reads, from memory or disk, with those of the functions that it calls."""
    plan: Any = value(conn, "explain (analyze, buffers, format json) " + statement)
    [top] = json.loads(plan) if isinstance(plan, str) else plan
    return int(top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"])


@pytest.mark.parametrize("in_flight", [True, False], ids=["all-in-flight", "all-waiting-for-a-retry"])
def test_claim_reads_no_more_of_a_long_backlog_than_of_a_short_one(clone: Clone, in_flight: bool) -> None:
    """In a database of its own, analyzed as autovacuum would: other tests leave dead index entries."""
    blocks = []
    with psycopg.connect(clone()) as conn:
        for messages in (100, 6000):
            fill_backlog(conn, messages, 12)
            conn.execute("analyze app.messages")
            claimed = claim(conn, 100)
            assert len(claimed) == (12 if messages == 100 else 0) or not in_flight
            if not in_flight:
                for message in claimed:
                    conn.execute("select app.message_failed(%s, '131000', true)", [message])
                conn.execute(
                    "update app.messages set next_attempt_at = now() + interval '1 hour' where attempts > 0"
                )
            assert claim(conn, 10) == []
            blocks.append(min(blocks_read(conn, "select app.claim_messages(10, 60)") for _ in range(3)))
    assert blocks[1] <= 2 * blocks[0], blocks


def test_enqueueing_reads_no_more_of_a_long_backlog_than_of_a_short_one(clone: Clone) -> None:
    """A session keeps the plan that it made when 240 messages waited, of which there were no statistics."""
    url = clone()
    with psycopg.connect(url) as conn:
        fill_backlog(conn, 240, 12)
    one = f"select app.enqueue_message('order_status', 'PARTNER', '{HOT}', null, '{{}}')"
    blocks = []
    with psycopg.connect(url) as conn:
        conn.execute("set plan_cache_mode = force_generic_plan")
        for messages in (0, 6000):
            fill_backlog(conn, messages, 12)
            blocks.append(min(blocks_read(conn, one) for _ in range(3)))
    assert blocks[1] <= 2 * blocks[0], blocks


@pytest.mark.parametrize(("own", "other"), [("WHATSAPP", "EMAIL"), ("EMAIL", "WHATSAPP")])
def test_claim_of_a_channel_reads_nothing_of_the_other_ones_backlog(
    clone: Clone, own: str, other: str
) -> None:
    """Each of the waiting messages has a recipient of its own, so that there are as many lanes."""
    blocks = []
    with psycopg.connect(clone()) as conn:
        for messages in (100, 6000):
            fill_backlog(conn, messages, messages, other)
            conn.execute("analyze app.messages")
            statement = f"select app.claim_messages(10, 60, '{own}')"
            blocks.append(min(blocks_read(conn, statement) for _ in range(3)))
        assert len(claim(conn, 10, channel=other)) == 10
    assert blocks[1] <= 2 * blocks[0], blocks


@pytest.mark.parametrize("state", ["waiting", "in-flight", "unknown", "retried-later"])
@pytest.mark.parametrize("stuck", ["EMAIL", "WHATSAPP"])
def test_message_of_one_channel_does_not_hold_back_the_recipients_other_channel(
    db: Connection, stuck: str, state: str
) -> None:
    mails, texts = [enqueue_mail(db, HOT) for _ in range(2)], [enqueue(db, HOT) for _ in range(2)]
    held, others = (mails, texts) if stuck == "EMAIL" else (texts, mails)
    if state != "waiting":
        assert claim(db, channel=stuck) == held[:1]
    if state == "unknown":
        db.execute("update app.messages set lease_until = now() where status = 'CLAIMED'")
    elif state == "retried-later":
        db.execute("select app.message_failed(%s, 'later', true)", [held[0]])
    other = "WHATSAPP" if stuck == "EMAIL" else "EMAIL"
    for message in others:
        assert claim(db, channel=other) == [message], "in order, one at a time"
        assert claim(db, channel=other) == []
        db.execute("select app.message_sent(%s, %s)", [message, f"sent-{message}"])
    assert claim(db, channel=stuck) == (held[:1] if state == "waiting" else [])


def test_claim_without_a_channel_takes_the_urgent_and_old_ones_of_both(db: Connection) -> None:
    text, mail = enqueue(db, OTHERS[0]), enqueue_mail(db, OTHERS[0])
    urgent = enqueue_mail(db, OTHERS[1], "invitation")
    assert [claim(db, 1) for _ in range(4)] == [[urgent], [text], [mail], []]


def test_due_email_does_not_silence_the_notification_of_a_whatsapp_message(clone: Clone) -> None:
    """A messenger of WhatsApp listens, while its e-mails wait for their server."""
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url, autocommit=True) as listener:
        listener.execute("listen hub_messages")
        for template in ("invitation", "order_routed", "order_status"):
            for number in range(12):
                enqueue_mail(conn, f"00000000-0000-7000-8000-0000000002{number:02}", template)
        assert list(listener.notifies(timeout=0.2))
        enqueue(conn, HOT)
        assert list(listener.notifies(timeout=2, stop_after=1))


def test_recipients_behind_a_long_backlog_are_claimed(db: Connection) -> None:
    hot = [enqueue(db, HOT) for _ in range(60)]
    others = [enqueue(db, other) for other in OTHERS]
    assert set(claim(db, 10)) == {hot[0], *others}
    assert claim(db, 10) == []


def test_lane_whose_first_message_waits_or_is_in_flight_holds_back_its_later_ones(db: Connection) -> None:
    """Behind a backlog longer than what a claim walks, so that lanes are searched."""
    for _ in range(20):
        enqueue(db, HOT)
    assert len(claim(db, 1)) == 1
    first, second = (enqueue(db, OTHERS[0]) for _ in range(2))
    assert claim(db, 1) == [first]
    assert claim(db, 1) == []
    db.execute("select app.message_failed(%s, '131000', true)", [first])
    assert claim(db, 1) == []
    end_backoff(db)
    assert claim(db, 1) == [first]
    db.execute("select app.message_sent(%s, 'wamid.1')", [first])
    assert claim(db, 1) == [second]


def test_urgent_messages_behind_a_backlog_are_claimed_before_others(db: Connection) -> None:
    for _ in range(20):
        enqueue(db, HOT, "order_routed")
    assert len(claim(db, 1)) == 1
    information = enqueue(db, OTHERS[0])
    urgent = [enqueue(db, other, "order_routed") for other in OTHERS]
    claimed = [claim(db, 1)[0] for _ in range(6)]
    assert set(claimed[:5]) == set(urgent)
    assert claimed[5] == information


def test_claims_start_at_different_recipients_behind_a_backlog(db: Connection) -> None:
    """Otherwise the first lanes would be served and the others starve."""
    for _ in range(20):
        enqueue(db, HOT)
    assert len(claim(db, 1)) == 1
    for other in OTHERS:
        enqueue(db, other)
    found = set()
    for _ in range(60):
        [message] = claim(db, 1)
        found.add(message)
        db.execute("update app.messages set status = 'PENDING', lease_until = null where id = %s", [message])
    assert len(found) > 2


@pytest.mark.parametrize("name", ["sign_in_link", "order_routed", "order_status"])
def test_message_has_the_priority_of_its_template(db: Connection, name: str) -> None:
    enqueue(db, HOT, name)
    fill = "select cardinality(app.enqueue_messages(%s, 'PARTNER', array[%s]::uuid[], null, '{}'))"
    assert value(db, fill, name, OTHERS[0]) == 1
    expected = {"sign_in_link": 0, "order_routed": 1, "order_status": 2}[name]
    assert db.execute("select priority from app.messages").fetchall() == [(expected,)] * 2
