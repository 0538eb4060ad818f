"""Jobs are plain functions: they can run at any time, twice, and after any pause."""

import re

import pytest

from hub import paths
from tests.support.client import caller
from tests.support.context import Connection, Context, approve, items, pay, submit, value
from tests.support.queries import vest_points

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


def test_every_job_file_is_tested() -> None:
    found = {}
    for file in (paths.root() / "sql" / "jobs").glob("*.sql"):
        text = file.read_text()
        name, call = re.search(r"job: (\S+)", text), re.search(r"jobs\.(\w+)\(\)", text)
        assert name
        assert call
        found[name[1]] = call[1]
    assert found == JOBS


@pytest.mark.parametrize(("job", "function"), JOBS.items())
def test_job_can_run_twice_and_reports_its_last_success(
    db: Connection, context: Context, job: str, function: str
) -> None:
    submit(db, context.partners[0], items(SKU_000=1))
    db.execute("delete from jobs.runs")
    row_counts = [value(db, f"select jobs.{function}()") for _ in range(2)]
    assert row_counts[1] == (1 if job == "statistics-refresh" else 0), "nothing is left to do"
    health = (
        "select last_rows, total_runs, last_succeeded_at >= last_started_at, seconds_since_success"
        " from api.job_health where job = %s"
    )
    with caller(db, "admin", context.admin.sub):
        row = db.execute(health, [job]).fetchone()
    assert row
    assert row[:3] == (row_counts[1], 2, True)
    assert row[3] <= 0, "it ran in this transaction"


def test_only_headquarters_sees_job_health(db: Connection, context: Context) -> None:
    db.execute("select jobs.flush_audit()")
    db.execute("grant select on api.job_health to partner")
    db.execute("grant execute on function jobs.health() to partner")
    db.execute("grant usage on schema jobs to partner")
    with caller(db, "partner", context.partners[0].sub):
        assert value(db, "select count(*) from api.job_health") == 0
    with caller(db, "admin", context.admin.sub):
        assert value(db, "select count(*) from api.job_health") > 0


def test_late_job_processes_everything_that_is_due(db: Connection, context: Context) -> None:
    for who in context.partners:
        pay(db, context, approve(db, context, submit(db, who, items(SKU_000=10))))
    db.execute("update app.point_queue set enqueued_at = now() - interval '3 days'")
    assert vest_points(db) == 3
    assert value(db, "select array_agg(point_balance order by point_balance) from app.partners") == [
        100,
        120,
        150,
    ]


def test_no_role_can_run_a_job(db: Connection, context: Context) -> None:
    for who in (context.partners[0], context.agents[0], context.admin, context.subdists[0], context.erp):
        for function in JOBS.values():
            with pytest.raises(Exception, match="permission denied"), caller(db, who.role, who.sub):
                db.execute(f"select jobs.{function}()".encode())
