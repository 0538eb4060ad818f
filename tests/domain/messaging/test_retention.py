"""Messages and webhooks are purged when they have been kept long enough; what makes them unique stays."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    set_config,
    shadow,
    submit,
    value,
)
from tests.support.messaging import claim, enqueue, inbox_outcomes, receive, status_update, webhook
from tests.support.queries import run_job

SETTLED = ("SENT", "DELIVERED", "READ", "FAILED", "WITHDRAWN")
UNSETTLED = ("PENDING", "CLAIMED", "UNKNOWN")


def age_messages(conn: Connection, days: int) -> None:
    """Let every message be this old."""
    conn.execute("update app.messages set created_at = now() - make_interval(days => %s)", [days])


def message(conn: Connection, context: Context, status: str, provider_id: str | None = None) -> str:
    """A message of its own recipient, without an order."""
    who = value(
        conn,
        "insert into app.agents (email, password_hash, full_name) values"
        " (gen_random_uuid() || '@hub.test', 'x', 'Agen') returning id",
    )
    made = enqueue(conn, str(who), "inbound_text", "AGENT")
    conn.execute(
        "update app.messages set status = %s, provider_id = %s where id = %s", [status, provider_id, made]
    )
    return made


def remaining(conn: Connection) -> set[str]:
    return {str(row[0]) for row in conn.execute("select id from app.messages")}


@pytest.mark.parametrize(("days", "purged"), [(399, 0), (402, 5)])
def test_settled_messages_are_purged_and_unsettled_ones_never(
    db: Connection, context: Context, days: int, purged: int
) -> None:
    settled = {message(db, context, status) for status in SETTLED}
    unsettled = {message(db, context, status) for status in UNSETTLED}
    age_messages(db, days)
    assert value(db, "select app.purge_messages(100)") == purged
    assert remaining(db) == (unsettled if purged else settled | unsettled)


def test_messages_of_an_open_order_are_kept(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=1))
    db.execute("update app.messages set status = 'READ'")
    age_messages(db, 500)
    assert value(db, "select app.purge_messages(100)") == 0
    order = value(db, "select id from app.orders")
    call(db, context.partners[0], "cancel_order", order_id=str(order))
    db.execute("update app.messages set status = 'READ'")
    age_messages(db, 500)
    assert value(db, "select app.purge_messages(100)") > 0


def test_notice_of_a_shadow_order_stays_without_its_purged_message(db: Connection, context: Context) -> None:
    order = submit(db, shadow(db, context.agents[0], context.partners[0]), items(SKU_000=1))
    approve(db, context, order)
    call(db, context.admin, "ship_order", order_id=order["id"])
    db.execute("update app.messages set status = 'READ'")
    db.execute("update app.impersonation_notifications set created_at = now() - interval '500 days'")
    age_messages(db, 500)
    assert value(db, "select app.purge_messages(100)") > 0
    assert remaining(db) == set()
    assert db.execute(
        "select order_id::text, message_id from app.impersonation_notifications"
    ).fetchall() == [(order["id"], None)]
    assert value(db, "select count(*) from app.agent_sessions") == 1
    assert broken_invariants(db) == {}


def test_escalations_without_their_purged_messages_satisfy_the_consistency_check(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    db.execute("update app.orders set routed_at = now() - interval '30 hours'")
    db.execute("select jobs.sweep_service_level()")
    call(db, context.admin, "reject_order", order_id=order["id"], reason="x")
    db.execute("update app.messages set status = 'READ'")
    db.execute(
        "update app.sla_escalation_logs set triggered_at = triggered_at - interval '500 days',"
        " due_at = due_at - interval '500 days', clock_started_at = clock_started_at - interval '500 days'"
    )
    age_messages(db, 500)
    assert value(db, "select app.purge_messages(100)") > 0
    assert broken_invariants(db) == {}


def test_provider_id_of_a_purged_message_stays_taken(db: Connection, context: Context) -> None:
    message(db, context, "READ", "wamid.old")
    age_messages(db, 500)
    assert value(db, "select app.purge_messages(100)") == 1
    fresh = message(db, context, "PENDING")
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        db.execute("select app.message_sent(%s, 'wamid.old')", [fresh])
    assert "wamid" not in value(db, "select string_agg(p::text, '') from app.purged_provider_ids p")
    db.execute("select app.message_sent(%s, 'wamid.new')", [fresh])


def inbound(text: str, key: str = "wamid.1") -> dict[str, Any]:
    """A webhook with one text."""
    return webhook({"id": key, "type": "text", "from": "628990001", "text": {"body": text}})


@pytest.mark.parametrize(("days", "purged"), [(89, 0), (91, 1)])
def test_webhook_loses_its_body_and_keeps_its_ids(
    db: Connection, context: Context, days: int, purged: int
) -> None:
    receive(db, inbound("Halo"))
    db.execute("update app.inbound_messages set received_at = now() - make_interval(days => %s)", [days])
    assert value(db, "select app.purge_webhooks(10)") == purged
    assert value(db, "select count(*) from app.inbound_messages where payload is null") == purged
    # the same webhook, and another one with the same message, are still recognised
    assert receive(db, inbound("Halo")) == 0
    assert receive(db, inbound("Halo lagi")) == 1
    assert inbox_outcomes(db) == ["forwarded"]


def test_webhook_that_is_not_processed_keeps_its_body(db: Connection, context: Context) -> None:
    receive(db, inbound("Halo"))
    db.execute("update app.inbound_messages set processed_at = null, received_at = now() - interval '1 year'")
    assert value(db, "select app.purge_webhooks(10)") == 0
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        db.execute("update app.inbound_messages set payload = null")


def test_failure_of_a_purged_webhook_quotes_nothing_of_its_body(db: Connection, context: Context) -> None:
    sent = message(db, context, "SENT", "wamid.9")
    bad = status_update("wamid.9", "failed", sent, errors=[{"code": "Sari Dewi" * 200}])
    receive(db, webhook(value_of={"statuses": [bad]}))
    assert inbox_outcomes(db)[0].startswith("failed: ")
    db.execute("update app.inbound_messages set received_at = now() - interval '91 days'")
    db.execute("select app.purge_webhooks(10)")
    assert inbox_outcomes(db) == ["failed"]


def test_ids_of_inbound_messages_are_stored_as_hashes(db: Connection, context: Context) -> None:
    """A wamid contains the sender's number."""
    receive(db, inbound("Halo", "wamid.HBgLNjI4OTkwMDAx"))
    assert "wamid" not in value(db, "select string_agg(e::text, '') from app.inbound_events e")


