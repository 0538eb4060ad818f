"""The real scheduler, at its grain of one minute.

On a cluster of its own: dropping the scheduler's database by force, as tests of `hub migrate` do, ends the
scheduler until the server starts anew.
"""

import time
from collections.abc import Iterator

import psycopg
import pytest

from hub import postgres
from hub.cluster import Cluster, cron_settings, new_password
from hub.migrate import migrate
from tests.domain.service_level.conftest import levels, order
from tests.support.context import make_context, value
from tests.support.test_cluster import AUTHENTICATOR_PASSWORD, JWT_SECRET, free_port, scratch_folder


@pytest.fixture
def scheduled() -> Iterator[str]:
    """URL of a migrated database whose jobs are run by pg_cron."""
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


@pytest.mark.slow
@pytest.mark.skipif(not postgres.has_extension("pg_cron"), reason="pg_cron is not installed")
def test_pg_cron_sweeps_by_itself(scheduled: str) -> None:
    with psycopg.connect(scheduled, autocommit=True) as conn:
        context = make_context(conn)
        with conn.transaction():
            late = order(conn, context, 25)
        deadline = time.monotonic() + 90  # a minute, and a busy machine's allowance
        while not levels(conn, late) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert levels(conn, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}
        conn.execute("select set_config('request.jwt.claims', '{\"role\": \"admin\"}', false)")
        healthy = "select total_runs > 0 and seconds_since_success < 90 from jobs.health() where job = %s"
        assert value(conn, healthy, "sla-sweep") is True
        row = conn.execute(
            "select d.status from cron.job_run_details d join cron.job j using (jobid)"
            " where j.jobname = 'hub:sla-sweep' order by d.runid limit 1"
        ).fetchone()
        assert row in (("succeeded",), ("running",))
        # a job that fails says so in its health: the history is pg_cron's own
        conn.execute(
            "insert into cron.job_run_details (jobid, runid, database, status, return_message, start_time,"
            " end_time) select jobid, 1000000, current_database(), 'failed', 'ERROR: no', now(), now()"
            " from cron.job where jobname = 'hub:sla-sweep'"
        )
        ill = "select last_error, last_failed_at is not null from jobs.health() where job = %s"
        assert conn.execute(ill, ["sla-sweep"]).fetchone() == ("ERROR: no", True)
        assert conn.execute(ill, ["erp-watch"]).fetchone() == (None, False)
