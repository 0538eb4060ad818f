"""The real scheduler, which runs jobs each minute.

It has a cluster of its own: dropping the scheduler's database by force, as tests of `hub migrate` do, stops
the scheduler until the server is restarted.
"""

import time
from collections.abc import Iterator

import psycopg
import pytest

from hub.cluster import Cluster, cron_settings, new_password
from hub.migrate import migrate
from tests.support.context import Connection, make_context, value
from tests.support.queries import run_job
from tests.support.service_level import escalations, waiting_order
from tests.support.test_cluster import (
    AUTHENTICATOR_PASSWORD,
    JWT_SECRET,
    free_port,
    needs_cron,
    scratch_folder,
)


@pytest.fixture
def scheduled() -> Iterator[str]:
    """URL of a migrated database whose jobs pg_cron runs."""
    fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with scratch_folder() as folder:
        settings = fast | cron_settings("hub")
        cluster = Cluster(folder, free_port(26800), new_password(), settings=settings)
        cluster.initialise()
        cluster.start()
        try:
            cluster.ensure_database("hub")
            url = cluster.url("hub")
            migrate(
                url, jwt_secret=JWT_SECRET, authenticator_password=AUTHENTICATOR_PASSWORD, require_cron=True
            )
            yield url
        finally:
            cluster.stop()


def test_health_is_reported_where_the_schedulers_tables_are_not_granted(db: Connection) -> None:
    db.execute("create schema cron")
    db.execute("create table cron.job (jobid bigint)")
    db.execute("create table cron.job_run_details (jobid bigint)")
    assert db.execute("select * from jobs.failures()").fetchall() == []
    assert value(db, "select count(*) > 0 from jobs.health()") is True


@pytest.mark.slow
@needs_cron
def test_pg_cron_runs_the_sweep_and_health_reports_failures(scheduled: str) -> None:
    with psycopg.connect(scheduled, autocommit=True) as conn:
        context = make_context(conn)
        with conn.transaction():
            late = waiting_order(conn, context, 25)
        deadline = time.monotonic() + 90  # a minute, and some time for a busy machine
        while not escalations(conn, late) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert escalations(conn, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}
        ran = "select count(*) from jobs.runs where job in ('audit-flush', 'point-queue')"
        while value(conn, ran) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert value(conn, ran) == 2, "the scheduler runs procedures that commit, too"
        assert value(conn, "select count(*) from app.audit_logs") > 0
        run_job(conn, "audit-flush")  # the scheduled one may have run before the sweep
        sweep = "select array_agg(distinct actor_role) from app.audit_logs where target_id = %s"
        assert value(conn, sweep + " and action = 'UPDATE' and new_value ? 'sla_escalated'", late["id"]) == [
            "system"
        ]
        conn.execute("select set_config('request.jwt.claims', '{\"role\": \"admin\"}', false)")
        healthy = "select total_runs > 0 and seconds_since_success < 90 from jobs.health() where job = %s"
        assert value(conn, healthy, "sla-sweep") is True
        row = conn.execute(
            "select d.status from cron.job_run_details d join cron.job j using (jobid)"
            " where j.jobname = 'hub:sla-sweep' order by d.runid limit 1"
        ).fetchone()
        assert row in (("succeeded",), ("running",))
        # the health of a job shows failures of pg_cron's own history
        conn.execute(
            "insert into cron.job_run_details (jobid, runid, database, status, return_message, start_time,"
            " end_time) select jobid, 1000000, current_database(), 'failed', 'ERROR: no', now(), now()"
            " from cron.job where jobname = 'hub:sla-sweep'"
        )
        failure = "select last_error, last_failed_at is not null from jobs.health() where job = %s"
        assert conn.execute(failure, ["sla-sweep"]).fetchone() == ("ERROR: no", True)
        assert conn.execute(failure, ["erp-watch"]).fetchone() == (None, False)
