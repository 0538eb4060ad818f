"""Applies the once-only steps; yoyo keeps their history in the schema `migration`.

yoyo's own loop is not used, for three reasons: it marks a step as applied in another transaction than the one
that applies it, so that a crash between the two applies it twice; it skips a migration that cannot be loaded;
and its lock row survives a killed process. Here yoyo's parts are called under the advisory lock of `hub
migrate`.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from yoyo import exceptions, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import Migration, MigrationList

from hub.migrate import locks
from hub.migrate.bootstrap import OWNER
from hub.migrate.errors import MigrationError
from hub.migrate.steps import PIN
from hub.migrate.tree import Tree, applying, sha256, shown

logging.getLogger("yoyo.migrations").setLevel(logging.CRITICAL)  # it logs what it raises


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """yoyo on an open connection, in the schema `migration`, as the role that owns all objects."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._given = conn
        super().__init__(parse_uri("postgresql+psycopg:///"), "_yoyo_migration")

    def connect(self, dburi: object) -> psycopg.Connection[Any]:
        return self._given

    def init_connection(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"set role {OWNER}")
        connection.execute("set search_path = migration")


def load(tree: Tree) -> MigrationList:
    """Read every migration and check every pin, whether applied or not.

    Raises MigrationError for a wrong pin, a migration that cannot be loaded, or a schema file without one.
    """
    found = read_migrations(str(tree.migrations))
    names: set[str] = set()
    with applying(tree), _no_bytecode():
        for migration in found:
            try:
                migration.load()
            except exceptions.BadMigration as bad:
                cause = bad.args[1] if len(bad.args) > 1 else bad
                if isinstance(cause, MigrationError):
                    raise cause from None
                raise MigrationError(
                    f"a migration cannot be loaded: {cause}", path=shown(tree.migrations)
                ) from bad
            names |= {match["name"] for match in PIN.finditer(migration.source)}
    for path in tree.schema_files():
        if path.name not in names:
            raise MigrationError(
                "no migration applies this file", path=shown(path), hint="./hub dev repin adds one"
            )
    return found


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Keep Python from caching compiled migrations.

    Python compares the source's modification time in seconds and its size, and a new pin may change neither.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def apply_pending(conn: psycopg.Connection[Any], tree: Tree) -> list[str]:
    """Apply the pending steps, each with its mark in one transaction; returns their ids.

    Raises MigrationError if a step fails, or the database does not match the files.
    """
    migrations = load(tree)
    backend = _Backend(conn)
    try:
        if not conn.execute("select to_regclass('migration.yoyo_lock')").fetchall()[0][0]:
            backend.create_lock_table()
        backend.break_lock()  # of a killed process: under the advisory lock, no other one runs
        refuse_drift(conn, tree)
        refuse_newer(conn, migrations)
        pending = backend.to_apply(migrations)
        refuse_late(conn, [migration.id for migration in pending])
        for migration in pending:
            try:
                for attempt in locks.attempts():
                    with attempt:
                        _apply(backend, migration)
            except locks.BUSY as busy:
                raise locks.busy(busy, migration.id) from busy
        return [str(migration.id) for migration in pending]
    finally:
        conn.execute("reset role")
        conn.execute("reset search_path")


def _apply(backend: _Backend, migration: Migration) -> None:
    """Apply a step and mark it, in one transaction unless its module says `__transactional__ = False`."""
    if not migration.use_transactions:
        migration.process_steps(backend, "apply")
    with backend.transaction():
        if migration.use_transactions:
            migration.process_steps(backend, "apply")
        backend.mark_one(migration)


def applied(conn: psycopg.Connection[Any]) -> list[str]:
    """Ids of the steps that were applied, in their order."""
    if not conn.execute("select to_regclass('migration._yoyo_migration')").fetchall()[0][0]:
        return []
    rows = conn.execute("select migration_id from migration._yoyo_migration order by 1").fetchall()
    return [str(row[0]) for row in rows]


def refuse_late(conn: psycopg.Connection[Any], pending: Sequence[str]) -> None:
    """Refuse steps that sort before an applied one: new databases would apply them in another order."""
    last = max(applied(conn), default="")
    late = sorted(step for step in pending if step < last)
    if late:
        raise MigrationError(
            f"{', '.join(late)} sorts before {last}, which this database has already applied",
            hint="number the new file of sql/schema after the last one, and run ./hub dev repin",
        )


def refuse_drift(conn: psycopg.Connection[Any], tree: Tree) -> None:
    """Refuse a database that was created from an earlier version of a schema file."""
    for path, digest in conn.execute(
        "select path, sha256 from migration.schema_file order by path"
    ).fetchall():
        file = tree.sql / path
        if file.exists() and sha256(file) != digest:
            raise MigrationError(
                "this database was created from an earlier version of the file",
                path=shown(file),
                hint="before the first release: recreate it (./hub reset --yes); after it: undo the edit",
            )


def refuse_newer(conn: psycopg.Connection[Any], migrations: MigrationList) -> None:
    """Refuse a database with steps that this checkout does not contain."""
    known = {migration.id for migration in migrations}
    unknown = [step for step in applied(conn) if step not in known]
    if unknown:
        raise MigrationError(
            f"the database is ahead of this checkout: it has {', '.join(unknown)}",
            hint="use the version of the hub that migrated it, or a newer one",
        )
