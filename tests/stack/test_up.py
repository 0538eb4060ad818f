"""The stack as a user meets it: up, up again, killed, down. With a stand-in for the gateway's program."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from hub import settings
from hub.cluster import Cluster
from tests import servers

Hub = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub(folder: Path, fake_postgrest: Path) -> Iterator[Hub]:
    """The command line, on a data folder of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")}
    environment |= {"HUB_DATA_DIR": str(folder), "POSTGREST_BIN": str(fake_postgrest)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hub", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    run("down")


def test_up_again_killed_and_down(hub: Hub, folder: Path) -> None:
    first = hub("up")
    assert first.returncode == 0, first.stderr
    assert "gateway: PostgREST 14.17" in first.stdout
    assert "applied 0000_foundation" in first.stdout
    chosen = settings.read(folder)
    assert httpx.get(chosen.gateway_url, trust_env=False).status_code == 200
    with psycopg.connect(chosen.authenticator_url) as pooled:
        assert pooled.execute("select current_user").fetchone() == ("authenticator",)
    assert settings.env_file(folder).stat().st_mode & 0o777 == 0o600

    started = time.monotonic()
    again = hub("up")
    assert again.returncode == 0, again.stderr
    assert "applied" not in again.stdout
    assert time.monotonic() - started < 10
    status = hub("status")
    assert (status.returncode, status.stdout.count("RUNNING")) == (0, 4), status.stdout

    supervisor = int((folder / "run" / "supervisord.pid").read_text())
    postmaster = int((folder / "postgres" / "pgdata" / "postmaster.pid").read_text().split()[0])
    for pid in (supervisor, postmaster):
        os.kill(pid, signal.SIGKILL)
    assert hub("status").returncode == 3
    revived = hub("up")
    assert revived.returncode == 0, revived.stderr
    assert settings.read(folder) == chosen, "its own orphans must not drive it from its ports"

    listed = hub("jobs", "list")
    assert listed.returncode == 0
    down = hub("down")
    assert "PostgreSQL" in down.stdout
    assert hub("down").stdout.strip() == "nothing was running"


def test_a_gateway_that_does_not_start_shows_its_log(hub: Hub, fake_postgrest: Path) -> None:
    text = fake_postgrest.read_text()
    fake_postgrest.write_text(text.replace("port = int", 'sys.exit("the gateway is unwell")\nport = int'))
    done = hub("up")
    assert done.returncode == 1
    assert "gateway ends as soon as it is started" in done.stderr
    assert "the gateway is unwell" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_stack_commands_say_what_to_do(hub: Hub) -> None:
    for command in (("status",), ("logs",), ("down",), ("token", "partner"), ("psql",)):
        done = hub(*command)
        assert done.returncode == 1
        assert "./hub up" in done.stderr
        assert "Traceback" not in done.stderr


def test_another_database_is_not_given_this_stacks_secrets(
    hub: Hub, folder: Path, empty_database: str, cluster: Cluster
) -> None:
    """`hub migrate --database PRODUCTION` in a developer's checkout leaves production its secrets."""
    settings.ensure(folder)
    done = hub("migrate", "--database", empty_database)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("select count(*) from auth.jwt_secret").fetchone() == (0,)
    kept = cluster.url("postgres", "authenticator", servers.AUTHENTICATOR_PASSWORD)
    psycopg.connect(kept).close()


def test_a_wrong_database_is_one_clear_line(hub: Hub) -> None:
    done = hub("migrate", "--database", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("hub: cannot connect to the database")
    assert re.search(r"is --database right", done.stderr)
