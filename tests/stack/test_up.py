"""`hub up`, `status`, `down` and `migrate` as processes, with a fake PostgREST."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from hub import postgres, postmaster, processes, settings
from hub.cluster import Cluster
from hub.stack.declared import DeclaredProgram
from hub.stack.layout import Stack
from hub.stack.supervise import Supervisor
from hub.stack.supervisord import STEADY_SECONDS
from tests.stack.conftest import Hub, command_line
from tests.support import test_cluster
from tests.support.waiting import wait_until


@pytest.fixture
def hub(folder: Path, fake_postgrest: Path) -> Iterator[Hub]:
    """Runs the command line on a data folder of its own."""
    with command_line(folder, POSTGREST_BIN=str(fake_postgrest)) as run:
        yield run


def test_stack_starts_again_after_kill_9_and_stops(hub: Hub, folder: Path) -> None:
    first = hub("up")
    assert first.returncode == 0, first.stderr
    assert "gateway: PostgREST 14.17" in first.stdout
    assert "applied 0000_foundation" in first.stdout
    chosen = settings.read(folder)
    assert httpx.get(chosen.gateway_url, trust_env=False).status_code == 200
    with psycopg.connect(chosen.pooled_url) as pooled:
        assert pooled.execute("select current_user").fetchone() == ("authenticator",)
    assert settings.env_file(folder).stat().st_mode & 0o777 == 0o600

    started = time.monotonic()
    again = hub("up")
    assert again.returncode == 0, again.stderr
    assert "applied" not in again.stdout
    assert time.monotonic() - started < 10
    status = hub("status")
    assert (status.returncode, status.stdout.count("RUNNING")) == (0, 7), status.stdout
    page = httpx.get(chosen.pages_url, trust_env=False)
    assert (page.status_code, "script-src 'self'" in page.headers["Content-Security-Policy"]) == (200, True)

    _assert_killed_program_starts_at_once(folder)
    _assert_killed_postmaster_starts_again(folder)

    declared = DeclaredProgram("sandbox", ["/bin/false"], 1).write(folder)
    without = hub("up")
    assert without.returncode == 1
    assert f"without {declared} the stack starts without sandbox" in without.stderr
    declared.unlink()

    supervisor = int((folder / "run" / "supervisord.pid").read_text())
    postmaster = int((folder / "postgres" / "pgdata" / "postmaster.pid").read_text().split()[0])
    for pid in (supervisor, postmaster):
        os.kill(pid, signal.SIGKILL)
    assert hub("status").returncode == 3
    revived = hub("up")
    assert revived.returncode == 0, revived.stderr
    assert settings.read(folder) == chosen, (
        "orphans of the killed supervisord must not cost the stack its ports"
    )

    assert "sandbox" not in hub("status").stdout

    listed = hub("jobs", "list")
    assert listed.returncode == 0
    _reset(hub, folder)
    _rotate_the_key(hub, folder)
    down = hub("down")
    assert "PostgreSQL" in down.stdout
    assert processes.working_in(folder / "postgres" / "pgdata") == processes.marked(folder) == []
    assert hub("down").stdout.strip() == "nothing was running"


def _assert_killed_program_starts_at_once(folder: Path) -> None:
    """By the times in supervisord's log; as published it waits for up to a second in between."""
    supervisor = Supervisor(Stack(folder, settings.read(folder)))

    def state() -> dict[str, Any]:
        return supervisor.states()["pgbouncer"]

    def logged(what: str) -> datetime:
        lines = (folder / "log" / "supervisord.log").read_text().splitlines()
        return datetime.fromisoformat([line for line in lines if what in line][-1][:23].replace(",", "."))

    wait_until(lambda: state()["now"] - state()["start"] > STEADY_SECONDS)
    killed = state()["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: state()["pid"] not in (0, killed))
    between = logged("spawned: 'pgbouncer'") - logged("exited: pgbouncer")
    assert timedelta(0) <= between < timedelta(seconds=0.3)


def _assert_killed_postmaster_starts_again(folder: Path) -> None:
    """The one that `hub up` has started, and the one that took its place."""
    chosen, pgdata = settings.read(folder), folder / "postgres" / "pgdata"
    supervisor = Supervisor(Stack(folder, chosen))

    def starts() -> list[datetime]:
        lines = (folder / "postgres" / "postgres.log").read_text().splitlines()
        return [
            datetime.fromisoformat(line[:23]).replace(tzinfo=UTC)
            for line in lines
            if "starting PostgreSQL" in line
        ]

    for _ in range(2):
        before, killed = len(starts()), postmaster.running(pgdata)
        assert killed
        at = datetime.now(UTC)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: _listens(chosen.superuser_url), 60)  # the adapter has connected again
        psycopg.connect(chosen.pooled_url).close()
        (started,) = starts()[before:]
        assert started - at < timedelta(seconds=2)
        now = postmaster.running(pgdata)
        assert now != killed
        assert now == supervisor.states()["postmaster"]["pid"]


