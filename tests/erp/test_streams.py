"""Streams of the ERP: cursors stored with their data, their health, and notifications of outages."""

import json
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    call,
    items,
    make_context,
    refusal,
    submit,
    value,
)

CURSOR = {"after": "2026-01-01", "id": 7}


def stream(db: Connection, context: Context, name: str) -> dict[str, Any]:
    found: dict[str, Any] = call(db, context.erp, "erp_stream", stream=name)
    return found


APPLY: dict[str, tuple[str, dict[str, Any]]] = {
    "products": ("erp_apply_products", {"products": [{"sku": "NEW", "name": "A", "base_price": 1}]}),
    "stock": ("erp_apply_stock", {"levels": [{"sku": "SKU-000", "quantity": 1}]}),
    "payments": ("erp_apply_payments", {"payments": []}),
}


@pytest.mark.parametrize("name", APPLY)
def test_cursor_is_stored_with_its_data(db: Connection, context: Context, name: str) -> None:
    function, data = APPLY[name]
    assert stream(db, context, name)["cursor"] is None
    call(db, context.erp, function, **data, cursor=CURSOR)
    assert stream(db, context, name)["cursor"] == CURSOR
    call(db, context.erp, function, **data)
    assert stream(db, context, name)["cursor"] == CURSOR, "a call without a cursor keeps it"
    call(db, context.erp, function, **data, cursor={"after": "later"}, stream="csv:other")
    assert stream(db, context, name)["cursor"] == CURSOR, "each stream has its own cursor"


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("products", {"products": [{"sku": 7}]}),
        ("stock", {"levels": [{"sku": 7}]}),
        ("payments", {"payments": [{}]}),
    ],
)
def test_refused_call_keeps_the_cursor(
    db: Connection, context: Context, name: str, bad: dict[str, Any]
) -> None:
    function, data = APPLY[name]
    call(db, context.erp, function, **data, cursor=CURSOR)
    assert refusal(db, context.erp, function, **bad, cursor={"after": "beyond"}) == "INVALID_ARGUMENT"
    assert stream(db, context, name)["cursor"] == CURSOR


def test_crash_before_the_commit_stores_neither_data_nor_cursor(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, erp="csv")
        with psycopg.connect(url) as crashing, crashing.transaction(force_rollback=True):
            call(crashing, context.erp, "erp_apply_stock", levels=APPLY["stock"][1]["levels"], cursor=CURSOR)
        assert stream(conn, context, "stock")["cursor"] is None
        assert value(conn, "select count(*) from app.inventory where erp_stock = 1") == 0


def test_stream_returns_its_interval_and_the_time_of_the_database(db: Connection, context: Context) -> None:
    found = stream(db, context, "stock")
    assert found["interval_minutes"] == 15
    assert value(db, "select now() = %s::timestamptz", found["read_at"])


def report(db: Connection, context: Context, name: str, *, ok: bool, detail: str | None = None) -> None:
    call(db, context.erp, "erp_report", stream=name, ok=ok, detail=detail)


def health(db: Connection, context: Context, name: str) -> dict[str, Any] | None:
    with caller(db, "admin", context.admin.sub):
        row = db.execute(
            "select to_json(h)::text from api.job_health h where job = %s", [f"erp:{name}"]
        ).fetchone()
    found: dict[str, Any] | None = json.loads(row[0]) if row else None
    return found


def age_streams(db: Connection, minutes: int) -> None:
    """Shift all times of the streams into the past."""
    moments = ("updated_at", "last_succeeded_at", "last_failed_at", "failing_since", "notified_at")
    ago = ", ".join(f"{m} = {m} - make_interval(mins => {minutes})" for m in moments)
    db.execute(f"update app.erp_streams set {ago}".encode())