@pytest.mark.parametrize(
    ("key", "value_"),
    [
        ("retention.message_days", 29),
        ("retention.webhook_days", 6),
        ("retention.session_days", 0),
        ("retention.audit_years", 0),
    ],
)
def test_retention_has_a_least_value(db: Connection, context: Context, key: str, value_: int) -> None:
    with pytest.raises(Exception, match="INVALID_CONFIG_VALUE"), db.transaction():
        set_config(db, context, key, value_)


def test_purge_reads_old_messages_by_index(db: Connection, context: Context) -> None:
    """Its cost is that of a batch, not of the table."""
    db.execute(
        "insert into app.messages (template, recipient_type, recipient_id, priority, status, created_at)"
        " select 'inbound_text', 'AGENT', gen_random_uuid(), 2, 'READ', now() - g * interval '1 hour'"
        " from generate_series(1, 20000) g"
    )
    db.execute("analyze app.messages")
    plan = "\n".join(
        row[0]
        for row in db.execute(
            "explain select m.id from app.messages as m where m.created_at < now() - interval '400 days'"
            " and m.status in ('SENT', 'READ') order by m.created_at limit 100 for update skip locked"
        )
    )
    assert "messages_created_idx" in plan
    assert "Sort" not in plan


def prepared(conn: Connection) -> None:
    """2,500 messages, 40 webhooks and 40 sessions that have been kept long enough."""
    context = make_context(conn)
    conn.execute(
        "insert into app.messages (template, recipient_type, recipient_id, priority, status, created_at)"
        " select 'inbound_text', 'AGENT', %s, 2, 'READ', now() - interval '500 days'"
        " from generate_series(1, 2500)",
        [context.agents[0].sub],
    )
    conn.execute(
        "insert into app.inbound_messages (payload_hash, payload, received_at, processed_at)"
        " select sha256(g::text::bytea), '{}', now() - interval '100 days', now()"
        " from generate_series(1, 40) g"
    )
    conn.execute(
        "insert into auth.sessions (subject_id, role, expires_at) select %s, 'partner',"
        " now() - interval '100 days' from generate_series(1, 40)",
        [context.partners[0].sub],
    )


LEFT = """
select (select count(*) from app.messages),
  (select count(*) from app.inbound_messages where payload is not null),
  (select count(*) from auth.sessions)
"""


def test_job_purges_everything_in_batches_that_commit(clone: Clone) -> None:
    with psycopg.connect(clone(), autocommit=True) as conn:
        prepared(conn)
        conn.execute("call jobs.purge_expired(1000, 0)")
        assert conn.execute(LEFT).fetchone() == (1500, 0, 0), "each kind had one batch"
        run_job(conn, "retention")
        assert conn.execute(LEFT).fetchone() == (0, 0, 0)
        assert value(conn, "select last_rows from jobs.runs where job = 'retention'") == 1500


def test_two_jobs_at_once_share_the_work(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        prepared(conn)

        def run(_: int) -> None:
            with psycopg.connect(url, autocommit=True) as own:
                own.execute("call jobs.purge_expired(100)")

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, range(2)))
        run_job(conn, "retention")
        assert conn.execute(LEFT).fetchone() == (0, 0, 0)


def test_message_that_is_being_claimed_is_not_purged(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as other:
        context = make_context(conn)
        sent = message(conn, context, "PENDING")
        conn.execute(
            "update app.messages set created_at = now() - interval '500 days',"
            " expires_at = now() + interval '1 hour'"
        )
        assert claim(other) == [sent]
        run_job(conn, "retention")
        assert remaining(conn) == {sent}
