"""A stack with a standby: its gateway for reports, in each state of the standby.

The tests of this module share one stack and run in their order: the standby follows, is away, comes back,
is promoted, follows a migration, and is removed. The gateway is $POSTGREST_BIN, otherwise the stand-in.
"""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from adapters.common.tokens import mint
from hub import paths, settings
from hub.cluster import Cluster
from hub.errors import UserError
from hub.migrate import migrate
from hub.stack import replica
from hub.stack.layout import Stack
from tests.stack.conftest import Hub, command_line
from tests.support import test_cluster
from tests.support.context import Caller
from tests.support.rls_dataset import RlsDataset, make_rls_dataset
from tests.support.waiting import wait_until

FAILOVER_SECONDS = 2
"""The longest time without an answer after the standby has died."""

CONNECTION_SECONDS = 1
WAL_KEEP = "16MB"


@dataclass
class Reports:
    """A stack with a standby, and requests to both of its gateways."""

    hub: Hub
    folder: Path
    dataset: RlsDataset
    http: httpx.Client

    @property
    def stack(self) -> Stack:
        return Stack(self.folder, settings.read(self.folder))

    @property
    def standby(self) -> Cluster:
        return replica.standby(self.stack)

    def headers(self, who: Caller) -> dict[str, str]:
        if who.role == "anon":
            return {}
        secret = self.stack.settings.jwt_secret.get_secret_value()
        return {"Authorization": f"Bearer {mint(secret, who.role, who.sub)}"}

    def report(self, who: Caller, path: str) -> httpx.Response:
        """Read from the gateway for reports."""
        return self.http.get(self.stack.settings.reports_url + path, headers=self.headers(who))

    def read(self, who: Caller, path: str) -> httpx.Response:
        """Read from the main gateway."""
        return self.http.get(self.stack.settings.gateway_url + path, headers=self.headers(who))

    def write(self, who: Caller, name: str, body: dict[str, Any]) -> httpx.Response:
        """Call an RPC of the gateway for reports."""
        url = f"{self.stack.settings.reports_url}/rpc/{name}"
        return self.http.post(url, json=body, headers=self.headers(who))

    def health(self, *, of_reports: bool = False) -> dict[str, Any]:
        """The standby's row of job_health, from one of the gateways; {} without one."""
        get = self.report if of_reports else self.read
        answer = get(self.dataset.admin, "/job_health?job=like.standby:*")
        assert answer.status_code == 200, answer.text
        rows = answer.json()
        return dict(rows[0]) if rows else {}

    def on_primary(self, query: str) -> Any:
        with psycopg.connect(self.stack.settings.superuser_url, autocommit=True) as conn:
            result = conn.execute(query.encode())
            row = result.fetchone() if result.description else None
            return row[0] if row else None

    def on_standby(self, query: str) -> Any:
        with psycopg.connect(self.standby.url("hub"), autocommit=True) as conn:
            row = conn.execute(query.encode()).fetchone()
            return row[0] if row else None

    def kill_standby(self) -> None:
        pid = int((self.standby.pgdata / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    kind = "postgrest" if os.environ.get("POSTGREST_BIN") else "standin"
    more = {
        "HUB_GATEWAY": kind,
        "HUB_REPORTS_CONNECTION_SECONDS": str(CONNECTION_SECONDS),
        "HUB_REPLICA_WAL_KEEP": WAL_KEEP,
    }
    with test_cluster.scratch_folder() as folder, command_line(folder, **more) as hub:
        up = hub("up", "--with-replica")
        assert up.returncode == 0, up.stderr
        with psycopg.connect(settings.read(folder).superuser_url, autocommit=True) as conn:
            dataset = make_rls_dataset(conn)
        # A gateway that stops waits for the connections that a client keeps.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(trust_env=False, timeout=30, limits=limits) as http:
            running = Reports(hub, folder, dataset, http)
            wait_until(lambda: running.health()["backlog"] == 0)
            yield running


PARTNER_VIEWS = (
    *("me", "orders", "order_items", "order_events", "invoices", "invoice_payments", "invoice_credits"),
    *("point_transactions", "redemptions", "redemption_catalog", "partner_statistics", "my_contacts"),
    *("products", "brands", "categories", "credit_notes"),
)


def assert_same_rows(reports: Reports) -> None:
    """Each partner reads the same rows from both gateways, and no order of another partner."""
    partners = [side.partner for side in reports.dataset.sides]
    for who in partners:
        for view in PARTNER_VIEWS:
            expected, answer = reports.read(who, f"/{view}"), reports.report(who, f"/{view}")
            assert answer.status_code == expected.status_code == 200, (view, answer.text)
            assert sorted(map(str, answer.json())) == sorted(map(str, expected.json())), view
        owners = {row["partner_id"] for row in reports.report(who, "/orders?select=partner_id").json()}
        assert owners == {who.sub}
    assert reports.report(Caller("anon"), "/orders").status_code == 401


WRITES: dict[str, tuple[str, dict[str, Any]]] = {
    "login": ("anon", {"email": "a@b.example", "password": "x"}),
    "refresh_session": ("anon", {"refresh_token": "x"}),
    "save_draft": ("partner", {"items": [{"sku": "SKU-001", "quantity": 1}]}),
    "submit_order": ("partner", {"items": [{"sku": "SKU-001", "quantity": 1}], "idempotency_key": "reports"}),
}


def assert_writes_are_refused(reports: Reports) -> None:
    """A call that writes is refused with one code, whichever server answers, and changes nothing."""
    callers = {"anon": Caller("anon"), "partner": reports.dataset.west.partner}
    counted = "select (select count(*) from app.orders) + (select count(*) from auth.login_attempts)"
    before = reports.on_primary(counted)
    for name, (role, body) in WRITES.items():
        answer = reports.write(callers[role], name, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "0A000"), (name, answer.text)
    partner = f"{reports.stack.settings.reports_url}/partners?id=eq.{reports.dataset.west.partner.sub}"
    answer = reports.http.patch(
        partner, json={"address": "x"}, headers=reports.headers(reports.dataset.admin)
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "0A000")
    assert reports.on_primary(counted) == before


def test_reports_gateway_reads_the_same_rows_from_the_standby(reports: Reports) -> None:
    assert_same_rows(reports)
    served = "select count(*) from pg_stat_activity where usename = 'authenticator'"
    assert reports.on_standby(served) > 0
    feedback = "select xmin is not null from pg_replication_slots where slot_name = 'reports'"
    wait_until(lambda: reports.on_primary(feedback), details=lambda: "a vacuum would end reports")
    assert reports.hub("status").stdout.count("RUNNING") == 9


def test_reading_calls_work_on_the_standby(reports: Reports) -> None:
    west = reports.dataset.west
    quote = {"items": [{"sku": "SKU-001", "quantity": 2}]}
    statement = {"from_date": "2026-01-01", "to_date": "2026-12-31"}
    for who, name, body in (
        (west.partner, "quote_order", quote),
        (west.partner, "account_statement", statement),
        (west.agent, "newest_orders", {"n": 5}),
    ):
        expected = reports.http.post(
            f"{reports.stack.settings.gateway_url}/rpc/{name}", json=body, headers=reports.headers(who)
        )
        answer = reports.write(who, name, body)
        assert (answer.status_code, answer.json()) == (200, expected.json()), name
    assert reports.report(reports.dataset.admin, "/work_queue").status_code == 200
    assert reports.report(reports.dataset.admin, "/consistency").status_code == 200


def test_writing_call_is_refused_on_the_standby(reports: Reports) -> None:
    assert_writes_are_refused(reports)


def caught_up(row: dict[str, Any]) -> dict[str, Any] | None:
    return row if row["backlog"] == 0 else None


def adapter_metric(reports: Reports, name: str) -> float:
    """A sample of the cache's /metrics."""
    text = reports.http.get(f"{reports.stack.settings.cache_http_url}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_lag_of_the_standby_is_in_job_health(reports: Reports) -> None:
    for of_reports in (False, True):
        row = wait_until(lambda: caught_up(reports.health(of_reports=of_reports)))  # noqa: B023
        assert (row["job"], row["is_late"], row["last_error"]) == ("standby:reports", False, None)
        assert (row["backlog_seconds"], row["seconds_since_success"]) == (0, 0)
    reports.on_standby("select pg_wal_replay_pause()")
    reports.on_primary("update app.partners set address = 'Jalan Baru 1' returning 1")
    behind = wait_until(lambda: reports.health()["backlog"])
    assert behind > 0
    lines = reports.hub("metrics").stdout.splitlines()
    shown = next(line for line in lines if line.startswith('hub_standby_lag_bytes{standby="reports"} '))
    assert float(shown.split()[1]) >= behind
    assert 'hub_job_late{job="standby:reports"} 0' in lines
    # The adapter asks now and then: its first figure may be older than the last change.
    wait_until(lambda: adapter_metric(reports, 'hub_standby_lag_bytes{standby="reports"}') >= behind)
    assert adapter_metric(reports, 'hub_standby_late{standby="reports"}') == 0
    assert wait_until(lambda: reports.health(of_reports=True)["backlog"]) > 0
    wait_until(lambda: reports.health(of_reports=True)["backlog_seconds"])
    reports.on_standby("select pg_wal_replay_resume()")
    wait_until(lambda: reports.health()["backlog"] == 0)


def test_reports_go_on_when_the_standby_dies(reports: Reports) -> None:
    """Within two seconds, and no answer ever shows a partner a row of another."""
    answers: list[tuple[float, float, int]] = []
    foreign: list[str] = []
    over = threading.Event()

    def ask(who: Caller) -> None:
        url, headers = reports.stack.settings.reports_url, reports.headers(who)
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
            while not over.is_set():
                asked = time.monotonic()
                answer = http.get("/orders?select=partner_id")
                answers.append((asked, time.monotonic(), answer.status_code))
                if answer.status_code == 200:
                    foreign.extend(r["partner_id"] for r in answer.json() if r["partner_id"] != who.sub)
                time.sleep(0.01)

    asking = [threading.Thread(target=ask, args=[s.partner]) for s in reports.dataset.sides for _ in (1, 2)]
    for thread in asking:
        thread.start()
    wait_until(lambda: len(answers) > 20)
    reports.kill_standby()
    died = time.monotonic()
    time.sleep(FAILOVER_SECONDS + 0.2)
    over.set()
    for thread in asking:
        thread.join()
    assert foreign == []
    assert {status for _, _, status in answers} <= {200, 503}
    # PostgREST may hold the 503 of a request that was under way until it has connected again.
    refused = [asked - died for asked, _, status in answers if status != 200]
    assert max(refused, default=0) < FAILOVER_SECONDS
    after = sorted(ended - died for _, ended, status in answers if status == 200 and ended > died)
    gaps = [later - earlier for earlier, later in zip([0.0, *after], after, strict=False)]
    assert max(gaps) < FAILOVER_SECONDS
    assert_same_rows(reports)


def test_dead_standby_is_reported_and_writes_stay_refused(reports: Reports) -> None:
    """The gateway for reports reads from the primary now, where a write would succeed."""
    assert_writes_are_refused(reports)
    for of_reports in (False, True):
        row = reports.health(of_reports=of_reports)
        assert (row["is_late"], row["last_error"]) == (True, "The standby is not connected")
    status = reports.hub("status")
    assert (status.returncode, status.stdout.count("STOPPED")) == (3, 1)
    assert "FAIL  standby: The standby is not connected" in reports.hub("doctor").stdout
    assert 'hub_job_late{job="standby:reports"} 1' in reports.hub("metrics").stdout


def assert_follows(reports: Reports) -> None:
    wait_until(lambda: not reports.health()["is_late"] and reports.health()["backlog"] == 0)
    pool = "select count(*) from pg_stat_activity where usename = 'authenticator'"

    def read_from_the_standby() -> bool:
        assert reports.report(reports.dataset.admin, "/partners").status_code == 200
        return bool(reports.on_standby(pool))

    wait_until(read_from_the_standby, seconds=10 * CONNECTION_SECONDS)


def test_standby_that_comes_back_serves_reports_again(reports: Reports) -> None:
    reports.on_primary("update app.partners set address = 'Jalan Lama 1' returning 1")
    again = reports.hub("up")
    assert (again.returncode, "built again" in again.stdout) == (0, False), again.stderr
    assert_follows(reports)
    assert reports.report(reports.dataset.west.partner, "/me").json()[0]["address"] == "Jalan Lama 1"


def test_standby_that_missed_too_much_wal_is_built_again_and_not_promoted(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports.standby.stop("immediate")
    for _ in range(4):
        reports.on_primary("select pg_switch_wal() from pg_logical_emit_message(true, 'hub', 'x')")
    reports.on_primary("checkpoint")
    lost = "The standby has missed WAL that is gone: build it again"
    wait_until(lambda: reports.health()["last_error"] == lost)
    monkeypatch.setattr(replica, "_CATCH_UP_SECONDS", 0.3)
    with pytest.raises(UserError, match="would lose data"):
        replica.promote(reports.stack)
    assert reports.read(reports.dataset.west.partner, "/me").status_code == 200
    again = reports.hub("up")
    assert again.returncode == 0, again.stderr
    assert "the standby had missed too much WAL, and was built again" in again.stdout
    assert_follows(reports)


def test_promoted_standby_is_the_primary_with_all_rows_and_jobs(reports: Reports) -> None:
    refused = reports.hub("replica", "promote")
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    reports.on_primary("update app.partners set address = 'Jalan Terakhir 1' returning 1")
    orders = reports.on_primary("select count(*) from app.orders")
    promoted = reports.hub("replica", "promote", "--yes")
    assert promoted.returncode == 0, promoted.stderr
    assert reports.on_primary("select pg_is_in_recovery()") is False
    assert reports.on_primary("select timeline_id from pg_control_checkpoint()") == 2
    assert reports.on_primary("select count(*) from app.orders") == orders
    me = reports.read(reports.dataset.west.partner, "/me").json()[0]
    assert me["address"] == "Jalan Terakhir 1"
    launcher = "select count(*) from pg_stat_activity where backend_type = 'pg_cron launcher'"
    assert reports.on_primary(launcher) == test_cluster.LAUNCHERS
    assert reports.health() == {}
    assert not reports.stack.has_replica
    assert len(list(reports.folder.glob("postgres.*-*"))) == 1
    assert reports.hub("replica", "promote", "--yes").returncode == 1


def test_new_standby_follows_the_promoted_one(reports: Reports) -> None:
    again = reports.hub("up", "--with-replica")
    assert again.returncode == 0, again.stderr
    assert_same_rows(reports)


def test_migration_waits_until_the_standby_has_replayed_it(reports: Reports, tmp_path: Path) -> None:
    """Only then do gateways read the schema again, the one for reports on the standby.

    No `hub up` follows, which would migrate back.
    """
    sql_root = tmp_path / "sql"
    shutil.copytree(paths.sql_root(), sql_root)
    with (sql_root / "api" / "catalog.sql").open("a") as file:
        file.write(
            "create view api.loud_brands as select upper(b.name) as name from app.brands as b;\n"
            "comment on view api.loud_brands is 'Brands';\n"
            "grant select on api.loud_brands to partner;\n"
        )
    done = threading.Event()

    def run() -> None:
        migrate(reports.stack.settings.superuser_url, sql_root=sql_root)
        done.set()

    reports.on_standby("select pg_wal_replay_pause()")
    migrating = threading.Thread(target=run)
    migrating.start()
    try:
        wait_until(lambda: reports.on_primary("select to_regclass('api.loud_brands') is not null"))
        assert not done.wait(1)
    finally:
        reports.on_standby("select pg_wal_replay_resume()")
        migrating.join()
    assert done.is_set()
    assert reports.on_standby("select to_regclass('api.loud_brands') is not null")
    partner = reports.dataset.east.partner
    wait_until(lambda: reports.report(partner, "/loud_brands").status_code == 200)


@pytest.mark.long_form
def test_stack_with_a_standby_stops_starts_and_is_reset(reports: Reports) -> None:
    """The standby goes through all of it: it follows after a restart, and shows the empty database."""

    def follows(mark: str) -> bool:
        reports.on_primary(f"insert into app.brands (name) values ('{mark}')")
        return bool(
            wait_until(lambda: reports.on_standby(f"select true from app.brands where name = '{mark}'"))
        )

    if not reports.stack.has_replica:
        assert reports.hub("up", "--with-replica").returncode == 0
    assert follows("before")
    stopped = reports.hub("down")
    assert "its standby" in stopped.stdout, stopped.stderr
    assert reports.hub("up").returncode == 0
    assert follows("restarted")
    reset = reports.hub("reset", "--yes")
    assert reset.returncode == 0, reset.stderr
    assert wait_until(lambda: reports.on_standby("select count(*) = 0 from app.brands"))
    assert follows("reset")
    assert reports.hub("status").returncode == 0


def test_removed_standby_leaves_nothing_behind(reports: Reports) -> None:
    removed = reports.hub("replica", "remove")
    assert removed.returncode == 0, removed.stderr
    assert reports.on_primary("select count(*) from pg_replication_slots") == 0
    assert reports.on_primary("select to_regrole('replicator')") is None
    assert reports.health() == {}
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", reports.stack.settings.reports_port), timeout=2)
    status = reports.hub("status")
    assert (status.returncode, status.stdout.count("RUNNING")) == (0, 7)
