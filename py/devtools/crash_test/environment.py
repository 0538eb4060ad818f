"""What is tortured: PostgreSQL, PgBouncer, the gateway and the WhatsApp worker, each a child of ours."""

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
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from hub import paths, postgres, processes
from hub.cluster import Cluster, cron_settings, new_password, tail
from hub.errors import UserError
from hub.migrate import migrate
from hub.ports import next_free
from hub.settings import Settings
from hub.stack import gateway as gateways
from hub.stack import pgbouncer

DATABASE = "hub_torture"
_PATIENCE = 60

Connection = psycopg.Connection[Any]


@dataclass
class House:
    """The four programs, in `folder`. PostgreSQL has its durable defaults: fsync, synchronous commit."""

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
        # pg_cron would run the jobs at whole minutes; here they are called all the time.
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
            authenticator_password=self.authenticator_password,
            supervisor_password=new_password(),
        )

    @property
    def url(self) -> str:
        """The database, as superuser."""
        return self.cluster.url(DATABASE)

    @property
    def caller_url(self) -> str:
        """The database, as callers reach it who need neither gateway nor PgBouncer."""
        return self.settings.listen_url

    @property
    def gateway_url(self) -> str:
        """The front door."""
        return self.settings.gateway_url

    @property
    def delivered(self) -> Path:
        """Where the provider writes each message that it was given: a JSON line."""
        return self.folder / "delivered.jsonl"

    def build(self) -> None:
        """Make the cluster and the database, and start everything."""
        self.cluster.initialise()
        self.cluster.configure()
        self.start_server()
        self.cluster.ensure_database(DATABASE)
        migrate(self.url, jwt_secret=self.jwt_secret, authenticator_password=self.authenticator_password)
        config = gateways.GatewayConfig(
            self.settings.authenticator_url,
            self.settings.listen_url,
            self.jwt_secret,
            self.settings.gateway_port,
            self.settings.gateway_admin_port,
        )
        config.write(self.folder / "gateway.conf", self.choice.kind, gateways.account_for(self.choice))
        self.start_pooler()
        self.start_gateway()
        self.start_messenger()

    def start_server(self) -> None:
        """Start the postmaster as our own child, and wait until it has recovered and answers."""
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
        """Wait until connections are taken. Raises UserError when the server has ended or keeps silent."""
        for attempt in Retrying(
            retry=retry_if_exception_type(psycopg.OperationalError),
            stop=stop_after_delay(_PATIENCE),
            wait=wait_fixed(0.05),
            reraise=True,
        ):
            if self.server is None or self.server.poll() is not None:
                raise UserError("PostgreSQL has ended", hint=tail(self.cluster.log))
            with attempt:
                psycopg.connect(self.cluster.url(), connect_timeout=5).close()

    def kill_postmaster(self) -> float:
        """kill -9 the postmaster, start it anew; returns the seconds until it answered again."""
        started = time.monotonic()
        # Waited for, or its process id would look alive to the next postmaster; so would its orphans.
        _kill(self.server)
        while processes.working_in(self.cluster.pgdata):
            if time.monotonic() - started > _PATIENCE:
                raise UserError("backends of the killed server do not end")
            time.sleep(0.02)
        (self.cluster.pgdata / "postmaster.pid").unlink(missing_ok=True)
        self.start_server()
        return time.monotonic() - started

    def kill_backend(self, dice: random.Random) -> float:
        """kill -9 one of the server's processes: the postmaster ends the others and recovers by itself."""
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
        """Our own connection dies with the others: only then has the crash been noticed."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                conn.execute("select 1")
            except psycopg.OperationalError:
                return
            time.sleep(0.01)
        raise UserError("the killed backend was not missed")

    def start_pooler(self) -> None:
        """Start PgBouncer and wait until it lets callers through."""
        config = pgbouncer.write(self.folder, self.settings, self.cluster.account)
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self.pooler = subprocess.Popen(
                [str(pgbouncer.program()), str(config)],
                cwd="/",
                env=self.cluster.account.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **self.cluster.account.popen_arguments(),
            )
        for attempt in Retrying(
            retry=retry_if_exception_type(psycopg.OperationalError),
            stop=stop_after_delay(_PATIENCE),
            wait=wait_fixed(0.05),
            reraise=True,
        ):
            with attempt:
                psycopg.connect(self.settings.authenticator_url, connect_timeout=5).close()

    def kill_pooler(self) -> float:
        """kill -9 PgBouncer, start it anew; returns the seconds until it let callers through again."""
        started = time.monotonic()
        _kill(self.pooler)
        self.start_pooler()
        return time.monotonic() - started

    def start_gateway(self) -> None:
        """Start it and wait until it answers."""
        log = self.folder / "gateway.log"
        self.gateway = process = gateways.start(self.choice, self.folder / "gateway.conf", log)
        gateways.wait_ready(self.gateway_url, log, lambda: gateways.refuse_ended(process, log))

    def kill_gateway(self) -> float:
        """kill -9 the gateway, start it anew; returns the seconds until it answered again."""
        started = time.monotonic()
        _kill(self.gateway)
        self.start_gateway()
        return time.monotonic() - started

    def start_messenger(self) -> None:
        """Start the WhatsApp adapter, whose provider is a file."""
        environment = self.cluster.account.environment() | {
            "HUB_GATEWAY_URL": self.gateway_url,
            "HUB_JWT_SECRET": self.jwt_secret,
            "HUB_WHATSAPP_PORT": str(self.settings.whatsapp_port),
            "HUB_WHATSAPP_FILE": str(self.delivered),
            "HUB_WHATSAPP_LEASE_SECONDS": "3",
            "HUB_WHATSAPP_POLL_SECONDS": "0.1",
        }
        account = gateways.account_for(gateways.Gateway("standin", (sys.executable,), ""))
        with (self.folder / "messenger.log").open("ab") as log:
            self.messenger = subprocess.Popen(
                [sys.executable, "-m", "adapters.whatsapp"],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **account.popen_arguments(),
            )

    def kill_messenger(self) -> float:
        """kill -9 the messenger, start it anew; returns the seconds that took."""
        started = time.monotonic()
        _kill(self.messenger)
        self.start_messenger()
        return time.monotonic() - started

    def tear_down(self) -> None:
        """Stop everything that runs; only our own children."""
        for child in (self.messenger, self.gateway, self.pooler):
            if child and child.poll() is None:
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGINT)  # fast shutdown
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()


def _port(start: int) -> int:
    """A free port below those of outgoing connections: one of them could take ours while we restart."""
    return next_free(start + os.getpid() % 500)


def _kill(child: subprocess.Popen[bytes] | None) -> None:
    """kill -9 a child of ours, and wait for its end. Raises UserError when it had ended by itself."""
    if child is None or child.poll() is not None:
        raise UserError("a program that was to be killed has ended by itself")
    child.kill()
    child.wait()