def _listens(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5) as conn:
            query = "select from pg_stat_activity where query = 'listen hub_messages'"
            return conn.execute(query).rowcount == 1
    except psycopg.OperationalError:
        return False


def _reset(hub: Hub, folder: Path) -> None:
    """hub reset: the database is empty, and jobs run again although their database was dropped."""
    url = settings.read(folder).superuser_url
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("insert into app.brands (name) values ('before')")
    assert hub("reset").returncode == 1
    done = hub("reset", "--yes")
    assert done.returncode == 0, done.stderr
    with psycopg.connect(url, autocommit=True) as conn:
        assert conn.execute("select count(*) from app.brands").fetchone() == (0,)
        if postgres.has_extension("pg_cron"):
            launcher = "select from pg_stat_activity where backend_type like 'pg_cron%'"
            wait_until(lambda: conn.execute(launcher).rowcount)


def _rotate_the_key(hub: Hub, folder: Path) -> None:
    """hub rotate-key: the gateway accepts both keys, the database signs with the new one."""
    before = settings.read(folder)
    done = hub("rotate-key")
    assert done.returncode == 0, done.stderr
    assert "those of the former secret are accepted until" in done.stdout
    after = settings.read(folder)
    former = before.jwt_secret.get_secret_value()
    assert after.jwt_previous
    assert after.jwt_previous[0] == former != after.jwt_secret.get_secret_value()
    assert after.jwt_keys.replace('"', '\\"') in (folder / "run" / "postgrest.conf").read_text()
    for port in (after.gateway_port, after.cache_port, after.whatsapp_port):
        assert httpx.get(f"http://127.0.0.1:{port}", trust_env=False).status_code < 500
    stored = "select secret, previous_secret, previous_until from auth.jwt_secret"
    with psycopg.connect(after.superuser_url) as conn:
        assert conn.execute(stored).fetchone() == (after.jwt_secret.get_secret_value(), *after.jwt_previous)
    for again, reason in (
        (("rotate-key",), "a rotation is under way"),
        (("rotate-key", "--drop"), "are valid"),
    ):
        refused = hub(*again)
        assert (refused.returncode, reason in refused.stderr) == (1, True), refused.stderr
    leaked = hub("rotate-key", "--revoke")
    assert leaked.returncode == 0, leaked.stderr
    assert '"keys' not in (folder / "run" / "postgrest.conf").read_text()
    with psycopg.connect(after.superuser_url) as conn:
        row = conn.execute(stored).fetchone()
    assert row == (settings.read(folder).jwt_secret.get_secret_value(), None, None)
    assert after.jwt_secret.get_secret_value() != row[0]