def notified(db: Connection) -> list[str]:
    """The streams of which both admins were notified, once for each outage."""
    rows = db.execute(
        "select variables ->> 'stream', count(*) from app.messages where template = 'erp_trouble'"
        " group by variables order by min(position)"
    ).fetchall()
    assert all(count % 2 == 0 for _, count in rows)
    return [name for name, count in rows for _ in range(count // 2)]


def check_streams(db: Connection) -> int:
    count: int = value(db, "select jobs.check_erp_streams()")
    return count


def test_no_stream_is_late_without_an_erp(db: Connection, context: Context) -> None:
    stream(db, context, "stock")
    approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    db.execute("update app.orders set approved_at = now() - interval '9 days'")
    assert check_streams(db) == 0
    assert health(db, context, "stock") is None


@pytest.mark.parametrize(("minutes", "late"), [(29, False), (31, True)])
@pytest.mark.parametrize("name", ["products", "stock", "payments"])
def test_silent_stream_is_late_after_two_intervals(
    db: Connection, context: Context, name: str, minutes: int, late: bool
) -> None:
    report(db, context, name, ok=True)
    age_streams(db, minutes)
    found = health(db, context, name)
    assert found
    assert (found["is_late"], found["last_error"]) == (late, None)
    assert found["seconds_since_success"] == minutes * 60
    assert check_streams(db) == late
    assert notified(db) == [name] * late


def test_stock_is_late_when_runs_succeed_without_levels(db: Connection, context: Context) -> None:
    call(db, context.erp, "erp_apply_stock", levels=APPLY["stock"][1]["levels"])
    age_streams(db, 31)
    report(db, context, "stock", ok=True)
    call(db, context.erp, "erp_apply_stock", levels=[])
    assert check_streams(db) == 1


@pytest.mark.parametrize(("minutes", "late"), [(14, False), (16, True)])
def test_failing_stream_is_late_after_one_interval(
    db: Connection, context: Context, minutes: int, late: bool
) -> None:
    report(db, context, "products", ok=True)
    report(db, context, "products", ok=False, detail="a\n\tb" + "x" * 2000)
    age_streams(db, minutes)
    report(db, context, "products", ok=False, detail="still")
    assert check_streams(db) == late
    found = health(db, context, "products")
    assert found
    assert (found["is_late"], found["last_error"]) == (late, "still")


def test_error_is_stored_as_one_line_of_bounded_length(db: Connection, context: Context) -> None:
    report(db, context, "stock", ok=False, detail="a\n\tb " + "x" * 5000)
    error = value(db, "select last_error from app.erp_streams")
    assert error.startswith("a b xxx")
    assert len(error) <= 1000


def test_remarks_of_a_success_are_kept_until_others_replace_them(db: Connection, context: Context) -> None:
    def remarks() -> tuple[Any, Any]:
        found = health(db, context, "products")
        assert found
        return found["last_remarks"], found["last_remarked_at"]

    report(db, context, "products", ok=True)
    assert remarks() == (None, None)
    call(db, context.erp, "erp_report", stream="products", ok=True, remarks="A: no\n price " + "x" * 2000)
    first = remarks()
    assert first[0].startswith("A: no price xxx")
    assert (len(first[0]), first[1]) == (1000, value(db, "select to_json(now()) #>> '{}'"))
    age_streams(db, 5)
    report(db, context, "products", ok=True)
    report(db, context, "products", ok=False, detail="away")
    call(db, context.erp, "erp_report", stream="products", ok=True, remarks=" ")
    assert remarks()[0] == first[0]
    call(db, context.erp, "erp_report", stream="products", ok=True, remarks="B: no price")
    assert remarks()[0] == "B: no price"


def test_headquarters_is_notified_once_per_outage(db: Connection, context: Context) -> None:
    report(db, context, "products", ok=False, detail="connection refused")
    age_streams(db, 40)
    assert [check_streams(db) for _ in range(3)] == [1, 0, 0]
    report(db, context, "products", ok=False, detail="again")
    assert check_streams(db) == 0, "the same outage"
    report(db, context, "products", ok=True)
    assert check_streams(db) == 0
    report(db, context, "products", ok=False, detail="another")
    age_streams(db, 40)
    assert [check_streams(db) for _ in range(2)] == [1, 0]
    assert notified(db) == ["products", "products"]


def test_orders_are_late_only_while_an_order_or_cancellation_is_pending(
    db: Connection, context: Context
) -> None:
    report(db, context, "orders", ok=True)
    age_streams(db, 600)
    assert check_streams(db) == 0
    order = submit(db, context.partners[0], items(SKU_000=1))
    approve(db, context, order)
    db.execute("alter table app.orders disable trigger _100_guard")
    db.execute("update app.orders set approved_at = now() - interval '31 minutes'")
    assert check_streams(db) == 1
    call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="S")
    assert check_streams(db) == 0
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    db.execute("update app.erp_cancellations set created_at = now() - interval '31 minutes'")
    assert check_streams(db) == 1, "a pending cancellation is late too"


def test_concurrent_checks_notify_of_an_outage_once(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as first:
        context = make_context(conn, erp="csv")
        report(conn, context, "products", ok=False)
        age_streams(conn, 40)
        assert check_streams(first) == 1
        with psycopg.connect(url, autocommit=True) as second:
            second.execute("set lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                check_streams(second)
            first.commit()
            assert check_streams(second) == 0
        assert notified(conn) == ["products"]


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("* * * * *", "2026-01-01 10:00:00+00", "2026-01-01 10:01:00+00"),
        ("* * * * *", "2026-01-01 10:00:59+00", "2026-01-01 10:01:00+00"),
        ("*/15 * * * *", "2026-01-01 10:01:00+00", "2026-01-01 10:15:00+00"),
        ("*/15 * * * *", "2026-01-01 10:45:00+00", "2026-01-01 11:00:00+00"),
        ("37 1 * * *", "2026-01-01 01:36:59+00", "2026-01-01 01:37:00+00"),
        ("37 1 * * *", "2026-01-01 01:37:00+00", "2026-01-02 01:37:00+00"),
        ("17 0 * * *", "2026-01-31 23:59:00+07", "2026-02-01 00:17:00+00"),
        ("0 */6 * * *", "2026-01-01 07:00:00+00", "2026-01-01 12:00:00+00"),
        ("0 0 1 * *", "2026-01-01 07:00:00+00", None),
        ("1-5 * * * *", "2026-01-01 07:00:00+00", None),
    ],
)
def test_next_run_follows_from_the_cron_expression(
    db: Connection, schedule: str, after: str, due: str | None
) -> None:
    for zone in ("UTC", "Asia/Jakarta"):
        db.execute("select set_config('timezone', %s, true)", [zone])
        found = value(db, "select jobs.next_run(%s, %s::timestamptz)", schedule, after)
        assert found == value(db, "select %s::timestamptz", due)


def test_every_job_shows_its_next_run_and_whether_it_is_late(db: Connection, context: Context) -> None:
    db.execute("update jobs.schedule set scheduled_at = now() - interval '3 days'")
    db.execute("delete from jobs.runs")
    with caller(db, "admin", context.admin.sub):
        rows = db.execute("select next_run_at > now(), is_late from api.job_health").fetchall()
    assert set(rows) == {(True, True)}, "no job has ever run"
    db.execute("select jobs.record_run('audit-flush', now(), 0)")
    fresh = "select is_late from jobs.health() where job = 'audit-flush'"
    assert value(db, fresh) is False
    for minutes, late in ((2, False), (5, True)):
        db.execute("update jobs.runs set last_succeeded_at = now() - make_interval(mins => %s)", [minutes])
        assert value(db, fresh) is late
    db.execute("delete from jobs.runs")
    db.execute("update jobs.schedule set scheduled_at = now()")
    assert value(db, "select bool_or(is_late) from jobs.health()") is False, "no job is due yet"


@pytest.mark.parametrize(("ok", "count"), [(False, 2), (True, 0)])
def test_failure_that_someone_must_correct_notifies_headquarters_at_once(
    db: Connection, context: Context, *, ok: bool, count: int
) -> None:
    call(db, context.erp, "erp_report", stream="stock", ok=ok, detail="stock.csv: no column", notify=True)
    query = "select variables ->> 'error' from app.messages where template = 'erp_trouble'"
    assert [error for (error,) in db.execute(query)] == ["stock.csv: no column"] * count
