"""The environment of a benchmark: scratch databases of one durable cluster, dropped at the end."""

import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from devtools.bench.errors import BenchError
from devtools.bench.pgbench import SQL
from devtools.scratch import scratch_cluster
from hub import postgres
from hub.environment import child_environment
from hub.migrate import migrate

_FIRST_PORT = 26815
_SETTINGS = {
    # PostgreSQL's defaults, but no checkpoint runs within a round.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "max_connections": "50",
}
_SETTLED = {
    # For processor time: nothing but the calls themselves.
    "fsync": "off",
    "autovacuum": "off",
    "shared_buffers": "512MB",
    "wal_init_zero": "off",
    "wal_buffers": "64MB",
}


@dataclass(frozen=True)
class Checkout:
    """Two databases of another source tree: the hub, and floor C, its tables without triggers."""

    name: str
    hub: str
    floor_c: str
    hub_login: str
    floor_c_login: str


@dataclass(frozen=True)
class Environment:
    """URLs of the databases, as superuser and as the login of pgbench."""

    floor: str
    hub: str
    floor_c: str
    floor_login: str
    hub_login: str
    floor_c_login: str
    durable: bool
    compared: tuple[Checkout, ...] = ()

    def admin(self, url: str) -> psycopg.Connection[Any]:
        """Connect to one of them as superuser."""
        return psycopg.connect(url, autocommit=True)

    def settle(self, *, analyze: bool = False) -> None:
        """Write dirty pages between rounds, so that no round pays for the one before."""
        others = [url for checkout in self.compared for url in (checkout.hub, checkout.floor_c)]
        for url in (self.floor, self.floor_c, self.hub, *others):
            with self.admin(url) as conn:
                conn.execute("vacuum analyze" if analyze else "checkpoint")

    @contextmanager
    def copies(self, names: Sequence[str]) -> Iterator[list["Environment"]]:
        """Copy the hub's database under further names; the copies are dropped at the end."""
        template = urlsplit(self.hub).path.lstrip("/")
        copies = [f"{template}_{name}" for name in names]
        with psycopg.connect(_url(self.hub, dbname="postgres"), autocommit=True) as conn:
            try:
                for copy in copies:
                    conn.execute(
                        sql.SQL("create database {} template {}").format(
                            sql.Identifier(copy), sql.Identifier(template)
                        )
                    )
                yield [
                    replace(
                        self, hub=_url(self.hub, dbname=copy), hub_login=_url(self.hub_login, dbname=copy)
                    )
                    for copy in copies
                ]
            finally:
                for copy in copies:
                    conn.execute(
                        sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(copy))
                    )


@contextmanager
def prepared(
    database: str | None,
    *,
    profiling: bool = False,
    durable: bool = True,
    compare: Sequence[Path] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Environment]:
    """Create the databases with their rows, in a temporary cluster or in the one of `database`.

    `compare` are other checkouts of the project; each gets two databases of its own. Unless `durable`, the
    temporary cluster is set up for measuring processor time. `settings` are further ones of that cluster.
    """
    with ExitStack() as stack:
        all_settings = _SETTINGS | ({} if durable else _SETTLED) | dict(settings or {})
        server = database or stack.enter_context(_temporary_cluster(all_settings, profiling=profiling))
        yield stack.enter_context(_databases(server, compare))


@contextmanager
def _temporary_cluster(settings: dict[str, str], *, profiling: bool) -> Iterator[str]:
    if profiling:
        if not postgres.has_extension("pg_stat_statements"):
            raise BenchError("the profile needs pg_stat_statements", hint="apt-get install postgresql")
        settings = settings | {"shared_preload_libraries": "pg_stat_statements"}
    with scratch_cluster("bench", _FIRST_PORT, settings) as cluster:
        yield cluster.url()


@contextmanager
def _databases(server: str, compare: Sequence[Path]) -> Iterator[Environment]:
    mark = f"hub_bench_{uuid.uuid4().hex[:8]}"
    password = secrets.token_urlsafe(24)
    names: list[str] = []

    def create(what: str, template: str = "template1") -> str:
        names.append(f"{mark}{what}")
        conn.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(names[-1]), sql.Identifier(template)
            )
        )
        return _url(server, dbname=names[-1])

    def login(url: str) -> str:
        return _url(url, user=mark, password=password)

    def pair(what: str, checkout: Path | None) -> tuple[str, str]:
        hub = create(what)
        _migrate(hub, checkout)
        _fill(hub, "hub", "bench")
        floor_c = create(f"{what}_floor_c", template=f"{mark}{what}")
        _fill(floor_c, "floor_c", "bench")
        return hub, floor_c

    with psycopg.connect(server, autocommit=True) as conn:
        try:
            floor = create("_floor")
            _fill(floor, "floor", "floor")
            hub, floor_c = pair("", None)
            # Like authenticator: no privilege of its own, but it can switch to partner.
            conn.execute(
                sql.SQL("create role {} login noinherit password {}").format(
                    sql.Identifier(mark), sql.Literal(password)
                )
            )
            conn.execute(sql.SQL("grant authenticator, hub_owner to {}").format(sql.Identifier(mark)))
            conn.execute(sql.SQL("alter role {} set jit = off").format(sql.Identifier(mark)))
            compared = tuple(
                Checkout(folder.resolve().name, *urls, *map(login, urls))
                for number, folder in enumerate(compare, 1)
                for urls in (pair(f"_{number}", folder),)
            )
            fsync, commit = conn.execute(
                "select current_setting('fsync'), current_setting('synchronous_commit')"
            ).fetchall()[0]
            yield Environment(
                floor,
                hub,
                floor_c,
                login(floor),
                login(hub),
                login(floor_c),
                durable=(fsync, commit) == ("on", "on"),
                compared=compared,
            )
        finally:
            for name in names:
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            conn.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(mark)))


def _migrate(url: str, checkout: Path | None) -> None:
    """Migrate a database by this source tree, or by the one in `checkout` with its own migrator."""
    if checkout is None:
        migrate(url)
        return
    source = checkout.resolve() / "py"
    if not (source / "hub").is_dir():
        raise BenchError(f"{checkout} is no checkout of the project", hint="it has no folder py/hub")
    done = subprocess.run(
        [sys.executable, "-m", "hub", "migrate"],
        cwd=source,
        env=child_environment(
            {"PYTHONPATH": str(source), "HUB_DATABASE_URL": url}, without=("HUB_ROOT", "PYTHONPATH")
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"the migration of {checkout} failed", hint=done.stderr.strip()[-2000:])


def _fill(url: str, which: str, schema: str) -> None:
    """Run sql/<which>.sql and grant its objects to every login: the databases are scratch."""
    with psycopg.connect(url) as conn:
        conn.execute((SQL / f"{which}.sql").read_bytes())
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
