"""Messages to owe and claim, by hand."""

from dataclasses import dataclass
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.context import Connection, Context, make_context, value

UNKNOWN_WAIT = 120


@pytest.fixture
def context(db: Connection) -> Context:
    """The small context; nobody is owed anything yet."""
    return make_context(db)


def owe(
    conn: Connection, recipient: str | None, template: str = "order_status", kind: str = "PARTNER"
) -> str:
    """Owe somebody a message; returns its id."""
    return str(value(conn, "select app.enqueue_message(%s, %s, %s)", template, kind, recipient))


def claim(conn: Connection, most: int = 100, lease: int = 60) -> list[str]:
    """The ids that are handed out, in their order."""
    rows = conn.execute("select id::text from app.claim_messages(%s, %s)", [most, lease]).fetchall()
    return [row[0] for row in rows]


def lapse(conn: Connection) -> None:
    """Let every lease lapse and be noticed."""
    conn.execute("update app.messages set lease_until = now() where status = 'CLAIMED'")
    conn.execute("select app.reap_messages()")


def wait_out(conn: Connection, seconds: float = UNKNOWN_WAIT) -> None:
    """Let so much time pass for what is unknown, and be noticed."""
    conn.execute(
        "update app.messages set unknown_since = unknown_since - %s * interval '1 second'"
        " where status = 'UNKNOWN'",
        [seconds],
    )
    conn.execute("select app.reap_messages()")


def ready(conn: Connection) -> None:
    """End every pause before another try."""
    conn.execute("update app.messages set next_attempt_at = now() where status = 'PENDING'")


@dataclass
class State:
    """Of one message."""

    status: str
    attempts: int
    repeats: int
    error_code: str | None


def state(conn: Connection, message: str) -> State:
    """As it stands now."""
    row = conn.execute(
        "select status, attempts, repeats, error_code from app.messages where id = %s", [message]
    ).fetchone()
    assert row
    return State(*row)


def webhook(
    *elements: dict[str, Any], kind: str = "messages", value_of: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A webhook's body with these messages (or statuses)."""
    change = {"field": "messages", "value": value_of or {kind: list(elements)}}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


def receive(conn: Connection, payload: Any) -> int:
    """Store a webhook and work on the inbox; returns how many webhooks were worked on."""
    conn.execute("select app.inbound_message(%s)", [Jsonb(payload)])
    return int(value(conn, "select app.process_inbox()"))


def outcomes(conn: Connection) -> list[str]:
    """What the messages that came in led to, by their ids."""
    rows = conn.execute("select outcome from app.inbound_events order by event_key").fetchall()
    return [row[0] for row in rows]