@contextmanager
def _foreground(folder: Path, program: Path) -> Iterator[subprocess.Popen[str]]:
    """`hub up --foreground`, once everything answers."""
    environment = test_cluster.environment_without_settings()
    environment |= {"HUB_DATA_DIR": str(folder), "POSTGREST_BIN": str(program)}
    command = [sys.executable, "-m", "hub", "up", "--foreground"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout
            assert any(line.startswith("up: ") for line in child.stdout)
            yield child
        finally:
            child.kill()


def test_foreground_ends_with_a_killed_supervisor_and_the_next_start_keeps_postgresql(
    hub: Hub, folder: Path, fake_postgrest: Path
) -> None:
    assert hub("up").returncode == 0
    with _foreground(folder, fake_postgrest) as waiting:
        assert "stopped" in hub("down").stdout
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
        again = hub("up")
        assert again.returncode == 0, again.stderr
        server = postmaster.running(folder / "postgres" / "pgdata")
        left = processes.marked(folder)
        os.kill(int((folder / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
        _, reason = waiting.communicate(timeout=30)
        assert (waiting.returncode, "supervisord was killed" in reason) == (1, True), reason
    with _foreground(folder, fake_postgrest):
        assert postmaster.running(folder / "postgres" / "pgdata") == server
        assert not [pid for pid in left if processes.is_alive(pid)]
        assert httpx.get(settings.read(folder).gateway_url, trust_env=False).status_code == 200


CREDENTIALS = {
    "HUB_WHATSAPP_TOKEN": 'to"ken; with \\ and %s',
    "HUB_WHATSAPP_PHONE_NUMBER_ID": "1065",
    "HUB_WHATSAPP_APP_SECRET": "app-secret",
    "HUB_WHATSAPP_VERIFY_TOKEN": "verify'me\"",
    "HUB_WHATSAPP_GRAPH_URL": "http://127.0.0.1:1",
    "HUB_SMTP_PASSWORD": "smtp-password ;",
    "HUB_DELIVERY": "whatsapp",
}


def _handshake(folder: Path) -> int:
    """Status of the answer to Meta's handshake: 404 without credentials, 0 while there is none."""
    challenge = {"hub.mode": "subscribe", "hub.challenge": "1"}
    verification = {"hub.verify_token": CREDENTIALS["HUB_WHATSAPP_VERIFY_TOKEN"]}
    url = f"http://127.0.0.1:{settings.read(folder).whatsapp_port}/webhook"
    try:
        return httpx.get(url, params=challenge | verification, trust_env=False).status_code
    except httpx.HTTPError:
        return 0


def _handshake_becomes(expected: int, folder: Path) -> bool:
    deadline = time.monotonic() + 30
    while _handshake(folder) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return _handshake(folder) == expected


def test_adapter_settings_follow_the_present_environment_and_stay_private(hub: Hub, folder: Path) -> None:
    first = hub("up", **CREDENTIALS)
    assert first.returncode == 0, first.stderr
    assert _handshake_becomes(200, folder)
    with psycopg.connect(settings.read(folder).database_url.get_secret_value()) as conn:
        listening = "select count(*) from pg_stat_activity where query = 'listen hub_messages'"
        assert conn.execute(listening).fetchone() == (1,)
    file = folder / "run" / "whatsapp.json"
    assert file.stat().st_mode & 0o777 == 0o600
    readable = [
        path for path in folder.rglob("*") if path.is_file() and path != file and "pgdata" not in str(path)
    ]
    shown = "".join(path.read_text(errors="replace") for path in readable) + first.stdout + first.stderr
    shown += hub("status").stdout
    for name in ("TOKEN", "APP_SECRET", "VERIFY_TOKEN"):
        assert CREDENTIALS[f"HUB_WHATSAPP_{name}"] not in shown
    assert hub("up").returncode == 0
    assert _handshake_becomes(404, folder), "an unset variable must not survive"
    with settings.env_file(folder).open("a") as kept:
        kept.writelines(f"{name}={value}\n" for name, value in CREDENTIALS.items())
    assert hub("up").returncode == 0
    assert _handshake_becomes(200, folder)


def test_failed_gateway_shows_its_log(hub: Hub, fake_postgrest: Path) -> None:
    text = fake_postgrest.read_text()
    fake_postgrest.write_text(text.replace("port = int", 'sys.exit("the gateway fails")\nport = int'))
    done = hub("up")
    assert done.returncode == 1
    assert "gateway exits as soon as it is started" in done.stderr
    assert "the gateway fails" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_without_a_stack_name_the_command_that_creates_it(hub: Hub) -> None:
    for command in (("status",), ("logs",), ("down",), ("token", "partner"), ("psql",)):
        done = hub(*command)
        assert done.returncode == 1
        assert "./hub up" in done.stderr
        assert "Traceback" not in done.stderr


def test_doctor_reports_a_machine_without_postgresql_line_by_line(hub: Hub) -> None:
    done = hub("doctor", HUB_PG_BIN="/nonexistent")
    assert done.returncode == 1
    assert "FAIL  no PostgreSQL server of version 15 or newer" in done.stdout
    assert "ok    pgbouncer" in done.stdout
    assert "Traceback" not in done.stderr


def test_migrating_another_database_leaves_it_its_secrets(
    hub: Hub, folder: Path, empty_database: str, cluster: Cluster, template: str
) -> None:
    """A developer's `hub migrate --database PRODUCTION` must not write the checkout's secrets there."""
    settings.ensure(folder)
    done = hub("migrate", "--database", empty_database)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("select count(*) from auth.jwt_secret").fetchone() == (0,)
    unchanged = cluster.url("postgres", "authenticator", test_cluster.AUTHENTICATOR_PASSWORD)
    psycopg.connect(unchanged).close()


def test_unreachable_database_is_reported_without_traceback(hub: Hub) -> None:
    done = hub("migrate", "--database", "postgresql://unknown@127.0.0.1:1/nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("hub: cannot connect to the database")
    assert re.search(r"is --database right", done.stderr)
