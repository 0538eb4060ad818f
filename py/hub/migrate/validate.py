"""Validates the body of every function once all files are applied.

Files are applied with `check_function_bodies = off`, because a body may name a function of a later file. This
calls the validators that CREATE FUNCTION would have called.
"""

import re
from pathlib import Path
from typing import Any

import psycopg

from hub.migrate import object_ownership, script
from hub.migrate.errors import MigrationError
from hub.migrate.tree import shown

_FUNCTIONS = """
select p.oid, p.oid::regprocedure::text, p.prosrc, v.oid::regproc::text,
  coalesce((select substr(c, 13) from unnest(p.proconfig) c where c like 'search_path=%%'), '""')
from pg_catalog.pg_proc p
join pg_catalog.pg_language l on l.oid = p.prolang
join pg_catalog.pg_proc v on v.oid = l.lanvalidator
where p.pronamespace::regnamespace::text = any(%(schemas)s) and l.lanname in ('sql', 'plpgsql')
  and (%(names)s::text[] is null or exists (
    select from unnest(%(names)s::text[]) as n
    where n = p.pronamespace::regnamespace || '.' || p.proname or strpos(p.prosrc, n) > 0))
order by p.oid
"""
_BODY_LINE = re.compile(r"(?:near )?line (\d+)")


def invalid(
    conn: psycopg.Connection[Any], files: list[Path], names: set[str] | None = None
) -> dict[str, MigrationError]:
    """The functions with an invalid body, by name, with an error that has file and line.

    `names` limits the functions to those that have, or whose bodies mention, one of these qualified names.
    """
    found: dict[str, MigrationError] = {}
    conn.execute("set local check_function_bodies = on")
    arguments = {
        "schemas": [*object_ownership.PRIVATE_SCHEMAS, "api"],
        "names": None if names is None else list(names),
    }
    for oid, name, body, validator, path in conn.execute(_FUNCTIONS, arguments).fetchall():
        # CREATE FUNCTION validates a body under the search_path of the function.
        conn.execute("select set_config('search_path', %s, true)", ["" if path == '""' else path])
        try:
            with conn.transaction():
                conn.execute(f"select pg_catalog.{validator}(%s)", [oid])
        except psycopg.Error as error:
            message, hint = script.describe(error.diag)
            file, line = _locate(files, body, error.diag)
            found[name.partition("(")[0]] = MigrationError(
                f"{name}: {message}", path=file, line=line, hint=hint
            )
            found[name.partition("(")[0]].__cause__ = error
    conn.execute("set local search_path = ''")
    conn.execute("set local check_function_bodies = off")
    return found


def _locate(files: list[Path], body: str, diagnostic: Any) -> tuple[Path | None, int | None]:
    """File and line of an error in a body, found by the text of the body."""
    for file in files:
        text = file.read_text()
        start = text.find(body)
        if start < 0:
            continue
        first = script.line_at(text, start)
        if diagnostic.internal_query == body and diagnostic.internal_position:
            return shown(file), first + script.line_at(body, int(diagnostic.internal_position) - 1) - 1
        if diagnostic.statement_position and not diagnostic.context:
            return shown(file), first
        near = _BODY_LINE.search(diagnostic.context or "")
        return shown(file), first + (int(near[1]) - 1 if near else 0)
    return None, None
