"""The environment of a benchmark: two scratch databases of one durable cluster, dropped at the end."""

import os
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from devtools.bench.errors import BenchError
from devtools.bench.pgbench import SQL
from hub import paths, postgres
from hub.cluster import Cluster, new_password
from hub.migrate import migrate
from hub.osuser import server_account
from hub.ports import next_free

_FIRST_PORT = 56815
_SETTINGS = {
    # PostgreSQL's defaults, but no checkpoint runs within a round.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "max_connections": "50",
}


@dataclass(frozen=True)
class Environment:
    """URLs of both databases, as superuser and as the login of pgbench."""

    floor: str
    hub: str
    floor_login: str
    hub_login: str
    durable: bool

    def admin(self, url: str) -> psycopg.Connection[Any]:
        """Connect to one of them as superuser."""
        return psycopg.connect(url, autocommit=True)

    def settle(self, *, analyze: bool = False) -> None:
        """Write dirty pages between rounds, so that no round pays for the one before."""
        for url in (self.floor, self.hub):
            with self.admin(url) as conn:
                conn.execute("vacuum analyze" if analyze else "checkpoint")


@contextmanager
def prepared(database: str | None, *, profiling: bool = False) -> Iterator[Environment]:
    """Create both databases with their rows, in a temporary cluster or in the one of `database`."""
    with ExitStack() as stack:
        server = database or stack.enter_context(_temporary_cluster(profiling))
        yield stack.enter_context(_databases(server))


@contextmanager
def _temporary_cluster(profiling: bool) -> Iterator[str]:
    folder = paths.make_data_dir()[0] / f"bench-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    settings = dict(_SETTINGS)
    if profiling:
        if not postgres.has_extension("pg_stat_statements"):
            raise BenchError("the profile needs pg_stat_statements", hint="apt-get install postgresql")
        settings |= {"shared_preload_libraries": "pg_stat_statements"}
    cluster = Cluster(
        folder, next_free(_FIRST_PORT), new_password(), settings=settings, account=server_account()
    )
    try:
        cluster.initialise()
        cluster.start()
        yield cluster.url()
    finally:
        if cluster.pgdata.exists():
            cluster.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _databases(server: str) -> Iterator[Environment]:
    mark = f"hub_bench_{uuid.uuid4().hex[:8]}"
    names = {"floor": f"{mark}_floor", "hub": mark}
    password = secrets.token_urlsafe(24)
    with psycopg.connect(server, autocommit=True) as conn:
        try:
            for name in names.values():
                conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            urls = {which: _url(server, dbname=name) for which, name in names.items()}
            migrate(urls["hub"])
            # Like authenticator: no privilege of its own, but it can switch to partner.
            conn.execute(
                sql.SQL("create role {} login noinherit password {}").format(
                    sql.Identifier(mark), sql.Literal(password)
                )
            )
            conn.execute(sql.SQL("grant partner, hub_owner to {}").format(sql.Identifier(mark)))
            for which, schemas in (("floor", ["floor"]), ("hub", ["bench"])):
                _fill(urls[which], which, schemas)
            fsync, commit = conn.execute(
                "select current_setting('fsync'), current_setting('synchronous_commit')"
            ).fetchall()[0]
            yield Environment(
                urls["floor"],
                urls["hub"],
                _url(urls["floor"], user=mark, password=password),
                _url(urls["hub"], user=mark, password=password),
                durable=(fsync, commit) == ("on", "on"),
            )
        finally:
            for name in names.values():
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            conn.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(mark)))


def _fill(url: str, which: str, schemas: list[str]) -> None:
    """Run sql/<which>.sql and grant its objects to every login: the databases are scratch."""
    with psycopg.connect(url) as conn:
        conn.execute((SQL / f"{which}.sql").read_bytes())
        for schema in schemas:
            name = sql.Identifier(schema)
            conn.execute(sql.SQL("grant usage on schema {} to public").format(name))
            conn.execute(sql.SQL("grant all on all tables in schema {} to public").format(name))


def _url(url: str, *, dbname: str = "", user: str = "", password: str = "") -> str:
    """The same server's URL with another database, or another login."""
    parts = urlsplit(url)
    netloc, path = parts.netloc, parts.path
    if user:
        netloc = f"{quote(user)}:{quote(password)}@{netloc.rpartition('@')[2]}"
    if dbname:
        path = f"/{dbname}"
    return urlunsplit(parts._replace(netloc=netloc, path=path))
