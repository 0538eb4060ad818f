"""Totals by month, and how late orders were: what the charts of a console show."""

from typing import Any

import pytest

from tests.support.client import caller
from tests.support.context import Caller, Connection, Context, RefusedError, call, items, submit, value
from tests.support.factories import make_agent
from tests.support.service_level import sweep, waiting_order


def rows(conn: Connection, who: Caller, function: str, months: int = 12) -> list[dict[str, Any]]:
    """The rows of a call of `api`, as this caller."""
    with caller(conn, who.role, who.sub):
        found = conn.execute(f"select to_jsonb(r) from api.{function}(%s) as r".encode(), [months]).fetchall()
    return [row for (row,) in found]


def totals(conn: Connection, who: Caller, months: int = 12) -> list[tuple[Any, ...]]:
    """Orders, spend and partners of each month."""
    return [
        (r["order_count"], r["total_spend"], r["partner_count"])
        for r in rows(conn, who, "monthly_totals", months)
    ]


def submit_months_ago(conn: Connection, who: Caller, months: int, units: int) -> None:
    """Submit an order, and set its time to the second day of a month in Jakarta."""
    order = submit(conn, who, items(SKU_000=units))
    conn.execute("set local session_replication_role = replica")
    conn.execute(
        "update app.orders set submitted_at ="
        " (app.month_of(now()) - %s::int * interval '1 month' + interval '1 day') at time zone 'Asia/Jakarta'"
        " where id = %s",
        [months, order["id"]],
    )
    conn.execute("set local session_replication_role = origin")


def test_totals_add_up_what_the_caller_sees(db: Connection, context: Context) -> None:
    first, second = context.partners[:2]
    for who, units in ((first, 1), (first, 2), (second, 4)):
        submit(db, who, items(SKU_000=units))
    submit_months_ago(db, second, 2, 8)
    submit_months_ago(db, first, 3, 16)
    db.execute("select jobs.refresh_statistics()")
    everything = [(3, 700_000, 2), (0, 0, 0), (1, 800_000, 1)]
    for who in (context.admin, context.agents[0]):
        assert totals(db, who, 3) == everything
    assert totals(db, first, 4) == [(2, 300_000, 1), (0, 0, 0), (0, 0, 0), (1, 1_600_000, 1)]
    assert totals(db, make_agent(db, context.regions["papua"])) == [(0, 0, 0)] * 12


def test_totals_are_as_of_the_last_refresh(db: Connection, context: Context) -> None:
    db.execute("select jobs.refresh_statistics()")
    submit(db, context.partners[0], items(SKU_000=1))
    [row] = rows(db, context.admin, "monthly_totals", 1)
    refreshed_at = value(db, "select to_jsonb(refreshed_at) from app.statistics_period")
    assert (row["order_count"], row["refreshed_at"]) == (0, refreshed_at)


@pytest.mark.parametrize("function", ["monthly_totals", "sla_lateness"])
@pytest.mark.parametrize("months", [0, -1, 37, 2147483647, -2147483648, None])
def test_months_are_limited(db: Connection, context: Context, function: str, months: int | None) -> None:
    with pytest.raises(RefusedError) as error:
        call(db, context.admin, function, months=months)
    assert (error.value.code, error.value.status) == ("INVALID_ARGUMENT", 400)


def lateness(conn: Connection, who: Caller) -> list[tuple[Any, ...]]:
    return [
        (r["region_name"], r["reminders"], r["manager_notices"], r["escalations"])
        for r in rows(conn, who, "sla_lateness")
    ]


def test_lateness_counts_each_clock_once_per_level(db: Connection, context: Context) -> None:
    region = value(
        db,
        "select r.name from app.partners p join app.regions r on r.id = p.region_id where p.id = %s",
        context.partners[0].sub,
    )
    for hours in (19, 22, 25):
        waiting_order(db, context, hours)
    sweep(db)
    wanted = [(region, 3, 2, 1)]
    recipients = value(db, "select count(*) from app.sla_escalation_logs")
    assert recipients >= 6
    for later in ("interval '0'", "interval '59 minutes'", "interval '2 hours'", "interval '3 hours'"):
        assert lateness(db, context.admin) == wanted
        assert lateness(db, context.agents[0]) == wanted
        db.execute(f"select app.refresh_statistics(now() + {later})".encode())
    assert value(db, "select count(*) from app.region_late_months") == 1
    assert lateness(db, make_agent(db, context.regions["papua"])) == []


def test_lateness_of_partners_without_a_region_is_shown_to_headquarters(
    db: Connection, context: Context
) -> None:
    waiting_order(db, context, 19)
    sweep(db)
    db.execute("update app.partners set region_id = null where id = %s", [context.partners[0].sub])
    for later in ("interval '2 hours'", "interval '3 hours'"):
        db.execute(f"select app.refresh_statistics(now() + {later})".encode())
        assert lateness(db, context.admin) == [(None, 1, 0, 0)]
        assert lateness(db, context.agents[0]) == []


def test_charts_read_no_order_and_no_escalation_of_the_past(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=1))
    db.execute("set local session_replication_role = replica")
    db.execute(
        "insert into app.orders (partner_id, status, submitted_at, order_number, awaiting)"
        " select partner_id, 'COMPLETED', now() - n * interval '1 hour', 'H-' || n, 'NONE'"
        " from app.orders, generate_series(1, 5000) as n"
    )
    db.execute(
        "insert into app.sla_escalation_logs (order_id, escalation_level, notified_to, notified_type,"
        " triggered_at, clock_started_at, due_at)"
        " select id, 'REMINDER', id, 'ADMIN', submitted_at, submitted_at, submitted_at from app.orders"
    )
    db.execute("set local session_replication_role = origin")
    db.execute("analyze app.orders, app.sla_escalation_logs")
    db.execute("select app.recount_statistics()")
    read = (
        "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int from pg_stat_xact_user_tables"
        " where relname in ('orders', 'sla_escalation_logs')"
    )
    before = value(db, read)
    for who in (context.admin, context.agents[0]):
        for function in ("monthly_totals", "sla_lateness"):
            rows(db, who, function)
    assert value(db, read) - before <= 10, "the escalations of the last hour"
