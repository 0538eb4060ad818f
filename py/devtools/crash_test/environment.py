"""The environment of a crash test: PostgreSQL, PgBouncer, gateway and WhatsApp adapter as child processes."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from hub import paths, postgres, processes
from hub.cluster import Cluster, cron_settings, new_password, tail
from hub.errors import UserError
from hub.migrate import migrate
from hub.osuser import Account
from hub.ports import next_free
from hub.settings import Settings
from hub.stack import gateway as gateways
from hub.stack import pgbouncer

DATABASE = "hub_crash_test"
_WAIT_SECONDS = 60

Connection = psycopg.Connection[Any]


@dataclass
class Environment:
    """The four programs, in `folder`. PostgreSQL keeps its durable defaults: fsync and synchronous commit."""

    folder: Path
    jwt_secret: str = field(default_factory=new_password)
    authenticator_password: str = field(default_factory=new_password)
    cluster: Cluster = field(init=False)
    settings: Settings = field(init=False)
    server: subprocess.Popen[bytes] | None = None
    pooler: subprocess.Popen[bytes] | None = None
    gateway: subprocess.Popen[bytes] | None = None
    messenger: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        # pg_cron would run the jobs every minute; here they run all the time.
        settings = cron_settings("postgres") | {"max_connections": "60", "checkpoint_timeout": "30s"}
        self.cluster = Cluster(self.folder / "postgres", _port(23000), new_password(), settings=settings)
        self.choice = gateways.choose("auto", paths.root() / ".cache" / "postgrest")
        self.settings = Settings(
            database=DATABASE,
            postgres_port=self.cluster.port,
            pgbouncer_port=_port(27000),
            gateway_port=_port(24000),
            gateway_admin_port=_port(25000),
            whatsapp_port=_port(26000),
            authenticator_password=SecretStr(self.authenticator_password),
            supervisor_password=SecretStr(new_password()),
        )

    @property
    def url(self) -> str:
        """URL of the database, as superuser."""
        return self.cluster.url(DATABASE)

    @property
    def caller_url(self) -> str:
        """URL of the database for callers that use PgBouncer instead of the gateway."""
        return self.settings.pooled_url

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway."""
        return self.settings.gateway_url

    @property
    def delivered(self) -> Path:
        """The file to which the adapter appends each delivered message as a JSON line."""
        return self.folder / "delivered.jsonl"

    def build(self) -> None:
        """Create the cluster and the database, and start every program."""
        self.cluster.initialise()
        self.cluster.configure()
        self.start_server()
        self.cluster.ensure_database(DATABASE)
        migrate(self.url, jwt_secret=self.jwt_secret, authenticator_password=self.authenticator_password)
        config = gateways.GatewayConfig(
            self.settings.authenticator_url,
            self.jwt_secret,
            self.settings.gateway_port,
            self.settings.gateway_admin_port,
        )
        config.write(self.folder / "gateway.conf", gateways.account_for(self.choice))
        self.start_pooler()
        self.start_gateway()
        self.start_messenger()

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

    def kill_postmaster(self) -> float:
        """Kill the postmaster with SIGKILL and restart it; returns the seconds until it answered again."""
        started = time.monotonic()
        # The next postmaster refuses to start while the killed one or its backends exist.
        _kill(self.server)
        while processes.working_in(self.cluster.pgdata):
            if time.monotonic() - started > _WAIT_SECONDS:
                raise UserError("backends of the killed server do not end")
            time.sleep(0.02)
        (self.cluster.pgdata / "postmaster.pid").unlink(missing_ok=True)
        self.start_server()
        return time.monotonic() - started

    def kill_backend(self, dice: random.Random) -> float:
        """Kill one of the server's processes; the postmaster ends the others and recovers."""
        started = time.monotonic()
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
        return time.monotonic() - started

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

    def start_pooler(self) -> None:
        """Start PgBouncer and wait until it accepts connections."""
        self.pooler = pgbouncer.start(self.folder, self.settings, self.cluster.account)
        pgbouncer.wait_ready(self.settings, _WAIT_SECONDS)

    def kill_pooler(self) -> float:
        """Kill PgBouncer and restart it; returns the seconds until it answered again."""
        started = time.monotonic()
        _kill(self.pooler)
        self.start_pooler()
        return time.monotonic() - started

    def start_gateway(self) -> None:
        """Start the gateway and wait until it answers."""
        log = self.folder / "gateway.log"
        self.gateway = process = gateways.start(self.choice, self.folder / "gateway.conf", log)
        gateways.wait_ready(self.gateway_url, log, lambda: gateways.check_running(process, log))

    def kill_gateway(self) -> float:
        """Kill the gateway and restart it; returns the seconds until it answered again."""
        started = time.monotonic()
        _kill(self.gateway)
        self.start_gateway()
        return time.monotonic() - started

    def start_messenger(self) -> None:
        """Start the WhatsApp adapter, which delivers to a file."""
        self.messenger = start_whatsapp(
            self.folder,
            self.cluster.account,
            gateway_url=self.gateway_url,
            jwt_secret=self.jwt_secret,
            port=self.settings.whatsapp_port,
            delivered=self.delivered,
        )

    def kill_messenger(self) -> float:
        """Kill the WhatsApp adapter and restart it; returns the seconds that took."""
        started = time.monotonic()
        _kill(self.messenger)
        self.start_messenger()
        return time.monotonic() - started

    def tear_down(self) -> None:
        """Stop every child process that runs."""
        for child in (self.messenger, self.gateway, self.pooler):
            if child:
                processes.end(child, 10)
        if self.server:
            processes.end(self.server, 30, signal.SIGINT)  # fast shutdown


def start_whatsapp(
    folder: Path, server: Account, *, gateway_url: str, jwt_secret: str, port: int, delivered: Path
) -> subprocess.Popen[bytes]:
    """Start the WhatsApp adapter as a child process; it appends each message to the file `delivered`."""
    environment = server.environment() | {
        "HUB_GATEWAY_URL": gateway_url,
        "HUB_JWT_SECRET": jwt_secret,
        "HUB_WHATSAPP_PORT": str(port),
        "HUB_DELIVERY": "console",
        "HUB_WHATSAPP_FILE": str(delivered),
        "HUB_WHATSAPP_LEASE_SECONDS": "3",
        "HUB_WHATSAPP_POLL_SECONDS": "0.1",
    }
    account = gateways.account_for(gateways.Gateway("standin", (sys.executable,), ""))
    with (folder / "messenger.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "adapters.whatsapp"],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **account.popen_arguments(),
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
