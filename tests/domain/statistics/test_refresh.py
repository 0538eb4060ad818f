"""A refresh counts each change of the statistics once, and reads nothing else."""

from typing import Any

import psycopg
import pytest

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
COUNTED = (
    "select month::text, order_count from app.partner_counted_months where partner_id = %s order by month"
)


def submit_at(db: Connection, who: Caller, at: str, units: int = 1) -> dict[str, Any]:
    """An order of `units` times 100,000 that was submitted at a time in the past."""
    order = submit(db, who, items(SKU_000=units))
    set_times(db, order["id"], submitted_at=at)
    return order


def set_times(db: Connection, order_id: str, **times: str) -> None:
    """Overwrite times of an order, past its guard."""
    db.execute("set session_replication_role = replica")
    for column, at in times.items():
        db.execute(f"update app.orders set {column} = %s where id = %s".encode(), [at, order_id])
    db.execute("set session_replication_role = origin")


def refresh(db: Connection, at: str) -> None:
    db.execute("select app.refresh_statistics(%s)", [at])


def test_month_starts_and_ends_by_jakarta_time(db: Connection, context: Context) -> None:
    who = context.partners[0]
    for at in ("2026-01-31 23:59:59+07", "2026-02-01 00:00+07", "2026-03-01 00:00+07"):
        submit_at(db, who, at)
    refresh(db, "2026-03-01 12:00+07")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [
        (f"2026-0{month}-01", 1, 100_000) for month in (1, 2, 3)
    ]


def test_order_is_counted_once_on_either_side_of_the_last_hour(db: Connection, context: Context) -> None:
    who = context.partners[0]
    submit_at(db, who, "2026-03-10 12:00+07")
    for at, counted in (("12:30", 0), ("13:00", 0), ("13:01", 1), ("13:01", 1), ("14:30", 1)):
        refresh(db, f"2026-03-10 {at}+07")
        assert db.execute(STATISTICS, [who.sub]).fetchall() == [("2026-03-01", 1, 100_000)]
        assert db.execute(COUNTED, [who.sub]).fetchall() == [("2026-03-01", counted)]
        assert "statistics" not in broken_invariants(db)


def test_refresh_after_a_pause_of_months_counts_all_of_them(db: Connection, context: Context) -> None:
    who = context.partners[0]
    submit_at(db, who, "2026-01-10 12:00+07")
    refresh(db, "2026-02-15 12:00+07")
    for month in range(3, 8):
        submit_at(db, who, f"2026-{month:02}-10 12:00+07", month)
    refresh(db, "2026-08-02 12:00+07")
    wanted = [("2026-01-01", 1, 100_000)] + [
        (f"2026-{month:02}-01", 1, month * 100_000) for month in range(3, 8)
    ]
    assert db.execute(STATISTICS, [who.sub]).fetchall() == wanted
    refresh(db, "2026-08-02 12:00+07")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == wanted, "twice changes nothing"


def test_earlier_clock_counts_nothing_twice(db: Connection, context: Context) -> None:
    who = context.partners[0]
    submit_at(db, who, "2026-03-10 12:00+07")
    for at in ("2026-03-11 12:00+07", "2026-03-10 11:00+07", "2026-03-12 12:00+07"):
        refresh(db, at)
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [("2026-03-01", 1, 100_000)]


def test_late_cancellation_is_taken_out_of_the_month_of_its_submission(
    db: Connection, context: Context
) -> None:
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
    for later in ("interval '0'", "interval '30 minutes'", "interval '2 hours'"):
        db.execute(f"select app.refresh_statistics(now() + {later})".encode())
        assert db.execute(STATISTICS, [who.sub]).fetchall() == [("2025-03-01", 1, 200_000)]
        assert db.execute(STATISTICS, [other.sub]).fetchall() == [("2025-03-01", 1, 100_000)]
        assert "statistics" not in broken_invariants(db)


