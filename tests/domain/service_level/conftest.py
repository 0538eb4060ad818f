"""A small context with orders whose clocks can be set."""

from typing import Any

import pytest

from tests.support.context import Caller, Connection, Context, items, make_context, submit, value

Order = dict[str, Any]


@pytest.fixture
def context(db: Connection) -> Context:
    """Region bandung below jabar; two agents of the country, two admins, two sub-distributors of jabar."""
    return make_context(db)


def order(conn: Connection, context: Context, hours: float = 0) -> Order:
    """An order that has waited so many hours for its sub-distributor."""
    made = submit(conn, context.partners[0], items(SKU_000=1))
    started(conn, made, hours)
    return made


def started(conn: Connection, made: Order, hours: float) -> None:
    """Let its clock have started so many hours ago."""
    conn.execute(
        "update app.orders set routed_at = now() - %s * interval '1 hour',"
        " last_response_at = null where id = %s",
        [hours, made["id"]],
    )


def sweep(conn: Connection) -> int:
    """What pg_cron runs."""
    swept: int = value(conn, "select jobs.sweep_service_level()")
    return swept


def logged(conn: Connection, made: Order) -> list[tuple[Any, ...]]:
    """(level, kind of recipient, hours from the clock's start to its due time), as they came due."""
    return conn.execute(
        "select escalation_level::text, notified_type::text,"
        " (extract(epoch from due_at - clock_started_at) / 3600)::float"
        " from app.sla_escalation_logs where order_id = %s order by triggered_at, due_at",
        [made["id"]],
    ).fetchall()


def levels(conn: Connection, made: Order) -> dict[str, int]:
    """How many log rows there are of each level."""
    found: dict[str, int] = {}
    for level, *_ in logged(conn, made):
        found[level] = found.get(level, 0) + 1
    return found


def messages(conn: Connection, made: Order, status: str = "PENDING") -> dict[str, int]:
    """How many messages of each template the service level owes."""
    rows = conn.execute(
        "select template, count(*) from app.messages where order_id = %s and status = %s"
        " and template like 'sla%%' group by 1",
        [made["id"], status],
    )
    return dict(rows.fetchall())


def flags(conn: Connection, made: Order) -> tuple[bool, bool, bool]:
    """Reminded, managers told, escalated."""
    row = conn.execute(
        "select sla_reminder_sent, sla_manager_notified, sla_escalated from app.orders where id = %s",
        [made["id"]],
    ).fetchone()
    assert row
    return row[0], row[1], row[2]


def configure(conn: Connection, admin: Caller, key: str, setting: Any) -> None:
    """As a superadmin would."""
    conn.execute("select app.set_config_value(%s, %s::jsonb)", [key, setting])
