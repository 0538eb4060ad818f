"""Scheduled work: plain functions that may be called at any time, twice at once, and after any pause."""

import re

import pytest

from hub import paths
from tests.support.client import caller
from tests.support.context import Connection, Context, approve, items, pay, submit, value

JOBS = {
    "audit-flush": "flush_audit",
    "erp-watch": "check_erp_streams",
    "history-purge": "purge_cron_history",
    "lease-reaper": "reap_leases",
    "partition-maker": "make_partitions",
    "point-queue": "process_point_queue",
    "session-purge": "purge_sessions",
    "sla-sweep": "sweep_service_level",
    "statistics-refresh": "refresh_statistics",
}


def test_every_job_of_the_checkout_is_tested_here() -> None:
    found = {}
    for file in (paths.root() / "sql" / "jobs").glob("*.sql"):
        text = file.read_text()
        name, call = re.search(r"job: (\S+)", text), re.search(r"jobs\.(\w+)\(\)", text)
        assert name
        assert call
        found[name[1]] = call[1]
    assert found == JOBS


@pytest.mark.parametrize(("job", "function"), JOBS.items())
def test_a_job_may_be_called_again_and_says_when_it_last_worked(
    db: Connection, context: Context, job: str, function: str
) -> None:
    submit(db, context.partners[0], items(SKU_000=1))
    db.execute("delete from jobs.runs")
    done = [value(db, f"select jobs.{function}()") for _ in range(2)]
    assert done[1] == (1 if job == "statistics-refresh" else 0), "nothing is left to do"
    health = (
        "select last_rows, total_runs, last_succeeded_at >= last_started_at, seconds_since_success"
        " from api.job_health where job = %s"
    )
    with caller(db, "admin", context.admin.sub):
        row = db.execute(health, [job]).fetchone()
    assert row
    assert row[:3] == (done[1], 2, True)
    assert row[3] <= 0, "seen from this transaction, it has just worked"


def test_the_health_of_jobs_is_headquarters_business(db: Connection, context: Context) -> None:
    db.execute("select jobs.flush_audit()")
    db.execute("grant select on api.job_health to partner")
    db.execute("grant execute on function jobs.health() to partner")
    db.execute("grant usage on schema jobs to partner")
    with caller(db, "partner", context.partners[0].sub):
        assert value(db, "select count(*) from api.job_health") == 0
    with caller(db, "admin", context.admin.sub):
        assert value(db, "select count(*) from api.job_health") > 0


def test_statistics_count_what_lives_by_the_months_of_jakarta(db: Connection, context: Context) -> None:
    who = context.partners[0]
    for units in (1, 2):
        submit(db, who, items(SKU_000=units))
    dead = submit(db, who, items(SKU_000=50))
    db.execute("update app.orders set status = 'CANCELLED' where id = %s", [dead["id"]])
    db.execute("alter table app.orders disable trigger _100_guard")
    late = "2026-01-31 23:30:00+07"
    db.execute("update app.orders set submitted_at = %s where grand_total = 200000", [late])
    early = "2026-01-31 17:30:00+00"
    db.execute("update app.orders set submitted_at = %s where grand_total = 100000", [early])
    db.execute("select jobs.refresh_statistics()")
    query = "select month::text, order_count, total_spend from api.partner_statistics order by month"
    wanted = [("2026-01-01", 1, 200_000), ("2026-02-01", 1, 100_000)]
    for caller_, rows in (
        (who, wanted),
        (context.partners[1], []),
        (context.agents[0], wanted),
        (context.admin, wanted),
    ):
        with caller(db, caller_.role, caller_.sub):
            assert db.execute(query).fetchall() == rows


@pytest.mark.parametrize(("days", "kept"), [(29, 1), (31, 0)])
def test_sessions_are_forgotten_thirty_days_after_their_end(
    db: Connection, context: Context, days: int, kept: int
) -> None:
    session = (
        "insert into auth.sessions (subject_id, role, created_at, expires_at, revoked_at)"
        " values (%s, 'partner', now() - interval '90 days', now() + {expires}, {revoked})"
    )
    ago = f"now() - interval '{days} days'"
    db.execute(session.format(expires="interval '9 days'", revoked=ago).encode(), [context.partners[0].sub])
    expired = session.format(expires=f"interval '-{days} days'", revoked="null").encode()
    db.execute(expired, [context.partners[0].sub])
    db.execute(session.format(expires="interval '1 day'", revoked="null").encode(), [context.partners[0].sub])
    for key, age in (("x", 3), ("y", 0)):
        db.execute(
            "insert into auth.login_attempts (key, window_started_at)"
            " values (%s, now() - make_interval(days => %s))",
            [key, age],
        )
    assert value(db, "select jobs.purge_sessions()") == 3 - 2 * kept
    assert value(db, "select count(*) from auth.sessions") == 1 + 2 * kept
    assert value(db, "select string_agg(key, ',') from auth.login_attempts") == "y"


def test_a_number_is_forgotten_once_it_may_not_be_answered_freely(db: Connection) -> None:
    db.execute(
        "insert into app.conversations values ('+62811', now() - interval '3 days'), ('+62812', now())"
    )
    assert value(db, "select jobs.purge_sessions()") == 1
    assert value(db, "select string_agg(number, ',') from app.conversations") == "+62812"


def test_a_job_that_is_late_does_all_that_is_due(db: Connection, context: Context) -> None:
    for who in context.partners:
        pay(db, context, approve(db, context, submit(db, who, items(SKU_000=10))))
    db.execute("update app.point_queue set enqueued_at = now() - interval '3 days'")
    assert value(db, "select jobs.process_point_queue()") == 3
    assert value(db, "select array_agg(point_balance order by point_balance) from app.partners") == [
        100,
        120,
        150,
    ]


def test_no_caller_runs_a_job(db: Connection, context: Context) -> None:
    for who in (context.partners[0], context.agents[0], context.admin, context.subdists[0], context.erp):
        for function in JOBS.values():
            with pytest.raises(Exception, match="permission denied"), caller(db, who.role, who.sub):
                db.execute(f"select jobs.{function}()".encode())
