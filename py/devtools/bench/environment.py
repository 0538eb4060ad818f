"""Where a bench runs: two scratch databases of one durable cluster, both gone when it ends."""

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
    # Durability and memory stay as PostgreSQL ships them; only checkpoints are kept out of the rounds.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "max_connections": "50",
}


@dataclass(frozen=True)
class Place:
    """Both databases, as their superuser and as the login that pgbench uses."""

    floor: str
    hub: str
    floor_login: str
    hub_login: str
    durable: bool

    def admin(self, url: str) -> psycopg.Connection[Any]:
        """A superuser's connection to one of them."""
        return psycopg.connect(url, autocommit=True)

    def settle(self, *, analyze: bool = False) -> None:
        """Between rounds: what the last one left to write is written before the next one starts."""
        for url in (self.floor, self.hub):
            with self.admin(url) as conn:
                conn.execute("vacuum analyze" if analyze else "checkpoint")


@contextmanager
def prepared(database: str | None, *, profiling: bool = False) -> Iterator[Place]:
    """A place with both schemas and their rows: in a throwaway cluster, or in the one of `database`."""
    with ExitStack() as stack:
        server = database or stack.enter_context(_throwaway(profiling))
        yield stack.enter_context(_databases(server))


@contextmanager
def _throwaway(profiling: bool) -> Iterator[str]:
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
def _databases(server: str) -> Iterator[Place]:
    mark = f"hub_bench_{uuid.uuid4().hex[:8]}"
    names = {"floor": f"{mark}_floor", "hub": mark}
    password = secrets.token_urlsafe(24)
    with psycopg.connect(server, autocommit=True) as conn:
        try:
            for name in names.values():
                conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            urls = {which: _other(server, dbname=name) for which, name in names.items()}
            migrate(urls["hub"])
            # Like authenticator: no right of its own, but it may become a partner.
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
            yield Place(
                urls["floor"],
                urls["hub"],
                _other(urls["floor"], user=mark, password=password),
                _other(urls["hub"], user=mark, password=password),
                durable=(fsync, commit) == ("on", "on"),
            )
        finally:
            for name in names.values():
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            conn.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(mark)))


def _fill(url: str, which: str, schemas: list[str]) -> None:
    """Run bench/<which>.sql; the databases are scratch, so everybody may use what it makes."""
    with psycopg.connect(url) as conn:
        conn.execute((SQL / f"{which}.sql").read_bytes())
        for schema in schemas:
            name = sql.Identifier(schema)
            conn.execute(sql.SQL("grant usage on schema {} to public").format(name))
            conn.execute(sql.SQL("grant all on all tables in schema {} to public").format(name))


def _other(url: str, *, dbname: str = "", user: str = "", password: str = "") -> str:
    """The same server's URL with another database, or another login."""
    parts = urlsplit(url)
    netloc, path = parts.netloc, parts.path
    if user:
        netloc = f"{quote(user)}:{quote(password)}@{netloc.rpartition('@')[2]}"
    if dbname:
        path = f"/{dbname}"
    return urlunsplit(parts._replace(netloc=netloc, path=path))
