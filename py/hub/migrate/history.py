"""yoyo keeps the history; we give it our connection, our schema and our lock.

Three things of yoyo's own loop are not wanted here: it marks a step as applied in another transaction than
the one that applied it (after a crash between the two it would be applied twice), it skips a migration that
cannot be loaded, and its lock row outlives a killed process. So we call yoyo's parts ourselves, under our
advisory lock.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from yoyo import exceptions, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import MigrationList

from hub.migrate.bootstrap import OWNER
from hub.migrate.errors import MigrationError
from hub.migrate.steps import PIN
from hub.migrate.tree import Tree, applying, sha256, shown

logging.getLogger("yoyo.migrations").setLevel(logging.CRITICAL)  # it logs what it raises


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """yoyo on a connection that is open already, in the schema `migration`, as the owner of everything."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._given = conn
        super().__init__(parse_uri("postgresql+psycopg:///"), "_yoyo_migration")

    def connect(self, dburi: object) -> psycopg.Connection[Any]:
        return self._given

    def init_connection(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"set role {OWNER}")
        connection.execute("set search_path = migration")


def load(tree: Tree) -> MigrationList:
    """Read every migration and check every pin, applied or not. Raises MigrationError."""
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
                raise MigrationError(f"cannot be loaded: {cause}", path=shown(tree.migrations)) from bad
            names |= {match["name"] for match in PIN.finditer(migration.source)}
    for path in tree.schema_files():
        if path.name not in names:
            raise MigrationError(
                "no migration applies this file", path=shown(path), hint="./hub dev repin writes one"
            )
    return found


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Let Python keep no compiled migrations.

    It takes a compiled file for current by the source's second and size, and a new pin alters neither.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def apply_pending(conn: psycopg.Connection[Any], tree: Tree) -> list[str]:
    """Apply what is pending, each step and its mark in one transaction; returns the ids.

    Raises MigrationError.
    """
    migrations = load(tree)
    backend = _Backend(conn)
    try:
        if not conn.execute("select to_regclass('migration.yoyo_lock')").fetchall()[0][0]:
            backend.create_lock_table()
        backend.break_lock()  # a row left by a killed process: we hold the advisory lock, so nobody migrates
        _refuse_drift(conn, tree)
        _refuse_newer(conn, migrations)
        applied = []
        for migration in backend.to_apply(migrations):
            with backend.transaction():
                migration.process_steps(backend, "apply")
                backend.mark_one(migration)
            applied.append(str(migration.id))
        return applied
    finally:
        conn.execute("reset role")
        conn.execute("reset search_path")


def _refuse_drift(conn: psycopg.Connection[Any], tree: Tree) -> None:
    """Refuse a database that was made from other text than the files now hold."""
    for path, digest in conn.execute(
        "select path, sha256 from migration.schema_file order by path"
    ).fetchall():
        file = tree.sql / path
        if file.exists() and sha256(file) != digest:
            raise MigrationError(
                "this database was made from an earlier text of the file",
                path=shown(file),
                hint="before the first release: make it anew (./hub reset --yes); after it: undo the edit",
            )


def _refuse_newer(conn: psycopg.Connection[Any], migrations: MigrationList) -> None:
    """Refuse a database that has steps which this checkout does not know."""
    known = {migration.id for migration in migrations}
    if not conn.execute("select to_regclass('migration._yoyo_migration')").fetchall()[0][0]:
        return
    rows = conn.execute("select migration_id from migration._yoyo_migration order by migration_id").fetchall()
    unknown = [row[0] for row in rows if row[0] not in known]
    if unknown:
        raise MigrationError(
            f"the database is ahead of this checkout: it has {', '.join(unknown)}",
            hint="use the checkout that migrated it, or a newer one",
        )