def test_cancelled_draft_was_never_counted(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    call(db, who, "cancel_order", order_id=draft["id"])
    db.execute("select jobs.refresh_statistics()")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == []


def test_check_reports_what_was_missed_and_a_recount_counts_it(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = submit_at(db, who, "2025-03-10 12:00+07")
    db.execute("select jobs.refresh_statistics()")
    set_times(db, order["id"], submitted_at="2025-05-10 12:00+07")
    db.execute("select jobs.refresh_statistics()")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [("2025-03-01", 1, 100_000)]
    assert [detail.split(":")[0] for detail in sorted(broken_invariants(db)["statistics"])] == [
        "2025-03",
        "2025-05",
    ]
    db.execute("select app.recount_statistics()")
    assert db.execute(STATISTICS, [who.sub]).fetchall() == [("2025-05-01", 1, 100_000)]
    assert "statistics" not in broken_invariants(db)


@pytest.mark.parametrize(
    ("changes", "index"),
    [
        ("orders as o where o.submitted_at", "idx_orders_submitted"),
        ("orders as o where o.closed_at", "orders_closed_idx"),
        ("credit_notes as c where c.created_at", "credit_notes_created_idx"),
        ("sla_escalation_logs as l where l.triggered_at", "sla_escalation_logs_triggered_idx"),
    ],
)
def test_each_change_since_the_last_refresh_has_an_index(db: Connection, changes: str, index: str) -> None:
    db.execute("set local enable_seqscan = off")
    # On an empty table, any index that contains the column costs as little.
    db.execute("drop index app.credit_notes_partner_idx, app.sla_escalation_logs_region_idx")
    plan = "\n".join(
        line
        for (line,) in db.execute(f"explain select from app.{changes} >= now() - interval '1 hour'".encode())
    )
    assert index in plan


def test_refresh_reads_what_changed_and_not_all_orders(clone: Clone) -> None:
    """In a database of its own, whose planner statistics no other test has changed."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_context(conn)
        submit(conn, context.partners[0], items(SKU_000=1))
        conn.execute("set session_replication_role = replica")
        conn.execute(
            "insert into app.orders (partner_id, status, submitted_at, order_number, awaiting)"
            " select partner_id, 'COMPLETED', now() - n * interval '20 minutes', 'H-' || n, 'NONE'"
            " from app.orders, generate_series(1, 20000) as n"
        )
        conn.execute("set session_replication_role = origin")
        conn.execute("vacuum analyze app.orders")
        conn.execute("select app.recount_statistics()")
        with conn.transaction():
            before = conn.execute(READS).fetchall()[0]
            conn.execute("select jobs.refresh_statistics()")
            scans, rows = (
                after - start for after, start in zip(conn.execute(READS).fetchall()[0], before, strict=True)
            )
        assert scans == 0
        assert rows <= 20, "the order, and those of the last hour, counted and materialized"


READS = (
    "select seq_scan, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
    " from pg_catalog.pg_stat_xact_user_tables where relid = 'app.orders'::regclass"
)


def test_cancellation_that_commits_after_a_refresh_is_counted_by_the_next(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as slow:
        context = make_context(conn)
        who = context.partners[0]
        order = submit_at(conn, who, "2025-03-10 12:00+07")
        conn.execute("select jobs.refresh_statistics()")
        slow.execute("begin")
        call(slow, who, "cancel_order", order_id=order["id"])
        conn.execute("select app.refresh_statistics(now() + interval '59 minutes')")
        assert conn.execute(STATISTICS, [who.sub]).fetchall() == [("2025-03-01", 1, 100_000)]
        slow.commit()
        assert value(conn, "select p.refreshed_at > o.closed_at from app.statistics_period p, app.orders o")
        conn.execute("select app.refresh_statistics(now() + interval '2 hours')")
        assert conn.execute(STATISTICS, [who.sub]).fetchall() == []
