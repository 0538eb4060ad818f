"""The tests' own PostgreSQL: one throwaway cluster, kept between runs, shared by runs that overlap.

A run holds a shared lock on `in-use`; the last one to leave stops the server.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from hub import paths
from hub.cluster import Cluster, cron_settings, new_password
from hub.migrate import migrate
from hub.migrate.tree import Tree
from hub.osuser import server_account
from hub.ports import next_free

# Below the ports that outgoing connections get (32768 on): one of those may sit on ours for a moment.
FIRST_PORT = 25815
CRON_DATABASE = "hub_cron_test"
TEMPLATE = "HUB_TEST_TEMPLATE"
JWT_SECRET = "for-tests-only-0123456789-0123456789-0123456789"
AUTHENTICATOR_PASSWORD = "for-tests-only"

# Nothing here outlives the machine, so nothing need reach the disk.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a file; other runs of the tests wait."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that the servers' account can enter (pytest's own is private to root)."""
    folder = paths.make_data_dir()[0] / f"scratch-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    folder.mkdir(mode=0o755)
    server_account().own(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def make_cluster(folder: Path, port: int) -> Cluster:
    """The cluster in `folder`, with the password that it was made with."""
    secret = folder / "password"
    if not secret.exists():
        secret.write_text(new_password())
        secret.chmod(0o600)
    return Cluster(folder, port, secret.read_text(), settings=_FAST | cron_settings(CRON_DATABASE))


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """The tests' cluster, started if need be, and stopped by the last run that uses it."""
    folder = paths.make_data_dir()[0] / "test"
    folder.mkdir(mode=0o755, exist_ok=True)
    server_account().own(folder)
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
                    pass  # another run of the tests still uses it
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
            migrate(cluster.url(making), jwt_secret=JWT_SECRET, authenticator_password=AUTHENTICATOR_PASSWORD)
            # Nobody may connect to a template, or cloning it would fail now and then.
            conn.execute(
                sql.SQL("alter database {} rename to {}").format(sql.Identifier(making), sql.Identifier(name))
            )
            conn.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name)))
    return name


def free_port(start: int) -> int:
    """A free port; each run of the tests begins elsewhere, so that two runs do not race for one."""
    return next_free(start + os.getpid() % 500)


def fresh_name(what: str) -> str:
    """A database name that tells which process made it, so that left-overs are recognised."""
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
    """Drop what killed runs left behind, and templates that are older than the last three."""
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
