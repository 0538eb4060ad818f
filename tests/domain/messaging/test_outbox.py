"""Each message is sent once, in order, whatever fails in between."""

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Clone
from tests.support.context import Caller, Connection, Context, call, make_context, value
from tests.support.messaging import (
    claim,
    end_backoff,
    enqueue,
    expire_leases,
    mail_count,
    message_state,
    receive,
    status_update,
    wait_for_report,
    webhook,
)

MESSENGER = Caller("messenger", str(uuid.uuid4()))


def test_claimed_message_is_not_claimed_again(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    assert claim(db) == [message]
    assert claim(db) == []
    assert message_state(db, message).status == "CLAIMED"


def test_message_with_an_expired_lease_is_unknown_until_the_wait_ends(
    db: Connection, context: Context
) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    expire_leases(db)
    assert message_state(db, message).status == "UNKNOWN"
    wait_for_report(db, 119)
    assert claim(db) == []
    wait_for_report(db, 1)
    assert (message_state(db, message).status, message_state(db, message).repeats) == ("PENDING", 1)
    assert claim(db) == [message]


def test_wait_for_a_report_is_configurable(db: Connection, context: Context) -> None:
    db.execute("select app.set_config_value('outbox.unknown_wait_seconds', '5')")
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    expire_leases(db)
    wait_for_report(db, 5)
    assert claim(db) == [message]


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_callback_with_the_message_id_settles_an_unknown_message(
    db: Connection, context: Context, status: str
) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    expire_leases(db)
    db.execute("select app.message_status('wamid.1', %s, now(), %s)", [status, message])
    assert message_state(db, message).status == status.upper()
    wait_for_report(db, 10_000)
    assert claim(db) == []
    assert message_state(db, message).repeats == 0
    # from now on the provider's own id is enough
    db.execute("select app.message_status('wamid.1', 'read', now())")
    assert message_state(db, message).status == "READ"


@pytest.mark.parametrize("reported", [True, False], ids=["after-the-report", "before-the-report"])
def test_free_form_message_outside_the_window_is_repeated_once_as_a_template(
    db: Connection, context: Context, reported: bool
) -> None:
    """The provider reports 131047 in a callback, repeats it, and sends `sent` after `failed`."""
    message = enqueue(db, context.partners[0].sub)
    db.execute("insert into app.conversations select phone, now() from app.partners")
    opened = "select window_open from app.claim_messages(10, 60)"
    assert value(db, opened) is True
    if reported:
        db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    for status in ("failed", "failed", "sent", "failed"):
        db.execute("select app.message_status('wamid.1', %s, now(), %s, '131047')", [status, message])
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    db.execute("select app.messages_sent(%s)", [Jsonb([{"message_id": message, "provider_id": "wamid.1"}])])
    assert message_state(db, message).status == "PENDING"
    assert value(db, opened) is False
    db.execute("select app.message_status('wamid.1', 'sent', now(), %s)", [message])
    assert message_state(db, message).status == "CLAIMED"
    db.execute("select app.message_sent(%s, 'wamid.2')", [message])
    assert message_state(db, message).status == "SENT"
    assert value(db, "select count(*) from app.messages") == 1
    db.execute("select app.message_status('wamid.2', 'failed', now(), %s, '131047')", [message])
    assert message_state(db, message).status == "FAILED"  # not repeated twice


def test_batch_of_sent_messages_is_settled_in_one_call(db: Connection, context: Context) -> None:
    messages = [
        enqueue(db, context.partners[n].sub, template) for n, template in enumerate(["order_status"] * 2)
    ]
    link = enqueue(db, context.subdists[0].sub, "sign_in_link", "SUBDIST")
    db.execute('update app.messages set variables = \'{"token": "geheim"}\' where id = %s', [link])
    assert set(claim(db)) == {*messages, link}
    unknown = "00000000-0000-7000-8000-000000000000"
    sent = [{"message_id": m, "provider_id": f"wamid.{m}"} for m in [*messages, link, unknown]]
    for _ in range(2):
        result = value(db, "select app.messages_sent(%s)", Jsonb(sent))
        assert result == {"unknown_ids": [unknown]}
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
def test_malformed_batch_of_sent_messages_is_refused(db: Connection, sent: Any) -> None:
    with pytest.raises(psycopg.Error, match="INVALID_ARGUMENT"), db.transaction():
        db.execute("select app.messages_sent(%s)", [Jsonb(sent)])


def test_callback_before_the_report_keeps_its_status(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    db.execute("select app.message_status('wamid.1', 'delivered', now(), %s)", [message])
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    assert message_state(db, message).status == "DELIVERED"


def test_callback_settles_a_message_that_is_due_for_repetition(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    expire_leases(db)
    wait_for_report(db)
    db.execute("select app.message_status('wamid.1', 'sent', now(), %s)", [message])
    assert claim(db) == []
    assert message_state(db, message).status == "SENT"


def test_repetitions_are_counted(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    for _ in range(3):
        claim(db)
        expire_leases(db)
        wait_for_report(db)
    assert (message_state(db, message).attempts, message_state(db, message).repeats) == (3, 3)


def test_failed_status_of_an_earlier_sending_is_ignored(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    expire_leases(db)
    wait_for_report(db)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.2')", [message])
    db.execute("select app.message_status('wamid.1', 'failed', now(), %s, '131026')", [message])
    assert message_state(db, message).status == "SENT"


def test_message_without_any_report_fails_after_max_attempts(db: Connection, context: Context) -> None:
    db.execute("select app.set_config_value('outbox.max_attempts', '3')")
    message = enqueue(db, context.partners[0].sub)
    for _ in range(3):
        assert claim(db) == [message]
        expire_leases(db)
        wait_for_report(db)
    found = message_state(db, message)
    assert (found.status, found.error_code) == ("FAILED", "no report from the provider")
    assert mail_count(db) == 1


def test_retry_delays_double_up_to_an_hour_with_jitter(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    pauses = []
    for _ in range(14):
        assert claim(db) == [message]
        db.execute("select app.message_failed(%s, '131000', true)", [message])
        pause = value(
            db, "select extract(epoch from next_attempt_at - now()) from app.messages where id = %s", message
        )
        pauses.append(float(pause))
        assert claim(db) == []
        end_backoff(db)
    for attempt, pause in enumerate(pauses, 1):
        whole = min(3600, 2**attempt)
        assert 0.75 * whole <= pause <= 1.25 * whole
    assert len({pause / min(3600, 2**n) for n, pause in enumerate(pauses, 1)}) > 10  # jitter


def grow_older(conn: Connection, hours: float) -> None:
    """Let messages have waited for so long."""
    conn.execute("update app.messages set created_at = created_at - %s * interval '1 hour'", [hours])


def test_message_is_retried_until_it_expires_and_then_mailed(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    for attempt in range(20):
        end_backoff(db)
        assert claim(db) == [message], attempt
        db.execute("select app.message_failed(%s, '131016', true)", [message])
    grow_older(db, 71.9)
    end_backoff(db)
    assert claim(db) == [message]
    grow_older(db, 0.2)
    db.execute("select app.message_failed(%s, '131016', true)", [message])
    found = message_state(db, message)
    assert (found.status, found.attempts, found.error_code) == ("FAILED", 21, "131016")
    row = db.execute(
        "select channel, recipient from app.claim_messages(10, 60) where channel = 'EMAIL'"
    ).fetchall()
    assert row == [("EMAIL", "salon0@hub.test")]
    db.execute("select app.message_status('wamid.9', 'delivered', now(), %s)", [message])
    assert message_state(db, message).status == "FAILED"  # a late callback does not revive it


def test_messages_that_no_one_claimed_are_mailed_after_they_expire(db: Connection, context: Context) -> None:
    old = [enqueue(db, context.partners[0].sub) for _ in range(30)]
    grow_older(db, 72)
    new = enqueue(db, context.partners[1].sub)
    for _ in range(2):
        db.execute("select app.reap_messages()")
    assert {message_state(db, message).status for message in old} == {"FAILED"}
    assert (message_state(db, new).status, mail_count(db)) == ("PENDING", 30)


def test_message_that_was_claimed_meanwhile_is_not_given_up(db: Connection, context: Context) -> None:
    """The reaper has chosen it before, and gets its lock afterwards."""
    message = enqueue(db, context.partners[0].sub)
    assert claim(db) == [message]
    assert value(db, "select app.give_up_message(%s, null, 'PENDING', 'not sent in time')", message) == 0
    assert (message_state(db, message).status, mail_count(db)) == ("CLAIMED", 0)


def test_expiry_is_configurable(db: Connection, context: Context) -> None:
    db.execute("select app.set_config_value('outbox.expiry_hours', '1')")
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    grow_older(db, 1)
    db.execute("select app.message_failed(%s, '131016', true)", [message])
    assert message_state(db, message).status == "FAILED"


def test_mail_is_retried_until_it_expires(db: Connection, context: Context) -> None:
    enqueue(db, context.partners[0].sub)
    [message] = claim(db)
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    for _ in range(20):
        end_backoff(db)
        [mail] = claim(db)
        db.execute("select app.message_failed(%s, 'SMTP 421', true)", [mail])
    assert message_state(db, mail).status == "PENDING"


def test_token_that_someone_waits_for_is_mailed_after_max_attempts(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub, "password_reset")
    db.execute("update app.messages set expires_at = now() + interval '15 minutes'")
    for attempt in range(8):
        assert message_state(db, message).status == "PENDING", attempt
        end_backoff(db)
        assert claim(db) == [message]
        db.execute("select app.message_failed(%s, '131016', true)", [message])
    assert (message_state(db, message).status, mail_count(db)) == ("FAILED", 1)


def test_token_that_no_one_claims_is_mailed_after_five_minutes(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub, "invitation")
    db.execute("update app.messages set expires_at = now() + interval '1 day'")
    grow_older(db, 4.9 / 60)
    db.execute("select app.reap_messages()")
    assert message_state(db, message).status == "PENDING"
    grow_older(db, 0.2 / 60)
    db.execute("select app.reap_messages()")
    assert (message_state(db, message).status, mail_count(db)) == ("FAILED", 1)
    db.execute("select app.reap_messages()")
    assert mail_count(db) == 1


def test_released_message_is_due_at_once_and_the_claim_does_not_count(
    db: Connection, context: Context
) -> None:
    messages = [enqueue(db, partner.sub) for partner in context.partners[:2]]
    sent = enqueue(db, context.partners[2].sub)
    assert claim(db) == [*messages, sent]
    db.execute("select app.message_sent(%s, 'wamid.1')", [sent])
    released = call(db, MESSENGER, "release_messages", message_ids=[*messages, sent])
    assert released == {"released": 2}
    assert [message_state(db, message).attempts for message in messages] == [0, 0]
    assert message_state(db, sent).status == "SENT"
    assert claim(db) == messages
    expire_leases(db)
    assert call(db, MESSENGER, "release_messages", message_ids=messages) == {"released": 0}
    assert message_state(db, messages[0]).status == "UNKNOWN"


def test_failed_mail_is_not_mailed_again(db: Connection, context: Context) -> None:
    enqueue(db, context.partners[0].sub)
    for _ in range(2):
        [message] = claim(db)
        db.execute("select app.message_failed(%s, 'x', false)", [message])
    assert claim(db) == []
    assert value(db, "select count(*) from app.messages") == 2


def test_failed_message_without_an_email_address_is_not_mailed(db: Connection, context: Context) -> None:
    message = enqueue(db, context.subdists[0].sub, kind="SUBDIST")
    claim(db)
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    assert mail_count(db) == 0


def test_messages_to_one_recipient_keep_their_order(db: Connection, context: Context) -> None:
    one, two = (enqueue(db, context.partners[0].sub) for _ in range(2))
    other = enqueue(db, context.partners[1].sub)
    assert claim(db) == [one, other]
    assert claim(db) == []  # the second waits while the first is claimed
    db.execute("select app.message_failed(%s, '131000', true)", [one])
    assert claim(db) == []  # and while the first waits for its next attempt
    end_backoff(db)
    assert claim(db) == [one]
    expire_leases(db)
    assert claim(db) == []  # and while the first is UNKNOWN
    db.execute("select app.message_status('wamid.1', 'sent', now(), %s)", [one])
    assert claim(db) == [two]


def test_urgent_messages_are_claimed_first(db: Connection, context: Context) -> None:
    sub = context.subdists[0].sub
    status, reminder, link = (
        enqueue(db, sub, template, "SUBDIST") for template in ("order_status", "sla_reminder", "sign_in_link")
    )
    assert claim(db, 1) == [link]
    assert claim(db, 1) == [reminder]
    assert claim(db, 1) == [status]


def test_expired_message_is_withdrawn_and_its_variables_erased(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    db.execute(
        'update app.messages set expires_at = now(), variables = \'{"token": "geheim"}\' where id = %s',
        [message],
    )
    assert claim(db) == []
    found = message_state(db, message)
    assert (found.status, found.error_code) == ("WITHDRAWN", "expired")
    assert value(db, "select variables::text from app.messages where id = %s", message) == "{}"


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read", "failed"])))
def test_statuses_in_any_order_lead_to_the_same_final_status(
    db: Connection, context: Context, order: tuple[str, ...]
) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    for status in order + order:
        db.execute("select app.message_status('wamid.1', %s, now())", [status])
    # `failed` counts only before a status that proves arrival; afterwards no status revives the message.
    first = next(status for status in order if status != "sent")
    assert message_state(db, message).status == ("FAILED" if first == "failed" else "READ")


@pytest.mark.parametrize(("limit", "lease_seconds"), [(0, 60), (1001, 60), (1, 0), (1, 3601), (None, 60)])
def test_claim_out_of_bounds_is_refused(db: Connection, limit: int | None, lease_seconds: int) -> None:
    with pytest.raises(psycopg.Error, match="INVALID_ARGUMENT"), db.transaction():
        db.execute("select app.claim_messages(%s, %s)", [limit, lease_seconds])


def test_concurrent_messengers_send_each_message_once_and_in_order(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, partners=5)
        for _ in range(8):
            for partner in context.partners:
                enqueue(conn, partner.sub)

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


def test_listeners_are_notified_when_the_queue_was_idle(clone: Clone) -> None:
    url = clone()
    with (
        psycopg.connect(url, autocommit=True) as conn,
        psycopg.connect(url, autocommit=True) as listener,
    ):
        context = make_context(conn)
        listener.execute("listen hub_messages")
        with conn.transaction(force_rollback=True):
            enqueue(conn, context.partners[0].sub)
        assert list(listener.notifies(timeout=0.2)) == []  # a rollback notifies no listener
        enqueue(conn, context.partners[0].sub)
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
        enqueue(conn, context.partners[1].sub)
        assert list(listener.notifies(timeout=0.2)) == []  # the queue was not idle
        claim(conn)
        enqueue(conn, context.partners[2].sub)
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1


@pytest.mark.regression("apache/camel#4280")
def test_lost_provider_answer_does_not_repeat_the_message(db: Connection, context: Context) -> None:
    """A retry after a lost answer sent the message again; here it waits for a report."""
    message = enqueue(db, context.partners[0].sub)
    assert claim(db) == [message]
    expire_leases(db)
    assert claim(db) == []
    assert message_state(db, message).status == "UNKNOWN"
    receive(db, webhook(status_update("wamid.1", "sent", message), kind="statuses"))
    wait_for_report(db, 10_000)
    assert claim(db) == []
    assert (message_state(db, message).status, message_state(db, message).repeats) == ("SENT", 0)


@pytest.mark.parametrize("name", ["{{total}}", "{{name}}", "}}{{total}}{{", "{{{total}}}", "\\1 & {{x}}"])
def test_value_that_looks_like_a_variable_is_not_expanded(db: Connection, name: str) -> None:
    variables = Jsonb({"name": name, "total": "Rp1", "empty": None})
    text = "Halo {{name}}: {{total}}, {{empty}}, {{unknown}}."
    rendered = value(db, "select app.render_message(%s, %s)", text, variables)
    assert rendered == f"Halo {name}: Rp1, -, {{{{unknown}}}}."
