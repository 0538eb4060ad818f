"""The PostgreSQL cluster of the tests: it is kept between runs, and concurrent runs share it.

A run holds a shared lock on `in-use`; the last run to end stops the server.
"""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from devtools.scratch import make_folder
from hub import paths, postgres
from hub.cluster import Cluster, cron_settings, new_password
from hub.migrate import migrate
from hub.migrate.tree import Tree
from hub.osuser import server_account
from hub.ports import next_free

# Below the range of outgoing connections (32768 on), which can occupy a port for a moment.
FIRST_PORT = 25815
CRON_DATABASE = "hub_cron_test"
TEMPLATE = "HUB_TEST_TEMPLATE"
JWT_SECRET = "for-tests-only-0123456789-0123456789-0123456789"
AUTHENTICATOR_PASSWORD = "for-tests-only"
CACHE_PASSWORD = "for-tests-only-cache"

MEMORY = Path("/dev/shm")  # noqa: S108 - `home` verifies whose folder it is
ROOM = 4 * 1024**3
"""Bytes that must be free in memory; a run needs less than half of them."""

# The data does not need to survive a crash of the machine. Sessions of the hub's roles run without jit, too.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "200",
    "max_wal_size": "256MB",
}


LAUNCHERS = int(postgres.has_extension("pg_cron"))
"""How many launchers of pg_cron a running stack has."""
needs_cron = pytest.mark.skipif(
    not LAUNCHERS, reason="this PostgreSQL runs without jobs: pg_cron is not installed"
)
needs_plpgsql_check = pytest.mark.skipif(
    not postgres.has_extension("plpgsql_check"), reason="plpgsql_check is not installed"
)


def environment_without_settings() -> dict[str, str]:
    """The variables for a command of its own; of the hub's settings, only the PostgreSQL that is tested."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return kept | {name: os.environ[name] for name in ["HUB_PG_BIN"] if name in os.environ}


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a file; other test runs wait for it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def home() -> Path:
    """The folder of the tests' servers: in memory where there is room, else the data folder.

    A file system in memory creates and drops databases many times faster. The cluster and its templates stay
    there between runs; a run of any checkout removes them after their checkout is gone.
    """
    data = paths.make_data_dir()[0]
    folder = MEMORY / f"hub-test-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
    account = server_account()
    with suppress(FileNotFoundError):
        # Another worker may not have changed the owner yet; what anyone else created is not used.
        if folder.lstat().st_uid not in {os.geteuid(), account.uid}:
            return data
    if not folder.exists() and not _has_room():
        return data
    account.make_folder(folder)
    origin = folder / "data-folder"
    if not origin.exists():
        origin.write_text(str(data))
        _remove_abandoned()
    return folder


def _has_room() -> bool:
    """Whether programs can be run in a file system in memory, and enough of it is free."""
    if not MEMORY.is_dir() or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return False
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(memory["MemAvailable"].split()[0]) * 1024
    return min(available, shutil.disk_usage(MEMORY).free) >= ROOM


def _remove_abandoned() -> None:
    for folder in MEMORY.glob("hub-test-*"):
        with suppress(OSError):
            if not Path((folder / "data-folder").read_text()).exists():
                shutil.rmtree(folder)


@contextmanager
def scratch_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """A folder that the servers' account can enter (pytest's own is private to root)."""
    folder = make_folder(f"scratch-{os.getpid()}", None if on_disk else home())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def make_cluster(folder: Path, port: int) -> Cluster:
    """The cluster in `folder`, with the password that it was initialised with."""
    secret = folder / "password"
    if not secret.exists():
        secret.write_text(new_password())
        secret.chmod(0o600)
    return Cluster(folder, port, secret.read_text(), settings=_FAST | cron_settings(CRON_DATABASE))


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """The cluster of the tests: started unless it runs, and stopped by the last run that uses it."""
    folder = home() / "test"
    server_account().make_folder(folder)
    kept = folder / "port"
    with (folder / "in-use").open("a") as in_use:
        with locked(folder / "starting"):
            fcntl.flock(in_use, fcntl.LOCK_SH)
            cluster = make_cluster(folder, int(kept.read_text()) if kept.exists() else FIRST_PORT)
            cluster.initialise()
            if not cluster.is_running():
                cluster.port = next_free(cluster.port if cluster.port < 32768 else FIRST_PORT)
                kept.write_text(str(cluster.port))
                cluster.start()
            cluster.ensure_database(CRON_DATABASE)
        try:
            yield cluster
        finally:
            with locked(folder / "starting"):
                fcntl.flock(in_use, fcntl.LOCK_UN)
                try:
                    fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass  # another test run still uses it
                else:
                    cluster.stop()


def ensure_template(cluster: Cluster) -> str:
    """Name of a migrated database to clone from; its name holds the hash of sql/ and migrations/.

    HUB_TEST_TEMPLATE names an existing one: `hub dev mutate` runs the tests on mutated copies.
    """
    if given := os.environ.get(TEMPLATE):
        return given
    tree = Tree(paths.sql_root(), paths.migrations_root())
    name = f"hub_template_{tree.fingerprint()[:12]}"
    with locked(cluster.folder / "template"):
        sweep(cluster, keep=name)
        with psycopg.connect(cluster.url(), autocommit=True) as conn:
            if conn.execute("select from pg_database where datname = %s", [name]).rowcount:
                return name
            making = fresh_name("making")
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(making)))
            migrate(
                cluster.url(making),
                jwt_secret=JWT_SECRET,
                authenticator_password=AUTHENTICATOR_PASSWORD,
                cache_password=CACHE_PASSWORD,
            )
            # A template with a connection cannot be cloned.
            conn.execute(
                sql.SQL("alter database {} rename to {}").format(sql.Identifier(making), sql.Identifier(name))
            )
            conn.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name)))
    return name


def free_port(start: int) -> int:
    """A free port from `start` on; each process of a test run searches other tens."""
    return next_free(start + os.getpid() % 50 * 10)


def fresh_name(what: str) -> str:
    """A database name that contains the id of the process, so that `sweep` recognises leftovers."""
    return f"hub_t_{os.getpid()}_{what}_{uuid.uuid4().hex[:8]}"


@contextmanager
def scratch_database(cluster: Cluster, what: str, template: str, owner: str | None = None) -> Iterator[str]:
    """Name of a copy of the database `template`, dropped when the block ends."""
    name = fresh_name(what)
    create = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
    if owner:
        create += sql.SQL(" owner {}").format(sql.Identifier(owner))
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        conn.execute(create)
        try:
            yield name
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def sweep(cluster: Cluster, keep: str) -> None:
    """Drop databases of killed runs, and templates older than the last three."""
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        rows = conn.execute(
            "select datname from pg_database where datname ~ '^hub_(t|template)_' order by oid desc"
        ).fetchall()
        names = [row[0] for row in rows]
        templates = [name for name in names if name.startswith("hub_template_") and name != keep]
        orphans = [
            name for name in names if name.startswith("hub_t_") and not _alive(int(name.split("_")[2]))
        ]
        for name in templates[3:] + orphans:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
