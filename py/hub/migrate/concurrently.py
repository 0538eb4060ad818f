"""Schema files whose first line is `-- transaction: none`: they run outside one, statement by statement.

For indexes of large tables: CREATE INDEX CONCURRENTLY lets readers and writers go on. Such a file may be
interrupted between two statements, so each of them can be repeated: an index that exists is left alone, one
that an interrupted run left invalid is dropped and built again.
"""

import re
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from hub.migrate import locks, script
from hub.migrate.errors import MigrationError

_HEADER = re.compile(r"-- transaction: none[ \t]*\n")
_ALLOWED = re.compile(
    r"(?:create (?:unique )?index concurrently (?P<index>\w+) on (?P<table>\w+ \. \w+)"
    r"|drop index concurrently if exists|reindex (?:index|table) concurrently|analyze|vacuum)\b"
)
_WAIT = "60s"
"""The longest wait. It may be long: readers and writers do not queue behind such a statement."""


def is_outside_transaction(text: str) -> bool:
    """Whether the file says so in its first line."""
    return _HEADER.match(text) is not None


def run(conn: psycopg.Connection[Any], path: Path, text: str) -> None:
    """Execute each statement of the file by itself; `conn` is in no transaction.

    Raises MigrationError for a statement that cannot be repeated, one that fails, or one that does not get
    its locks.
    """
    parts = [(part, _checked(path, text, part)) for part in script.statements(text)]
    conn.execute(f"set lock_timeout = '{_WAIT}'")
    try:
        for part, allowed in parts:
            alone = "\n" * (script.line_at(text, part.start) - 1) + text[part.start : part.end]
            for attempt in locks.attempts():
                with attempt:
                    if not (allowed["index"] and _is_built(conn, allowed["index"], allowed["table"])):
                        script.run(conn, path, alone)
    except locks.BUSY as busy:
        raise locks.busy(busy, str(path)) from busy
    finally:
        conn.execute("reset lock_timeout")


def table_of(text: str) -> str:
    """The table of an index that the statement builds; empty for other statements."""
    allowed = _ALLOWED.match(" ".join(script.tokens(text)))
    return (allowed["table"] or "").replace(" ", "") if allowed else ""


def _checked(path: Path, text: str, part: script.Statement) -> re.Match[str]:
    allowed = _ALLOWED.match(" ".join(script.tokens(text[part.start : part.end])))
    if not allowed:
        raise MigrationError(
            "outside a transaction a statement must be one that can be repeated",
            path=path,
            line=script.line_at(text, part.start),
            hint="create [unique] index concurrently NAME on SCHEMA.TABLE, drop index concurrently if "
            "exists, reindex ... concurrently, analyze or vacuum; others belong to a file of their own",
        )
    return allowed


def _is_built(conn: psycopg.Connection[Any], index: str, table: str) -> bool:
    """Whether the index is there and valid; one that an interrupted run left is dropped."""
    row = conn.execute(
        "select i.indexrelid::regclass::text, i.indisvalid from pg_catalog.pg_index i"
        " join pg_catalog.pg_class c on c.oid = i.indexrelid"
        " where i.indrelid = to_regclass(%s) and c.relname = %s",
        [table.replace(" ", ""), index],
    ).fetchone()
    if row is None:
        return False
    if row[1]:
        return True
    conn.execute(sql.SQL("drop index concurrently {}").format(sql.Identifier(*row[0].split("."))))
    return False
