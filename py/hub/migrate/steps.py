"""The step of a migration module: it applies a file of sql/schema and pins the file's SHA-256.

    from hub.migrate.steps import schema_file

    __depends__ = {"0000_foundation"}
    steps = [schema_file("11_regions.sql", sha256="...")]

A file that begins with `-- transaction: none` runs outside a transaction, and its module has
`__transactional__ = False` (see hub.migrate.concurrently).

yoyo does not detect that an applied file was edited; the pin does. `hub dev repin` writes both.
"""

import re
from typing import Any

import psycopg
from yoyo import step

from hub.migrate import concurrently, locks, object_ownership, script
from hub.migrate.errors import MigrationError
from hub.migrate.tree import current_tree, sha256, shown

PIN = re.compile(r'schema_file\(\s*"(?P<name>[^"]+)"\s*,\s*sha256="(?P<sha>[0-9a-f]{64})"')
"""The file and its hash in the text of a migration module."""


def schema_file(name: str, *, sha256: str) -> Any:
    """A yoyo step that applies sql/schema/`name`. Raises MigrationError if the file differs from its pin."""
    path = current_tree().sql / "schema" / name
    check_pin(path, sha256)

    def apply(conn: psycopg.Connection[Any]) -> None:
        text = path.read_text()
        conn.execute("set search_path = ''")
        before = object_ownership.objects(conn)
        if concurrently.is_outside_transaction(text):
            concurrently.run(conn, shown(path), text)
        else:
            conn.execute(f"set local lock_timeout = {locks.WAIT_MS}")
            script.run(conn, shown(path), text)
        object_ownership.record(conn, f"schema/{name}", sha256, before)
        conn.execute("set search_path = migration")

    return step(apply)


def check_pin(path: Any, pinned: str) -> None:
    """Raise MigrationError unless the file exists and has the pinned hash."""
    if not path.exists():
        raise MigrationError(
            "a migration applies this file, but it does not exist",
            path=shown(path),
            hint="restore the file, or delete the migration if it was never released",
        )
    if sha256(path) != pinned:
        raise MigrationError(
            "the file was edited after its hash was pinned in migrations/",
            path=shown(path),
            hint="before the first release: ./hub dev repin; after it: undo the edit and add a new file",
        )
