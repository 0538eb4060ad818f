"""Closed months of the statistics: kept in a table, corrected by late cancellations only."""

from typing import Any

import psycopg

from tests.conftest import Clone
from tests.support.context import (
    Caller,
    Connection,
    Context,
    broken_invariants,
    call,
    items,
    make_context,
    submit,
    value,
)

STATISTICS = (
    "select month::text, order_count, total_spend::int from app.partner_monthly_statistics"
    " where partner_id = %s order by month"
)
CLOSED = "select month::text, order_count from app.partner_closed_months order by month"


def submit_at(db: Connection, who: Caller, at: str, units: int = 1) -> dict[str, Any]:
    """An order of `units` times 100,000 that was submitted at a time in the past."""
    order = submit(db, who, items(SKU_000=units))
    db.execute("set session_replication_role = replica")
    db.execute("update app.orders set submitted_at = %s where id = %s", [at, order["id"]])
    db.execute("set session_replication_role = origin")
    return order


def refresh(db: Connection, at: str) -> None:
    db.execute("select app.refresh_statistics(%s)", [at])


def test_month_closes_when_the_month_after_the_next_begins_in_jakarta(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    for at in ("2026-01-31 23:59:59+07", "2026-02-01 00:00+07", "2026-03-01 00:00+07"):
        submit_at(db, who, at)
    wanted = [("2026-01-01", 1, 100_000), ("2026-02-01", 1, 100_000), ("2026-03-01", 1, 100_000)]
    for now, closed in (
        ("2026-03-01 00:00+07", ["2026-01-01"]),
        ("2026-03-31 23:59:59+07", ["2026-01-01"]),
        ("2026-04-01 00:00+07", ["2026-01-01", "2026-02-01"]),
    ):
        refresh(db, now)
        assert [month for month, _ in db.execute(CLOSED).fetchall()] == closed
        assert db.execute(STATISTICS, [who.sub]).fetchall() == wanted
        assert value(db, "select min(month)::text from app.partner_open_months") > max(closed)


def test_refresh_after_a_pause_of_months_closes_all_of_them(db: Connection, context: Context) -> None:
    who = context.partners[0]
    submit_at(db, who, "2026-01-10 12:00+07")
    refresh(db, "2026-02-15 12:00+07")
    for month in range(2, 8):
        submit_at(db, who, f"2026-{month:02}-10 12:00+07", month)
    refresh(db, "2026-08-02 12:00+07")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [
        (f"2026-{month:02}-01", 1, month * 100_000) for month in range(1, 8)
    ]
    assert [month[5:7] for month, _ in db.execute(CLOSED)] == ["01", "02", "03", "04", "05", "06"]
    refresh(db, "2026-08-02 12:00+07")
    assert value(db, "select sum(order_count) from app.partner_monthly_statistics") == 7, (
        "twice changes nothing"
    )


def test_late_cancellation_corrects_its_closed_month_only(db: Connection, context: Context) -> None:
    who, other = context.partners[:2]
    first, second = (submit_at(db, who, f"2025-0{month}-10 12:00+07", 3) for month in (3, 4))
    submit_at(db, who, "2025-03-11 12:00+07", 2)
    submit_at(db, other, "2025-03-12 12:00+07")
    db.execute("select jobs.refresh_statistics()")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [
        ("2025-03-01", 2, 500_000),
        ("2025-04-01", 1, 300_000),
    ]
    call(db, who, "cancel_order", order_id=first["id"])
    db.execute("select jobs.refresh_statistics()")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [
        ("2025-03-01", 1, 200_000),
        ("2025-04-01", 1, 300_000),
    ]
    call(db, context.admin, "reject_order", order_id=second["id"], reason="habis")
    db.execute("select jobs.refresh_statistics()")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [("2025-03-01", 1, 200_000)]
    assert db.execute(STATISTICS, [other.sub]).fetchall() == [("2025-03-01", 1, 100_000)]
    assert "statistics" not in broken_invariants(db)


def test_refresh_leaves_closed_months_alone_and_the_check_compares_them(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    order = submit_at(db, who, "2025-03-10 12:00+07")
    db.execute("select jobs.refresh_statistics()")
    db.execute("set session_replication_role = replica")
    db.execute("update app.orders set submitted_at = '2025-05-10 12:00+07' where id = %s", [order["id"]])
    db.execute("select jobs.refresh_statistics()")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [("2025-03-01", 1, 100_000)]
    assert [detail.split(":")[0] for detail in sorted(broken_invariants(db)["statistics"])] == [
        "2025-03",
        "2025-05",
    ]


def test_cancellation_since_the_last_refresh_violates_no_invariant(db: Connection, context: Context) -> None:
    order = submit_at(db, context.partners[0], "2025-03-10 12:00+07")
    db.execute("select jobs.refresh_statistics()")
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert "statistics" not in broken_invariants(db)


def test_refresh_reads_orders_by_index(clone: Clone) -> None:
    """The cost follows the orders of the open months and the late cancellations, not all orders.

    In a database of its own, whose statistics no other test has changed.
    """
    with psycopg.connect(clone()) as conn:
        submit_at(conn, make_context(conn).partners[0], "2025-03-10 12:00+07")
        conn.execute("select jobs.refresh_statistics()")
        conn.execute("set local enable_seqscan = off")
        definition = value(conn, "select pg_get_viewdef('app.partner_open_months'::regclass)")
        plan = "\n".join(line for (line,) in conn.execute(f"explain {definition}".encode()))
        assert "Index Cond: (submitted_at >= app.open_months_start())" in plan
        since = (
            "explain select from app.orders"
            " where closed_at >= now() - interval '1 day' and submitted_at < now()"
        )
        assert "orders_closed_idx" in "\n".join(line for (line,) in conn.execute(since))


def test_cancellation_that_commits_after_a_refresh_is_counted_by_the_next(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as slow:
        context = make_context(conn)
        who = context.partners[0]
        order = submit_at(conn, who, "2025-03-10 12:00+07")
        conn.execute("select jobs.refresh_statistics()")
        slow.execute("begin")
        call(slow, who, "cancel_order", order_id=order["id"])
        conn.execute("select jobs.refresh_statistics()")
        assert conn.execute(STATISTICS, [who.sub]).fetchall() == [("2025-03-01", 1, 100_000)]
        slow.commit()
        assert value(conn, "select p.refreshed_at > o.closed_at from app.statistics_period p, app.orders o")
        conn.execute("select jobs.refresh_statistics()")
        assert conn.execute(STATISTICS, [who.sub]).fetchall() == []
