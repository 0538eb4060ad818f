"""Orders that wait for their sub-distributor, and what the service level records of them."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.context import Connection, Context, items, submit, value

Order = dict[str, Any]

OFFICE_HOURS = {"days": [1, 2, 3, 4, 5], "from": "08:00", "until": "17:00", "holidays": ["2026-12-25"]}
"""The calendar: Monday to Friday from 8 to 17, Christmas is a holiday."""


def waiting_order(conn: Connection, context: Context, hours: float = 0) -> Order:
    """An order that has waited so many hours for its sub-distributor."""
    order = submit(conn, context.partners[0], items(SKU_000=1))
    start_clock(conn, order, hours)
    return order


def start_clock(conn: Connection, order: Order, hours_ago: float) -> None:
    """Set the start of an order's clock to so many hours ago."""
    conn.execute(
        "update app.orders set routed_at = now() - %s * interval '1 hour',"
        " last_response_at = null where id = %s",
        [hours_ago, order["id"]],
    )


def age_turn(conn: Connection, order: Order, hours: float) -> None:
    """Set the start of headquarters' turn to so many hours ago."""
    conn.execute(
        "update app.orders set awaiting_since = now() - %s * interval '1 hour' where id = %s",
        [hours, order["id"]],
    )


def sweep(conn: Connection) -> int:
    """Run the job that escalates; returns the number of orders that it escalated."""
    swept: int = value(conn, "select jobs.sweep_service_level()")
    return swept


def set_calendar(conn: Connection, calendar: Any) -> None:
    """Change the calendar of the service level."""
    conn.execute("select app.set_config_value('sla.calendar', %s::jsonb)", [json.dumps(calendar)])


def sla_due_at(
    conn: Connection, start: datetime, hours: float, calendar: Any = OFFICE_HOURS, zone: str = "Asia/Jakarta"
) -> datetime:
    """When so many hours of a calendar have passed since `start`, in the zone."""
    found = value(
        conn,
        "select app.sla_due_at(%s, %s::numeric, %s::jsonb, %s) at time zone %s",
        start,
        hours,
        json.dumps(calendar),
        zone,
        zone,
    )
    assert isinstance(found, datetime)
    return found.replace(tzinfo=ZoneInfo(zone))


def escalation_log(conn: Connection, order: Order) -> list[tuple[Any, ...]]:
    """(level, kind of recipient, hours from the clock's start to the due time), by due time."""
    return conn.execute(
        "select escalation_level::text, notified_type::text,"
        " (extract(epoch from due_at - clock_started_at) / 3600)::float"
        " from app.sla_escalation_logs where order_id = %s order by triggered_at, due_at",
        [order["id"]],
    ).fetchall()


def escalations(conn: Connection, order: Order) -> dict[str, int]:
    """The number of log rows of each level."""
    counts: dict[str, int] = {}
    for level, *_ in escalation_log(conn, order):
        counts[level] = counts.get(level, 0) + 1
    return counts


def sla_messages(conn: Connection, order: Order, status: str = "PENDING") -> dict[str, int]:
    """The number of messages of each template of the service level with this status."""
    rows = conn.execute(
        "select template, count(*) from app.messages where order_id = %s and status = %s"
        " and template like 'sla%%' group by 1",
        [order["id"], status],
    )
    return dict(rows.fetchall())


def sla_flags(conn: Connection, order: Order) -> tuple[bool, bool, bool]:
    """Whether the reminder, the notice to managers and the escalation of the running clock were sent."""
    row = conn.execute(
        "select sla_reminder_sent, sla_manager_notified, sla_escalated from app.orders where id = %s",
        [order["id"]],
    ).fetchone()
    assert row
    return row[0], row[1], row[2]
