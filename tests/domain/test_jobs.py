"""Jobs are plain functions: they can run at any time, twice, and after any pause."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from hub import paths
from tests.conftest import Clone
from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    items,
    make_context,
    pay,
    submit,
    value,
)
from tests.support.queries import run_job, vest_points

JOBS = {
    "audit-flush": "flush_audit",
    "catalogue-store": "store_catalogue",
    "erp-watch": "check_erp_streams",
    "history-purge": "purge_cron_history",
    "invoice-reminder": "remind_of_invoices",
    "lease-reaper": "reap_leases",
    "partition-maker": "make_partitions",
    "point-queue": "process_point_queue",
    "retention": "purge_expired",
    "session-purge": "purge_sign_ins",
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


@pytest.fixture(scope="module")
def committed(module_clone: Clone) -> Iterator[tuple[Connection, Context]]:
    """A database in which jobs commit, with an order."""
    with psycopg.connect(module_clone(), autocommit=True) as conn:
        context = make_context(conn)
        submit(conn, context.partners[0], items(SKU_000=1))
        yield conn, context


@pytest.mark.parametrize("job", JOBS)
def test_job_can_run_twice_and_reports_its_last_success(
    committed: tuple[Connection, Context], job: str
) -> None:
    conn, context = committed
    for _ in range(2):
        run_job(conn, job)
    health = (
        "select last_rows, total_runs, last_succeeded_at >= last_started_at, seconds_since_success < 60"
        " from api.job_health where job = %s"
    )
    with conn.transaction(), caller(conn, "admin", context.admin.sub):
        row = conn.execute(health, [job]).fetchone()
    left = 1 if job == "statistics-refresh" else 0
    assert row == (left, 2, True, True), "nothing is left to do for the second run"


def test_only_headquarters_sees_job_health(db: Connection, context: Context) -> None:
    db.execute("select jobs.record_run('audit-flush', now(), 0)")
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
        for (command,) in db.execute("select command from jobs.schedule").fetchall():
            with pytest.raises(Exception, match="permission denied"), caller(db, who.role, who.sub):
                db.execute(command)


def test_health_shows_the_backlog_of_the_audit_buffer(db: Connection, context: Context) -> None:
    backlog = "select backlog, backlog_seconds from api.job_health where job = 'audit-flush'"
    db.execute("select app.flush_audit_buffer()")
    with caller(db, "admin", context.admin.sub):
        assert db.execute(backlog).fetchone() == (0, 0)
    for _ in range(3):
        db.execute("update app.partners set chair_count = 1 where id = %s", [context.partners[0].sub])
    db.execute("alter table app.audit_buffer disable trigger _100_append_only")
    db.execute("update app.audit_buffer set created_at = now() - interval '90 seconds'")
    with caller(db, "admin", context.admin.sub):
        assert db.execute(backlog).fetchone() == (3, 90)
        others = value(db, "select array_agg(distinct job) from api.job_health where backlog is not null")
    assert others == ["audit-flush", "point-queue"]
