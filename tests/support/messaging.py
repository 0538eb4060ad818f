"""Messages to enqueue and claim, and webhooks to receive."""

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from tests.support.context import Connection, value

UNKNOWN_WAIT_SECONDS = 120
"""The default of outbox.unknown_wait_seconds."""


def enqueue(
    conn: Connection, recipient: str | None, template: str = "order_status", kind: str = "PARTNER"
) -> str:
    """Enqueue a message; returns its id."""
    return str(value(conn, "select app.enqueue_message(%s, %s, %s)", template, kind, recipient))


def enqueue_mail(conn: Connection, recipient: str, template: str = "order_status") -> str:
    """Enqueue an e-mail to a partner; returns its id."""
    query = "select (app.enqueue_messages(%s, 'PARTNER', array[%s]::uuid[], null, '{}', 'EMAIL'))[1]"
    return str(value(conn, query, template, recipient))


def claim(
    conn: Connection, limit: int = 100, lease_seconds: int = 60, channel: str | None = None
) -> list[str]:
    """Claim messages of a channel, or of all; returns their ids in the order of sending."""
    query = "select id::text from app.claim_messages(%s, %s, %s)"
    rows = conn.execute(query, [limit, lease_seconds, channel]).fetchall()
    return [row[0] for row in rows]


def message_text(conn: Connection, template: str) -> str:
    """The text of the newest message of a template, as a messenger gets it; the others are sent."""
    newest = value(
        conn, "select id from app.messages where template = %s order by position desc limit 1", template
    )
    conn.execute(
        "update app.messages set status = 'SENT' where status in ('PENDING', 'CLAIMED') and id <> %s",
        [newest],
    )
    return str(value(conn, "select body from app.claim_messages(1, 60) where id = %s", newest))


def expire_leases(conn: Connection) -> None:
    """Let every lease expire, and run the reaper."""
    conn.execute("update app.messages set lease_until = now() where status = 'CLAIMED'")
    conn.execute("select app.reap_messages()")


def wait_for_report(conn: Connection, seconds: float = UNKNOWN_WAIT_SECONDS) -> None:
    """Let messages be UNKNOWN for some time without a report, and run the reaper."""
    conn.execute(
        "update app.messages set unknown_since = unknown_since - %s * interval '1 second'"
        " where status = 'UNKNOWN'",
        [seconds],
    )
    conn.execute("select app.reap_messages()")


def end_backoff(conn: Connection) -> None:
    """Make every pending message due for its next attempt."""
    conn.execute("update app.messages set next_attempt_at = now() where status = 'PENDING'")


@dataclass
class MessageState:
    """The status of a message and its attempts."""

    status: str
    attempts: int
    repeats: int
    error_code: str | None


def message_state(conn: Connection, message: str) -> MessageState:
    """The present state of a message."""
    row = conn.execute(
        "select status, attempts, repeats, error_code from app.messages where id = %s", [message]
    ).fetchone()
    assert row
    return MessageState(*row)


def mail_count(conn: Connection) -> int:
    """How many messages go by e-mail."""
    return int(value(conn, "select count(*) from app.messages where channel = 'EMAIL'"))


def webhook(
    *elements: dict[str, Any], kind: str = "messages", value_of: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of a webhook with these messages, or statuses."""
    change = {"field": "messages", "value": value_of or {kind: list(elements)}}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


def text_message(body: Any, sender: Any = "6281200000000", key: str = "wamid.x") -> dict[str, Any]:
    """A text that arrives, as an element of a webhook."""
    return {"id": key, "from": sender, "type": "text", "text": {"body": body}}


def status_update(key: str, status: str, message: str | None = None, **more: Any) -> dict[str, Any]:
    """The status of a message that was sent, as an element of a webhook; `message` is the hub's own id."""
    update = {"id": key, "status": status, "timestamp": "1763884800", "recipient_id": "62"}
    return update | ({"biz_opaque_callback_data": message} if message else {}) | more


def receive(conn: Connection, payload: Any) -> int:
    """Store a webhook and process the inbox; returns the number of webhooks processed."""
    conn.execute("select app.inbound_message(%s)", [Jsonb(payload)])
    return int(value(conn, "select api.process_inbox()"))


def inbox_outcomes(conn: Connection) -> list[str]:
    """The outcomes of the messages that arrived, in alphabetical order."""
    rows = conn.execute('select outcome from app.inbound_events order by outcome collate "C"').fetchall()
    return [row[0] for row in rows]
