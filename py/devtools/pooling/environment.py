"""The environment of a pooling test: PgBouncer and a gateway as child processes, and partners as callers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pydantic import SecretStr

from adapters.common.tokens import mint
from devtools.scratch import scratch_cluster
from hub.cluster import new_password
from hub.migrate import migrate
from hub.osuser import server_account
from hub.ports import next_free
from hub.seed.load import load as load_demo_data
from hub.settings import Settings
from hub.stack import gateway as gateways
from hub.stack import pgbouncer

_WAIT_SECONDS = 15


@dataclass(frozen=True)
class Environment:
    """A migrated database, and the ports and passwords of the programs in front of it.

    `superuser_url` is the database itself; `folder` can be entered by the servers' account.
    """

    folder: Path
    superuser_url: str
    settings: Settings
    gateway: gateways.Gateway

    def callers(self, number: int) -> list[str]:
        """Tokens of partners with a session each; with fewer partners than callers, they repeat."""
        secret = self.settings.jwt_secret.get_secret_value()
        with psycopg.connect(self.superuser_url, autocommit=True) as conn:
            sessions = conn.execute(
                "insert into auth.sessions (subject_id, role, expires_at)"
                " select id, 'partner', now() + interval '1 day' from app.partners where is_active"
                " order by id limit %s returning subject_id::text, id::text",
                [number],
            ).fetchall()
        tokens = [mint(secret, "partner", partner, minutes=120, sid=session) for partner, session in sessions]
        return [tokens[i % len(tokens)] for i in range(number)]

    def a_partner(self) -> str:
        """The id of an active partner."""
        with psycopg.connect(self.superuser_url) as conn:
            return str(
                conn.execute("select min(id::text) from app.partners where is_active").fetchall()[0][0]
            )

    @contextmanager
    def pooler(self) -> Iterator[str]:
        """Run PgBouncer as the stack does; yields the URL of the database behind it."""
        process = pgbouncer.start(self.folder, self.settings, server_account())
        try:
            pgbouncer.wait_ready(self.settings, _WAIT_SECONDS)
            yield self.settings.pooled_url
        finally:
            process.terminate()
            process.wait(_WAIT_SECONDS)

    @contextmanager
    def serving(
        self, database_url: str, *, pooled: bool = False, wait_seconds: int = gateways.WAIT_SECONDS
    ) -> Iterator[str]:
        """Run the gateway on a database with the stack's configuration; yields its URL.

        `pooled`: the URL is PgBouncer's. `wait_seconds`: how long a request waits for a connection.
        """
        chosen = self.settings
        config = gateways.GatewayConfig(
            database_url,
            chosen.jwt_secret.get_secret_value(),
            chosen.gateway_port,
            chosen.gateway_admin_port,
            prepared=not pooled or pgbouncer.keeps_prepared_statements(),
            channel=not pooled,
            wait_seconds=wait_seconds,
        )
        file, log = self.folder / "gateway.conf", self.folder / "gateway.log"
        config.write(file, gateways.account_for(self.gateway))
        process = gateways.start(self.gateway, file, log)
        try:
            gateways.wait_ready(chosen.gateway_url, log, lambda: gateways.check_running(process, log))
            yield chosen.gateway_url
        finally:
            process.terminate()
            process.wait(_WAIT_SECONDS)


def settings_for(database: str, postgres_port: int, authenticator_password: str, jwt_secret: str) -> Settings:
    """Settings of programs beside a server that runs, with free ports of their own."""
    shift = os.getpid() % 100
    return Settings(
        database=database,
        postgres_port=postgres_port,
        pgbouncer_port=next_free(27500 + shift),
        gateway_port=next_free(24500 + shift),
        gateway_admin_port=next_free(25500 + shift),
        authenticator_password=SecretStr(authenticator_password),
        supervisor_password=SecretStr(new_password()),
        jwt_secret=SecretStr(jwt_secret),
    )


@contextmanager
def temporary(choice: gateways.Gateway) -> Iterator[Environment]:
    """A cluster of its own with PostgreSQL's defaults and the demo data, removed at the end."""
    password, secret = new_password(), new_password()
    with scratch_cluster("pooling", 23500) as cluster:
        url = cluster.url("hub")
        cluster.ensure_database("hub")
        migrate(url, jwt_secret=secret, authenticator_password=password)
        load_demo_data(url)
        yield Environment(cluster.folder, url, settings_for("hub", cluster.port, password, secret), choice)
