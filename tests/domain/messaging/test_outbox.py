"""Each message owed reaches its reader once, whatever fails in between."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Clone
from tests.domain.messaging.conftest import claim, lapse, owe, ready, state, wait_out
from tests.support.context import Connection, Context, make_context, value


def test_a_lease_keeps_a_message_for_one_messenger(db: Connection, context: Context) -> None:
    message = owe(db, context.partners[0].sub)
    assert claim(db) == [message]
    assert claim(db) == []
    assert state(db, message).status == "CLAIMED"


def test_a_lapsed_lease_leaves_the_message_unknown_and_not_sent_again(
    db: Connection, context: Context
) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    lapse(db)
    assert state(db, message).status == "UNKNOWN"
    wait_out(db, 119)
    assert claim(db) == []
    wait_out(db, 1)
    assert (state(db, message).status, state(db, message).repeats) == ("PENDING", 1)
    assert claim(db) == [message]


def test_the_wait_for_the_unknown_is_configured(db: Connection, context: Context) -> None:
    db.execute("select app.set_config_value('outbox.unknown_wait_seconds', '5')")
    message = owe(db, context.partners[0].sub)
    claim(db)
    lapse(db)
    wait_out(db, 5)
    assert claim(db) == [message]


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_a_callback_with_our_id_settles_the_unknown(db: Connection, context: Context, status: str) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    lapse(db)
    db.execute("select app.message_status('wamid.1', %s, now(), %s)", [status, message])
    assert state(db, message).status == status.upper()
    wait_out(db, 10_000)
    assert claim(db) == []
    assert state(db, message).repeats == 0
    # and from now on the provider's own id will do
    db.execute("select app.message_status('wamid.1', 'read', now())")
    assert state(db, message).status == "READ"


@pytest.mark.parametrize("reported", [True, False], ids=["after-the-report", "before-the-report"])
def test_a_free_form_message_refused_as_late_goes_again_as_a_template_once(
    db: Connection, context: Context, reported: bool
) -> None:
    """131047 by a callback, which is repeated and brings `sent` after `failed`."""
    message = owe(db, context.partners[0].sub)
    db.execute("insert into app.conversations select phone, now() from app.partners")
    opened = "select window_open from app.claim_messages(10, 60)"
    assert value(db, opened) is True
    if reported:
        db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    for status in ("failed", "failed", "sent", "failed"):
        db.execute("select app.message_status('wamid.1', %s, now(), %s, '131047')", [status, message])
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    db.execute("select app.messages_sent(%s)", [Jsonb([{"message_id": message, "provider_id": "wamid.1"}])])
    assert state(db, message).status == "PENDING"
    assert value(db, opened) is False
    db.execute("select app.message_status('wamid.1', 'sent', now(), %s)", [message])
    assert state(db, message).status == "CLAIMED"
    db.execute("select app.message_sent(%s, 'wamid.2')", [message])
    assert state(db, message).status == "SENT"
    assert value(db, "select count(*) from app.messages") == 1
    db.execute("select app.message_status('wamid.2', 'failed', now(), %s, '131047')", [message])
    assert state(db, message).status == "FAILED"  # never a loop


def test_a_batch_is_settled_in_one_call(db: Connection, context: Context) -> None:
    messages = [owe(db, context.partners[n].sub, template) for n, template in enumerate(["order_status"] * 2)]
    link = owe(db, context.subdists[0].sub, "sign_in_link", "SUBDIST")
    db.execute('update app.messages set variables = \'{"token": "geheim"}\' where id = %s', [link])
    assert set(claim(db)) == {*messages, link}
    unknown = "00000000-0000-7000-8000-000000000000"
    sent = [{"message_id": m, "provider_id": f"wamid.{m}"} for m in [*messages, link, unknown]]
    for _ in range(2):
        answer = value(db, "select app.messages_sent(%s)", Jsonb(sent))
        assert answer == {"unknown_ids": [unknown]}
        db.execute("select app.message_status(%s, 'read', now())", [f"wamid.{messages[0]}"])
    rows = db.execute("select status, provider_id, variables from app.messages order by position").fetchall()
    assert [row[0] for row in rows] == ["READ", "SENT", "SENT"]
    assert [row[1] for row in rows] == [one["provider_id"] for one in sent[:3]]
    assert rows[2][2] == {}
    assert value(db, "select app.messages_sent('[]')") == {"unknown_ids": []}


@pytest.mark.parametrize(
    "sent",
    [
        None,
        {},
        [1],
        [{}],
        [{"message_id": "x", "provider_id": "w"}],
        [{"message_id": "00000000-0000-7000-8000-000000000000"}],
        [{"message_id": "00000000-0000-7000-8000-000000000000", "provider_id": ""}],
        [{"message_id": "00000000-0000-7000-8000-000000000000", "provider_id": "w" * 201}],
        [{"message_id": "00000000-0000-7000-8000-000000000000", "provider_id": 1}],
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(db: Connection, sent: Any) -> None:
    with pytest.raises(psycopg.Error, match="INVALID_ARGUMENT"), db.transaction():
        db.execute("select app.messages_sent(%s)", [Jsonb(sent)])


def test_a_callback_that_overtakes_the_report_is_no_harm(db: Connection, context: Context) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    db.execute("select app.message_status('wamid.1', 'delivered', now(), %s)", [message])
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    assert state(db, message).status == "DELIVERED"


def test_a_callback_settles_even_what_is_due_to_be_repeated(db: Connection, context: Context) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    lapse(db)
    wait_out(db)
    db.execute("select app.message_status('wamid.1', 'sent', now(), %s)", [message])
    assert claim(db) == []
    assert state(db, message).status == "SENT"


def test_every_repetition_is_counted(db: Connection, context: Context) -> None:
    message = owe(db, context.partners[0].sub)
    for _ in range(3):
        claim(db)
        lapse(db)
        wait_out(db)
    assert (state(db, message).attempts, state(db, message).repeats) == (3, 3)


def test_word_of_an_earlier_sending_of_a_repeated_message_is_no_harm(
    db: Connection, context: Context
) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    lapse(db)
    wait_out(db)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.2')", [message])
    db.execute("select app.message_status('wamid.1', 'failed', now(), %s, '131026')", [message])
    assert state(db, message).status == "SENT"


def test_a_message_that_kills_its_messengers_is_given_up_with_a_reason(
    db: Connection, context: Context
) -> None:
    db.execute("select app.set_config_value('outbox.max_attempts', '3')")
    message = owe(db, context.partners[0].sub)
    for _ in range(3):
        assert claim(db) == [message]
        lapse(db)
        wait_out(db)
    found = state(db, message)
    assert (found.status, found.error_code) == ("FAILED", "no report from the provider")
    assert value(db, "select count(*) from app.messages where channel = 'EMAIL'") == 1


def test_pauses_double_up_to_an_hour_and_differ_a_little(db: Connection, context: Context) -> None:
    db.execute("select app.set_config_value('outbox.max_attempts', '100')")
    message = owe(db, context.partners[0].sub)
    pauses = []
    for _ in range(14):
        assert claim(db) == [message]
        db.execute("select app.message_failed(%s, '131000', true)", [message])
        pause = value(
            db, "select extract(epoch from next_attempt_at - now()) from app.messages where id = %s", message
        )
        pauses.append(float(pause))
        assert claim(db) == []
        ready(db)
    for attempt, pause in enumerate(pauses, 1):
        whole = min(3600, 2**attempt)
        assert 0.75 * whole <= pause <= 1.25 * whole
    assert len({pause / min(3600, 2**n) for n, pause in enumerate(pauses, 1)}) > 10  # jitter


def test_given_up_after_so_many_attempts_it_is_a_dead_letter_with_its_reason_and_a_mail(
    db: Connection, context: Context
) -> None:
    message = owe(db, context.partners[0].sub)
    for attempt in range(8):
        assert state(db, message).status == "PENDING", attempt
        ready(db)
        claim(db)
        db.execute("select app.message_failed(%s, '131016', true)", [message])
    found = state(db, message)
    assert (found.status, found.attempts, found.error_code) == ("FAILED", 8, "131016")
    row = db.execute(
        "select channel, recipient from app.claim_messages(10, 60) where channel = 'EMAIL'"
    ).fetchall()
    assert row == [("EMAIL", "salon0@hub.test")]
    db.execute("select app.message_status('wamid.9', 'delivered', now(), %s)", [message])
    assert state(db, message).status == "FAILED"  # a late callback revives nothing


def test_a_mail_that_fails_begets_no_other(db: Connection, context: Context) -> None:
    owe(db, context.partners[0].sub)
    for _ in range(2):
        [message] = claim(db)
        db.execute("select app.message_failed(%s, 'x', false)", [message])
    assert claim(db) == []
    assert value(db, "select count(*) from app.messages") == 2


def test_nobody_without_an_address_gets_a_mail(db: Connection, context: Context) -> None:
    message = owe(db, context.subdists[0].sub, kind="SUBDIST")
    claim(db)
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    assert value(db, "select count(*) from app.messages where channel = 'EMAIL'") == 0


def test_messages_of_one_reader_keep_their_order(db: Connection, context: Context) -> None:
    one, two = (owe(db, context.partners[0].sub) for _ in range(2))
    other = owe(db, context.partners[1].sub)
    assert claim(db) == [one, other]
    assert claim(db) == []  # two waits while one is in flight
    db.execute("select app.message_failed(%s, '131000', true)", [one])
    assert claim(db) == []  # and while one waits for another try
    ready(db)
    assert claim(db) == [one]
    lapse(db)
    assert claim(db) == []  # and while it is unknown
    db.execute("select app.message_status('wamid.1', 'sent', now(), %s)", [one])
    assert claim(db) == [two]


def test_what_is_urgent_goes_first_and_is_not_held_back(db: Connection, context: Context) -> None:
    sub = context.subdists[0].sub
    status, reminder, link = (
        owe(db, sub, template, "SUBDIST") for template in ("order_status", "sla_reminder", "sign_in_link")
    )
    assert claim(db, 1) == [link]
    assert claim(db, 1) == [reminder]
    assert claim(db, 1) == [status]


def test_what_has_expired_is_withdrawn_and_its_secrets_forgotten(db: Connection, context: Context) -> None:
    message = owe(db, context.partners[0].sub)
    db.execute(
        'update app.messages set expires_at = now(), variables = \'{"token": "geheim"}\' where id = %s',
        [message],
    )
    assert claim(db) == []
    found = state(db, message)
    assert (found.status, found.error_code) == ("WITHDRAWN", "expired")
    assert value(db, "select variables::text from app.messages where id = %s", message) == "{}"


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read", "failed"])))
def test_statuses_in_any_order_and_twice_end_where_they_should(
    db: Connection, context: Context, order: tuple[str, ...]
) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    for status in order + order:
        db.execute("select app.message_status('wamid.1', %s, now())", [status])
    # `failed` is believed only where nothing spoke for its arrival before; then nothing revives it.
    first = next(status for status in order if status != "sent")
    assert state(db, message).status == ("FAILED" if first == "failed" else "READ")


def test_a_claim_has_bounds(db: Connection) -> None:
    for most, lease in ((0, 60), (1001, 60), (1, 0), (1, 3601), (None, 60)):
        with pytest.raises(psycopg.Error, match="INVALID_ARGUMENT"), db.transaction():
            db.execute("select app.claim_messages(%s, %s)", [most, lease])


def test_two_messengers_send_each_message_once_and_each_readers_in_order(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, partners=5)
        for _ in range(8):
            for partner in context.partners:
                owe(conn, partner.sub)

        def work(name: str) -> None:
            with psycopg.connect(url, autocommit=True) as own:
                idle = 0
                while idle < 20:
                    claimed = claim(own, 3)
                    idle = 0 if claimed else idle + 1
                    for number, message in enumerate(claimed):
                        own.execute(
                            "select app.message_sent(%s, %s)", [message, f"{name}-{message}-{number}"]
                        )

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, "ab"))
        assert conn.execute(
            "select status, attempts, count(*) from app.messages group by 1, 2"
        ).fetchall() == [("SENT", 1, 40)]
        disorder = value(
            conn,
            "select count(*) from (select sent_at, lag(sent_at) over (partition by recipient_id"
            " order by position) as before from app.messages) as m where before > sent_at",
        )
        assert disorder == 0


def test_listeners_are_woken_when_the_queue_was_idle(clone: Clone) -> None:
    url = clone()
    with (
        psycopg.connect(url, autocommit=True) as conn,
        psycopg.connect(url, autocommit=True) as listener,
    ):
        context = make_context(conn)
        listener.execute("listen hub_messages")
        with conn.transaction(force_rollback=True):
            owe(conn, context.partners[0].sub)
        assert list(listener.notifies(timeout=0.2)) == []  # nothing is owed that was not committed
        owe(conn, context.partners[0].sub)
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
        owe(conn, context.partners[1].sub)
        assert list(listener.notifies(timeout=0.2)) == []  # they are awake
        claim(conn)
        owe(conn, context.partners[2].sub)
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
