"""`hub migrate --dry-run`: the SQL of a migration, and the lock that each statement takes.

The locks of the steps are observed, not guessed: a scratch database gets the steps that were applied,
then the pending ones, statement by statement, each followed by a look into pg_locks. It holds no rows, so
that nothing takes long, and is dropped at the end. The migrated database is only read.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, errors, sql

from hub.migrate import concurrently, history, repeatable, script
from hub.migrate.bootstrap import OWNER, bootstrap
from hub.migrate.steps import PIN
from hub.migrate.tree import Tree, shown

_HELD = """
select l.relation, l.relation::regclass::text, l.mode
from pg_catalog.pg_locks l
where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.mode <> 'AccessShareLock'
  and l.relation = any (%s)
order by 2
"""
_WORDS = {
    "RowShareLock": "ROW SHARE",
    "RowExclusiveLock": "ROW EXCLUSIVE",
    "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
    "ShareLock": "SHARE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}
_RANK = list(_WORDS)
_NEW = "none on what exists"


def dry_run(conn: psycopg.Connection[Any], tree: Tree) -> list[str]:
    """The lines to print. Raises MigrationError for what a migration would refuse."""
    migrations = history.load(tree)
    if not conn.execute("select to_regclass('migration.schema_file')").fetchall()[0][0]:
        return [f"the database is empty: {len(migrations)} steps and all functions, policies and api"]
    history.refuse_drift(conn, tree)
    history.refuse_newer(conn, migrations)
    done = set(history.applied(conn))
    pending = [migration for migration in migrations if migration.id not in done]
    history.refuse_late(conn, [migration.id for migration in pending])
    lines: list[str] = []
    if pending:
        files = {migration.id: _files(tree, migration.source) for migration in migrations}
        try:
            with _scratch(conn, tree) as scratch:
                for migration in migrations:
                    for path in files[migration.id]:
                        if migration.id in done:
                            _replay(scratch, path)
                        else:
                            lines += [f"-- step {migration.id}", *_observed(scratch, path)]
        except errors.InsufficientPrivilege:
            lines.append("-- locks are not shown: the login may not create a scratch database")
            for migration in pending:
                lines.append(f"-- step {migration.id}")
                lines += [path.read_text().rstrip() for path in files[migration.id]]
    for what, statement in repeatable.planned(conn, tree):
        lines.append(f"-- {what} {statement.kind}, lock: {statement.lock}")
        lines.append(f"{statement.text};" if statement.text else f"-- {statement.name}")
    return lines or ["nothing to do"]


def new_mark() -> str:
    """What distinguishes the scratch databases of two dry runs."""
    return secrets.token_hex(4)


def _files(tree: Tree, source: str) -> list[Path]:
    return [tree.sql / "schema" / match["name"] for match in PIN.finditer(source)]


@contextmanager
def _scratch(conn: psycopg.Connection[Any], tree: Tree) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty database of the same cluster."""
    name = f"hub_dry_run_{new_mark()}"
    identifier = sql.Identifier(name)
    conn.execute(sql.SQL("create database {} template template0").format(identifier))
    try:
        target = conninfo.make_conninfo(conn.info.dsn, dbname=name, password=conn.info.password)
        with psycopg.connect(target, autocommit=True) as scratch:
            bootstrap(scratch, tree, {})
            scratch.execute(f"set role {OWNER}")
            scratch.execute("set search_path = ''")
            yield scratch
    finally:
        conn.execute(sql.SQL("drop database {} with (force)").format(identifier))


def _replay(scratch: psycopg.Connection[Any], path: Path) -> None:
    text = path.read_text()
    if concurrently.is_outside_transaction(text):
        concurrently.run(scratch, shown(path), text)
        return
    with scratch.transaction():
        script.run(scratch, shown(path), text)


def _observed(scratch: psycopg.Connection[Any], path: Path) -> list[str]:
    """The statements of a file with the locks that each adds; they are applied."""
    text = path.read_text()
    parts = [text[part.start : part.end] for part in script.statements(text)]
    if concurrently.is_outside_transaction(text):
        concurrently.run(scratch, shown(path), text)
        return [f"-- outside a transaction, lock: {_concurrently(part)}\n{part};" for part in parts]
    existing = [
        row[0]
        for row in scratch.execute(
            "select c.oid from pg_catalog.pg_class c where c.relkind in ('r', 'p', 'v', 'm')"
            " and c.relnamespace::regnamespace::text = any ('{app,api,auth,jobs}')"
        ).fetchall()
    ]
    lines, held = [], dict[int, str]()
    with scratch.transaction():
        for statement in script.statements(text):
            part = text[statement.start : statement.end]
            line = script.line_at(text, statement.start)
            script.run(scratch, shown(path), "\n" * (line - 1) + part)
            added = {}
            for oid, name, mode in scratch.execute(_HELD, [existing]).fetchall():
                before = held.get(oid)
                if before is None or _RANK.index(mode) > _RANK.index(before):
                    held[oid] = mode
                    raised = f", raised from {_WORDS[before]}: put this statement first" if before else ""
                    added[oid] = f"{_WORDS[mode]} on {name}{raised}"
            lines.append(f"-- lock: {', '.join(added.values()) or _NEW}\n{part};")
    return lines


def _concurrently(part: str) -> str:
    table = concurrently.table_of(part)
    return f"SHARE UPDATE EXCLUSIVE{' on ' + table if table else ''}, readers and writers go on"
