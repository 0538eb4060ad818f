"""Applies functions, policies and api: what changed, and what depends on it, in one transaction.

See docs/adr/0002-repeatable-sql.md for the reasons. A repeatable file may create functions, views, types of
the schema `api`, triggers, policies, grants and comments. Objects of schema files
(migration.schema_object) stay.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors

from hub.migrate import declarations, inventory, locks, object_ownership, script
from hub.migrate.bootstrap import OWNER
from hub.migrate.changes import Changes, apply_all, depended_on
from hub.migrate.declarations import Declared
from hub.migrate.report import Report
from hub.migrate.tree import Tree, sha256, shown
from hub.migrate.validate import invalid

_STEPS = "schema"


def apply_repeatables(conn: psycopg.Connection[Any], tree: Tree, report: Report) -> None:
    """Make the functions, policies and api of the database those of the files; fill `report`.

    The first time all are created. Raises MigrationError, after a rollback, if a file fails or a table stays
    locked.
    """
    files = tree.repeatable_files()
    wanted = {name: sha256(path) for name, path in files.items()}
    stored: dict[str, str] = dict(conn.execute("select path, sha256 from migration.repeatable").fetchall())
    # New tables need grants, also if the run that created them failed before this point.
    wanted[_STEPS] = _steps(conn)
    if stored == wanted and _is_unchanged(conn):
        return
    declared = declarations.read(files)
    done: list[str] = []
    paths = list(files.values())
    try:
        for attempt in locks.attempts():
            with attempt, conn.transaction():
                _prepare(conn)
                ledger = inventory.recorded(conn)
                if ledger:
                    done = Changes(conn, declared, ledger).apply(
                        regrant=stored.get(_STEPS) != wanted[_STEPS],
                        invalid=lambda names: invalid(conn, paths, names),
                    )
                else:
                    done = _recreate(conn, paths)
                    for error in invalid(conn, paths).values():
                        raise error
    except locks.BUSY as busy:
        raise locks.busy(busy, "functions, policies and api") from busy
    # A transaction of its own, because it takes longer than the locks may last. If it fails, the next
    # migration finds differences, and applies again what is the same.
    with conn.transaction():
        _prepare(conn)
        if done:
            inventory.record(conn, declared)
        _store(conn, wanted)
    report.objects = done
    report.files_changed = sorted(
        name for name, digest in wanted.items() if stored.get(name) != digest and name != _STEPS
    )
    report.files_removed = sorted(stored.keys() - wanted.keys())


def planned(conn: psycopg.Connection[Any], tree: Tree) -> list[tuple[str, Declared]]:
    """What a migration would do, each with the statement or, for a drop, without text; changes nothing."""
    declared = declarations.read(tree.repeatable_files())
    with conn.transaction(force_rollback=True):
        conn.execute("set local search_path = ''")
        has_ledger = conn.execute("select to_regclass('migration.repeatable_object')").fetchall()[0][0]
        ledger = inventory.recorded(conn) if has_ledger else None
        if ledger:
            return Changes(conn, declared, ledger).planned()
        return [("create", statement) for statement in declared]


def _is_unchanged(conn: psycopg.Connection[Any]) -> bool:
    with conn.transaction(force_rollback=True):
        conn.execute("set local search_path = ''")
        return inventory.is_unchanged(conn)


def _steps(conn: psycopg.Connection[Any]) -> str:
    rows = conn.execute("select path, sha256 from migration.schema_file order by path").fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _prepare(conn: psycopg.Connection[Any]) -> None:
    conn.execute(f"set local role {OWNER}")
    conn.execute(f"set local lock_timeout = {locks.WAIT_MS}")
    conn.execute("set local statement_timeout = 0")
    conn.execute("set local search_path = ''")
    # Files refer to functions of later files; bodies are validated at the end.
    conn.execute("set local check_function_bodies = off")
    conn.execute("set local client_min_messages = warning")


def _store(conn: psycopg.Connection[Any], wanted: dict[str, str]) -> None:
    conn.execute("delete from migration.repeatable where path <> all (%s)", [list(wanted)])
    conn.execute(
        "insert into migration.repeatable (path, sha256) select * from unnest(%s::text[], %s::text[])"
        " on conflict (path) do update set sha256 = excluded.sha256, applied_at = now()"
        " where repeatable.sha256 <> excluded.sha256",
        [list(wanted), list(wanted.values())],
    )


def _recreate(conn: psycopg.Connection[Any], files: list[Path]) -> list[str]:
    """Drop whatever is there and apply all files: a database without a ledger."""
    conn.execute("drop schema if exists api cascade")
    conn.execute("create schema api")
    inventory.revoke_all(conn)
    for command in _drops(conn):
        try:
            conn.execute(command)
        except errors.DependentObjectsStillExist as held:
            raise depended_on(held) from held
    apply_all(files, lambda path: script.run(conn, shown(path), path.read_text()), conn.transaction)
    return [f"created the objects of {len(files)} files"]


_COMMANDS = """
select format('drop policy %%I on %%s', p.polname, p.polrelid::regclass)
from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid
where c.relnamespace::regnamespace::text = any(%(schemas)s)
union all
select format('drop trigger %%I on %%s', t.tgname, t.tgrelid::regclass)
from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
where c.relnamespace::regnamespace::text = any(%(schemas)s) and not t.tgisinternal and t.tgparentid = 0
"""

_DROPS = """
select 'drop view ' || string_agg(c.oid::regclass::text, ', ') || ' cascade'
from pg_catalog.pg_class c
where c.relnamespace::regnamespace::text = any(%(schemas)s) and c.relkind = 'v'
  and ('view', c.oid::regclass::text) not in (select kind, identity from migration.schema_object)
having count(*) > 0
union all
select 'drop materialized view ' || string_agg(c.oid::regclass::text, ', ') || ' cascade'
from pg_catalog.pg_class c
where c.relnamespace::regnamespace::text = any(%(schemas)s) and c.relkind = 'm'
  and ('view', c.oid::regclass::text) not in (select kind, identity from migration.schema_object)
having count(*) > 0
"""

_DROP_FUNCTIONS = """
select 'drop routine ' || string_agg(p.oid::regprocedure::text, ', ')
from pg_catalog.pg_proc p
where p.pronamespace::regnamespace::text = any(%(schemas)s)
  and not exists (select from pg_catalog.pg_depend d where d.objid = p.oid and d.deptype = 'e')
  and ('function', p.oid::regprocedure::text) not in (select kind, identity from migration.schema_object)
having count(*) > 0
"""


def _drops(conn: psycopg.Connection[Any]) -> Iterator[str]:
    """Commands that drop the repeatable objects of the private schemas.

    A query runs after earlier commands.
    """
    arguments = {"schemas": object_ownership.PRIVATE_SCHEMAS}
    for query in (_COMMANDS, _DROPS, _DROP_FUNCTIONS):
        for (command,) in conn.execute(query, arguments).fetchall():
            yield command
