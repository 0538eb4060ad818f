"""The environment of a crash test: a PostgreSQL of its own, and the programs around it."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from devtools.crash_test.programs import Programs
from hub import postgres, processes
from hub.cluster import Cluster, cron_settings, new_password, tail
from hub.errors import UserError
from hub.migrate import migrate
from hub.ports import next_free
from hub.settings import Settings

DATABASE = "hub_crash_test"
_WAIT_SECONDS = 60

Connection = psycopg.Connection[Any]


class Environment(Programs):
    """PostgreSQL and the programs, in `folder`. It keeps its durable defaults: fsync, synchronous commit."""

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        # pg_cron would run the jobs every minute; here they run all the time.
        settings = cron_settings("postgres") | {"max_connections": "60", "checkpoint_timeout": "30s"}
        self.cluster = Cluster(folder / "postgres", _port(23000), new_password(), settings=settings)
        self.server: subprocess.Popen[bytes] | None = None
        super().__init__(
            folder, self.cluster.url(DATABASE), settings_for(DATABASE, self.cluster.port), variables
        )

    def build(self) -> None:
        """Create the cluster and the database, and start every program."""
        self.cluster.initialise()
        self.cluster.configure()
        self.start_server()
        self.cluster.ensure_database(DATABASE)
        migrate(
            self.url,
            jwt_secret=self.jwt_secret,
            authenticator_password=self.settings.authenticator_password.get_secret_value(),
            cache_password=self.settings.cache_password.get_secret_value(),
        )
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                "update app.system_configs set config_value = '\"csv\"' where config_key = 'erp.kind'"
            )
        self.start_all()

    def start_server(self) -> None:
        """Start the postmaster as a child process and wait until it has recovered and answers."""
        account = self.cluster.account
        with self.cluster.log.open("ab") as log:
            self.server = subprocess.Popen(
                [str(postgres.program("postgres")), "-D", str(self.cluster.pgdata)],
                cwd="/",
                env=account.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **account.popen_arguments(),
            )
        self.wait_for_server()

    def wait_for_server(self) -> None:
        """Wait until the server accepts connections. Raises UserError if it ended or does not answer."""
        for attempt in Retrying(
            retry=retry_if_exception_type(psycopg.OperationalError),
            stop=stop_after_delay(_WAIT_SECONDS),
            wait=wait_fixed(0.05),
            reraise=True,
        ):
            if self.server is None or self.server.poll() is not None:
                raise UserError("PostgreSQL has ended", hint=tail(self.cluster.log))
            with attempt:
                psycopg.connect(self.cluster.url(), connect_timeout=5).close()

    def kill(self, kind: str, dice: random.Random) -> float:
        """Kill a program with SIGKILL and restart it; returns the seconds until it answered again."""
        started = time.monotonic()
        if kind == "backend":
            self._kill_backend(dice)
        elif kind == "postmaster":
            self._kill_postmaster()
        else:
            self.stop(kind, signal.SIGKILL)
            self.start(kind)
        return time.monotonic() - started

    def _kill_postmaster(self) -> None:
        # The next postmaster refuses to start while the killed one or its backends exist.
        _kill(self.server)
        until = time.monotonic() + _WAIT_SECONDS
        while processes.working_in(self.cluster.pgdata):
            if time.monotonic() > until:
                raise UserError("backends of the killed server do not end")
            time.sleep(0.02)
        (self.cluster.pgdata / "postmaster.pid").unlink(missing_ok=True)
        self.start_server()

    def _kill_backend(self, dice: random.Random) -> None:
        """Kill one of the server's processes; the postmaster ends the others and recovers."""
        with psycopg.connect(self.cluster.url(), autocommit=True) as conn:
            rows = conn.execute(
                "select pid from pg_stat_activity where pid <> pg_backend_pid()"
                " and (backend_type in ('checkpointer', 'walwriter', 'background writer') or (backend_type ="
                " 'client backend' and state in ('active', 'idle in transaction')))"
            ).fetchall()
            victim = dice.choice(sorted(row[0] for row in rows))
            os.kill(victim, signal.SIGKILL)
            self._wait_for_crash(conn)
        self.wait_for_server()

    @staticmethod
    def _wait_for_crash(conn: Connection) -> None:
        """Wait until this connection is closed with the others: the postmaster has noticed the crash."""
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            try:
                conn.execute("select 1")
            except psycopg.OperationalError:
                return
            time.sleep(0.01)
        raise UserError("PostgreSQL did not react to the killed backend")

    def tear_down(self) -> None:
        """Stop every program that runs, then PostgreSQL."""
        super().tear_down()
        if self.server:
            processes.end(self.server, 30, signal.SIGINT)  # fast shutdown


def settings_for(
    database: str,
    postgres_port: int,
    *,
    jwt_secret: str | None = None,
    authenticator_password: str | None = None,
    cache_password: str | None = None,
) -> Settings:
    """Settings with free ports, and with new secrets where none is given."""
    return Settings(
        database=database,
        postgres_port=postgres_port,
        pgbouncer_port=_port(27000),
        gateway_port=_port(24000),
        gateway_admin_port=_port(25000),
        whatsapp_port=_port(26000),
        cache_port=_port(28000),
        erp_port=_port(29000),
        redis_port=_port(30000),
        reports_port=_port(24500),
        reports_admin_port=_port(25500),
        replica_port=_port(26500),
        pages_port=_port(27500),
        jwt_secret=SecretStr(jwt_secret or new_password()),
        authenticator_password=SecretStr(authenticator_password or new_password()),
        cache_password=SecretStr(cache_password or new_password()),
        redis_password=SecretStr(new_password()),
        supervisor_password=SecretStr(new_password()),
    )


def _port(start: int) -> int:
    """A free port below the ephemeral range, so that no outgoing connection takes it during a restart."""
    return next_free(start + os.getpid() % 500)


def _kill(child: subprocess.Popen[bytes] | None) -> None:
    """Kill a child process and wait for its end. Raises UserError if it has ended by itself."""
    if child is None or child.poll() is not None:
        raise UserError("a program that was to be killed has ended by itself")
    child.kill()
    child.wait()
