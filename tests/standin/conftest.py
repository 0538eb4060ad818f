"""A database made from schema.sql, and gateways on it as real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from hub.cluster import Cluster
from hub.ports import HOST
from tests.standin.corpus import CONFIG, HERE, Client
from tests.support import test_cluster

_READY_SECONDS = 30


@dataclass
class Server:
    """A running gateway. `log` is its stderr."""

    url: str
    admin_url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self) -> Client:
        """A separate connection."""
        return Client(self.url)

    def wait_ready(self) -> None:
        """Wait until it answers; fails with its log."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            client = Client(self.url)
            try:
                if client.send("GET", "/").status < 500:
                    return
            except OSError:
                pass
            finally:
                client.close()
            time.sleep(0.05)
        pytest.fail(f"the gateway is not ready:\n{self.log.read_text()}")

    def stop(self) -> None:
        """End the process."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)


Start = Callable[..., Server]


def config_text(values: Mapping[str, str | int | bool]) -> str:
    """A configuration file."""
    lines = []
    for key, value in values.items():
        shown = str(value).lower() if isinstance(value, bool | int) else f'"{value}"'
        lines.append(f"{key} = {shown}\n")
    return "".join(lines)


def standin_command() -> tuple[str, ...]:
    """The stand-in's command, to which a configuration file is added."""
    return (sys.executable, "-m", "standin")


def gateway_command() -> tuple[str, ...]:
    """The gateway under test: the stand-in, or the real PostgREST if $POSTGREST_BIN names one."""
    real = os.environ.get("POSTGREST_BIN")
    return (real,) if real else standin_command()


def authenticator_uri(cluster: Cluster, dbname: str) -> str:
    """The database as the gateway sees it."""
    return f"postgres://standin_authenticator:standin-password@{cluster.host}:{cluster.port}/{dbname}"


def make_database(cluster: Cluster) -> str:
    """A database with schema.sql in it; returns its name."""
    name = test_cluster.fresh_name("corpus")
    script = (HERE / "schema.sql").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if not line.startswith("\\")]  # psql's own commands
    with psycopg.connect(cluster.url(), autocommit=True) as common:
        common.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        # Roles belong to the whole cluster: runs that overlap must not alter them at the same time. An
        # advisory lock belongs to one database, so it is taken in the one that all runs have in common.
        common.execute("select pg_advisory_lock(hashtext('standin roles'))")
        with psycopg.connect(cluster.url(name), autocommit=True) as conn:
            conn.execute("\n".join(lines).encode())
    return name


def drop_database(cluster: Cluster, name: str) -> None:
    """Drop it and disconnect its clients."""
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def corpus_database(cluster: Cluster) -> Iterator[str]:
    """Name of the database that the corpus is replayed on."""
    name = make_database(cluster)
    yield name
    drop_database(cluster, name)


@pytest.fixture
def own_database(cluster: Cluster) -> Iterator[str]:
    """Name of a database for one test."""
    name = make_database(cluster)
    yield name
    drop_database(cluster, name)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """A function that starts a gateway with a db-uri and any other keys; all are stopped at the end."""
    started: list[Server] = []

    def start(
        db_uri: str, *, command: tuple[str, ...] | None = None, wait: bool = True, **keys: object
    ) -> Server:
        port, admin = test_cluster.free_port(30000), test_cluster.free_port(30800)
        given = {key.replace("_", "-"): value for key, value in keys.items()}
        values = CONFIG | {
            "db-uri": db_uri,
            "server-host": HOST,
            "server-port": port,
            "admin-server-port": admin,
            "log-level": "warn",
        }
        folder = tmp_path_factory.mktemp("gateway")
        file, log = folder / "gateway.conf", folder / "gateway.log"
        file.write_text(config_text(values | given))  # type: ignore[arg-type]
        with log.open("wb") as out:
            process = subprocess.Popen([*(command or gateway_command()), str(file)], stderr=out, stdout=out)
        server = Server(f"http://{HOST}:{port}", f"http://{HOST}:{admin}", process, log)
        started.append(server)
        if wait:
            server.wait_ready()
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def corpus_server(cluster: Cluster, corpus_database: str, start_server: Start) -> Server:
    """The gateway that the corpus is replayed against."""
    return start_server(authenticator_uri(cluster, corpus_database))


@pytest.fixture
def standin(cluster: Cluster, own_database: str, start_server: Start) -> Iterator[Server]:
    """A stand-in for one test, on its own database."""
    server = start_server(authenticator_uri(cluster, own_database), command=standin_command())
    yield server
    server.stop()
