"""Applies functions, policies and api: when one file changed, all are dropped and created in one transaction.

See docs/adr/0002-repeatable-sql.md for the reasons. A repeatable file may create functions, views, triggers,
policies, grants and comments. Objects of schema files (migration.schema_object) stay.
"""

import hashlib
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from hub.migrate import object_ownership, script
from hub.migrate.bootstrap import OWNER
from hub.migrate.errors import MigrationError
from hub.migrate.report import Report
from hub.migrate.tree import Tree, sha256, shown
from hub.migrate.validate import validate

CALLERS = (
    "anon", "partner", "agent", "admin", "superadmin", "subdist", "erp", "messenger", "cache",
    "monitor", "authenticator",
)  # fmt: skip
"""Roles whose privileges come from repeatable files only; grants to other roles stay."""

_STEPS = "schema"
_LOCK_TIMEOUT = "3s"
_ATTEMPTS = 10
_MISSING = (errors.UndefinedFunction, errors.UndefinedTable, errors.UndefinedObject)
"""Errors of a file that names an object of a file not yet applied."""


def apply_repeatables(conn: psycopg.Connection[Any], tree: Tree, report: Report) -> None:
    """Apply all files of functions, policies and api if one differs from the database; fill `report`.

    Raises MigrationError, after a rollback, if a file fails or the tables stay locked.
    """
    files = tree.repeatable_files()
    wanted = {name: sha256(path) for name, path in files.items()}
    stored: dict[str, str] = dict(conn.execute("select path, sha256 from migration.repeatable").fetchall())
    steps = conn.execute("select path, sha256 from migration.schema_file order by path").fetchall()
    # New tables need grants and policies, also if the run that created them failed before this point.
    wanted[_STEPS] = hashlib.sha256(repr(steps).encode()).hexdigest()
    changed = sorted(name for name, digest in wanted.items() if stored.get(name) != digest)
    removed = sorted(stored.keys() - wanted.keys())
    if not (changed or removed):
        return
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type((errors.LockNotAvailable, errors.DeadlockDetected)),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=0.2, max=5),
            reraise=True,
        ):
            with attempt, conn.transaction():
                _recreate(conn, files, wanted)
    except (errors.LockNotAvailable, errors.DeadlockDetected) as busy:
        raise MigrationError(
            f"the tables were locked in {_ATTEMPTS} attempts of {_LOCK_TIMEOUT}: {str(busy).strip()}",
            hint="look for long transactions in pg_stat_activity, then run hub migrate again",
        ) from busy
    report.files_applied, report.files_changed, report.files_removed = (
        len(files),
        [c for c in changed if c != _STEPS],
        removed,
    )


def _recreate(conn: psycopg.Connection[Any], files: dict[str, Path], wanted: dict[str, str]) -> None:
    conn.execute(f"set local role {OWNER}")
    # Dropping a policy takes an exclusive lock: give up soon instead of queueing all callers behind it.
    conn.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
    conn.execute("set local statement_timeout = 0")
    conn.execute("set local search_path = ''")
    # Files refer to functions of later files; bodies are validated at the end.
    conn.execute("set local check_function_bodies = off")
    conn.execute("set local client_min_messages = warning")
    _drop(conn)
    _apply(conn, list(files.values()))
    validate(conn, list(files.values()))
    conn.execute("delete from migration.repeatable where path <> all (%s)", [list(wanted)])
    for name, digest in wanted.items():
        conn.execute(
            "insert into migration.repeatable (path, sha256) values (%s, %s) on conflict (path)"
            " do update set sha256 = excluded.sha256, applied_at = now()"
            " where repeatable.sha256 <> excluded.sha256",
            [name, digest],
        )


def _apply(conn: psycopg.Connection[Any], files: list[Path]) -> None:
    """Apply every file; a file that needs an object of a later one is applied again after it.

    Raises the MigrationError of the first file that fails in every order.
    """
    while files:
        postponed: list[Path] = []
        failure: MigrationError | None = None
        for path in files:
            try:
                with conn.transaction():
                    script.run(conn, shown(path), path.read_text())
            except MigrationError as error:
                if not isinstance(error.__cause__, _MISSING):
                    raise
                postponed.append(path)
                failure = failure or error
        if failure and len(postponed) == len(files):
            raise failure
        files = postponed


def _drop(conn: psycopg.Connection[Any]) -> None:
    """Drop the objects of repeatable files, and revoke their grants."""
    conn.execute("drop schema if exists api cascade")
    conn.execute("create schema api")
    for command in _commands(conn):
        try:
            conn.execute(command)
        except errors.DependentObjectsStillExist as held:
            message, hint = script.describe(held.diag)
            raise MigrationError(
                f"{message}; an object of a schema file depends on it",
                hint=f"{hint}\n  move functions of defaults, constraints and indexes to sql/schema",
            ) from held


_COMMANDS = """
select format('drop policy %%I on %%s', p.polname, p.polrelid::regclass)
from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid
where c.relnamespace::regnamespace::text = any(%(schemas)s)
union all
select format('drop trigger %%I on %%s', t.tgname, t.tgrelid::regclass)
from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
where c.relnamespace::regnamespace::text = any(%(schemas)s) and not t.tgisinternal and t.tgparentid = 0
union all
select format('revoke all on all %%s in schema %%s from public, %%s', what, schema, %(callers)s::text)
from unnest(array['tables', 'sequences', 'routines']) as what, unnest(%(schemas)s::text[]) as schema
union all
select format('revoke all on schema %%s from public, %%s', schema, %(callers)s::text)
from unnest(%(schemas)s::text[] || array['extensions']) as schema
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


def _commands(conn: psycopg.Connection[Any]) -> Any:
    """Commands that drop the repeatable objects of the private schemas.

    A query runs after earlier commands.
    """
    arguments = {"schemas": object_ownership.PRIVATE_SCHEMAS, "callers": ", ".join(CALLERS)}
    for query in (_COMMANDS, _DROPS, _DROP_FUNCTIONS):
        for (command,) in conn.execute(query, arguments).fetchall():
            yield command
