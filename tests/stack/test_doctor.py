"""hub doctor: each fault is found, with what it means and what to do next."""

import http.server
import json
import shutil
import ssl
import subprocess
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from hub.backup.repository import Backup
from hub.doctor import database, machine, stack
from hub.doctor.definitions import CHECKS
from hub.doctor.findings import Finding
from hub.settings import Settings, env_file
from tests.conftest import Clone
from tests.stack.conftest import command_line
from tests.support.context import Connection
from tests.support.test_cluster import needs_cron


def assert_fault(finding: Finding, text: str) -> None:
    assert not finding.passed
    assert text in finding.text
    assert finding.meaning, "a fault says what it means"
    assert finding.next_step, "a fault says what to do next"


@pytest.fixture
def conn(clone: Clone) -> Iterator[Connection]:
    with psycopg.connect(clone(), autocommit=True) as connection:
        yield connection


def test_full_disk_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000, 901, 99))
    assert_fault(machine.disk(tmp_path), "10% of the disk")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000, 800, 200))
    assert machine.disk(tmp_path).passed


def test_clock_without_ntp_is_a_fault() -> None:
    assert_fault(machine.clock("no"), "not synchronised")
    assert machine.clock("yes").passed
    assert machine.clock("").passed


@contextmanager
def https(folder: Path, days: int) -> Iterator[tuple[str, Path]]:
    """An https server with a certificate of its own; its URL and the certificate."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", str(days)),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    server = http.server.ThreadingHTTPServer(("localhost", 0), http.server.SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}", certificate
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.parametrize(("days", "passed"), [(3, False), (90, True)])
def test_certificate_that_expires_soon_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, passed: bool
) -> None:
    with https(tmp_path, days) as (url, certificate):
        assert_fault(machine.certificate(url), "self-signed")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        finding = machine.certificate(url)
    assert finding.passed == passed
    assert f"valid for {days} days" in finding.text


def test_public_url_without_tls_or_answer_is_a_fault() -> None:
    assert_fault(machine.certificate("http://hub.example"), "http://hub.example")
    assert_fault(machine.certificate("https://127.0.0.1:9"), "does not answer")


def test_short_and_repeated_secrets_are_faults() -> None:
    long, other = SecretStr("a" * 32), SecretStr("b" * 32)
    assert stack.secrets(Settings(jwt_secret=long, cache_password=other)).passed
    assert_fault(stack.secrets(Settings(jwt_secret=long, cache_password=long)), "cache_password, jwt_secret")
    short = stack.secrets(Settings(jwt_secret=long, cache_password=SecretStr("demo")))
    assert_fault(short, "cache_password has fewer than 16 characters")
    assert "demo" not in short.text


def test_settings_with_which_the_stack_does_not_start_are_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path))
    (finding,) = stack.check()
    assert (finding.passed, "no stack yet" in finding.text) == (True, True)
    env_file(tmp_path).write_text("HUB_REDIS_PASSWORD=changeme\n")
    (finding,) = stack.check()
    assert_fault(finding, "HUB_REDIS_PASSWORD: everyone knows this value")


def test_former_signing_secret_that_has_expired_is_a_fault() -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert stack.former_key(now + timedelta(minutes=1), now).passed
    assert_fault(stack.former_key(now, now), "./hub rotate-key --drop")


@contextmanager
def adapter(status: int, body: dict[str, Any]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health/ready"
    finally:
        server.shutdown()
        server.server_close()


def test_adapter_that_reaches_no_provider_is_a_fault() -> None:
    checks = {"gateway": {"ok": True, "detail": ""}, "whatsapp": {"ok": False, "detail": "token refused"}}
    with adapter(503, {"status": "trouble", "checks": checks}) as url:
        assert_fault(stack.adapter("whatsapp", url), "whatsapp: whatsapp (token refused)")
    channels = {"WHATSAPP": "HTTP 503", "EMAIL": "ok"}
    with adapter(200, {"status": "ok", "checks": {}, "channels": channels}) as url:
        assert_fault(stack.adapter("whatsapp", url), "whatsapp: WHATSAPP (HTTP 503)")
    with adapter(200, {"status": "ok", "checks": {}, "channels": {"EMAIL": "ok"}}) as url:
        assert stack.adapter("whatsapp", url).passed
    assert_fault(stack.adapter("erp", "http://127.0.0.1:9/health/ready"), "erp does not answer")


def test_old_or_missing_backup_is_a_fault() -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def taken(hours: int) -> list[Backup]:
        ended = now - timedelta(hours=hours)
        return [Backup("20261126-100000F", "full", ended, 1, 1)]

    assert stack.backup(taken(25), now).passed
    assert_fault(stack.backup(taken(27), now), "the last backup ended 2026-11-26 09:00Z")
    assert_fault(stack.backup([], now), "there is no backup")


@pytest.mark.parametrize(
    ("number", "passed"), [(140005, False), (150013, True), (180001, True), (190000, False)]
)
def test_server_that_the_hub_is_not_tested_with_is_a_fault(number: int, passed: bool) -> None:
    finding = database.version(number)
    assert finding.passed == passed
    if not passed:
        assert_fault(finding, f"PostgreSQL {number // 10000}")


def test_missing_and_unknown_step_are_faults(conn: Connection) -> None:
    assert database.steps(conn).passed
    conn.execute("delete from migration._yoyo_migration where migration_id = '0011_regions'")
    pending = database.steps(conn)
    assert_fault(pending, "the database lacks 0011_regions")
    assert pending.next_step == "./hub migrate"
    conn.execute(
        "update migration._yoyo_migration set migration_id = '9999_later' where migration_id like '0012%'"
    )
    assert_fault(database.steps(conn), "the checkout lacks 9999_later")


def test_clocks_that_differ_are_a_fault(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    assert database.clock(conn).passed
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 60)
    assert_fault(database.clock(conn), "60.0 seconds apart")


def test_too_few_connections_are_a_fault(conn: Connection) -> None:
    assert_fault(database.connections(conn, 10_000), "the stack uses up to 10000")


@needs_cron
def test_scheduler_of_another_database_is_a_fault(conn: Connection) -> None:
    assert_fault(database.launcher(conn), "pg_cron runs, with its jobs in the database hub_cron_test")


def test_late_job_is_a_fault(conn: Connection) -> None:
    conn.execute("update jobs.runs set last_succeeded_at = now()")
    conn.execute("update jobs.schedule set scheduled_at = now()")
    assert database.jobs(conn).passed
    conn.execute("update jobs.schedule set scheduled_at = now() - interval '1 day'")
    conn.execute("delete from jobs.runs where job = 'sla-sweep'")
    assert_fault(database.jobs(conn), "sla-sweep")


def test_standby_without_slot_is_a_fault(conn: Connection) -> None:
    assert_fault(database.standby(conn), "there is no replication slot 'reports'")


def test_long_transaction_is_a_fault(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    assert database.transactions(conn).passed
    monkeypatch.setattr(database, "_TRANSACTION_SECONDS", 0)
    with psycopg.connect(conn.info.dsn, password=conn.info.password) as other:
        other.execute("select 1")
        assert_fault(database.transactions(conn), "the oldest transaction is open")


def test_ids_that_are_not_frozen_are_a_fault(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    assert database.frozen_ids(conn).passed
    monkeypatch.setattr(database, "_FREEZE_AGE", 1)
    assert_fault(database.frozen_ids(conn), "transactions old")


def test_table_of_dead_rows_is_a_fault(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_DEAD_ROWS", 50)
    assert database.bloat(conn).passed
    conn.execute("create table public.heap (id int) with (autovacuum_enabled = off)")
    conn.execute("insert into public.heap select generate_series(1, 100)")
    conn.execute("delete from public.heap where id > 20")
    conn.execute("select pg_stat_force_next_flush()")
    assert_fault(database.bloat(conn), "heap (80 %)")


def test_change_by_hand_is_a_fault(conn: Connection) -> None:
    conn.execute("alter table app.orders disable row level security")
    faults = [finding for finding in database.check(conn, has_replica=False) if not finding.passed]
    assert any("without row-level security: 1" in finding.text for finding in faults)
    for finding in faults:
        assert_fault(finding, "")


VIOLATIONS = {
    "objects that hub_owner does not own": ("alter view api.orders owner to current_user", "api.orders"),
    "functions that PUBLIC may execute": ("grant execute on function api.me() to public", "api.me()"),
    "tables of app and auth without row-level security": (
        "create table auth.devices (); alter table auth.devices owner to hub_owner",
        "auth.devices",
    ),
    "views of api that bypass row security for callers other than headquarters": (
        "alter view api.orders reset (security_invoker, security_barrier)",
        "api.orders",
    ),
    "objects of api without a comment": ("comment on view api.orders is null", "api.orders"),
    "invalid indexes": (
        "update pg_index set indisvalid = false where indexrelid = 'app.orders_created_idx'::regclass",
        "app.orders_created_idx",
    ),
}
"""By convention, what violates it, and the object that is named then."""


@pytest.mark.parametrize("convention", CHECKS)
def test_each_convention_names_what_violates_it(db: Connection, convention: str) -> None:
    change, violating = VIOLATIONS[convention]
    assert db.execute(CHECKS[convention].encode()).fetchall() == []
    db.execute(change.encode())
    assert db.execute(CHECKS[convention].encode()).fetchall() == [(violating,)]


def test_every_check_is_printed_as_json_and_a_fault_is_exit_code_1(folder: Path) -> None:
    with command_line(folder) as hub:
        done = hub("doctor", "--json", HUB_PG_BIN="/nonexistent")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    failing = [entry for entry in found if not entry["passed"]]
    assert any("no PostgreSQL server" in entry["text"] for entry in failing)
    assert all(entry["meaning"] and entry["next_step"] for entry in failing)
