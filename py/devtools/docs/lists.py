"""Pages that list what functions of the database and files of the checkout define."""

from typing import Any

import psycopg

from devtools.docs.markdown import code, page, table, text
from hub import paths
from hub.migrate.jobs import read_jobs
from hub.migrate.tree import Tree

Connection = psycopg.Connection[Any]


def error_codes_page(conn: Connection) -> str:
    """The codes of app.error_catalog()."""
    rows = conn.execute(
        "select code, http_status, message, meaning, hint from app.error_catalog() order by http_status, code"
    ).fetchall()
    return page(
        "Error codes",
        "The codes with which the hub refuses a call. [Errors and retries](../api/errors.md) lists those of"
        " the gateway and of PostgreSQL, and says when to retry.",
        table(
            ["Code", "HTTP", "Message", "Meaning", "What to do"],
            [(code(row[0]), row[1], text(row[2]), text(row[3]), text(row[4])) for row in rows],
        ),
    )


def config_keys_page(conn: Connection) -> str:
    """The keys of app.config_definitions()."""
    rows = conn.execute(
        "select config_key, value_type, default_value::text, minimum::text, maximum::text, allowed,"
        " description from app.config_definitions() order by config_key"
    ).fetchall()
    return page(
        "Configuration keys",
        "The business configuration, which admins change with `rpc/set_config`. A change takes effect from"
        " the next request; [Configure](../operations/configure.md) shows how. Amounts are IDR.",
        table(
            ["Key", "Type", "Default", "Allowed", "Meaning"],
            [
                (code(key), kind, code(default), _allowed(minimum, maximum, allowed), text(meaning))
                for key, kind, default, minimum, maximum, allowed, meaning in rows
            ],
        ),
    )


def _allowed(minimum: str | None, maximum: str | None, allowed: list[str] | None) -> str:
    if allowed:
        return ", ".join(code(value) for value in allowed)
    return f"{minimum} to {maximum}" if minimum is not None and maximum is not None else ""


def jobs_page() -> str:
    """The jobs of sql/jobs."""
    jobs = read_jobs(Tree(paths.sql_root(), paths.migrations_root()))
    return page(
        "Jobs",
        "The jobs that pg_cron runs, one file each in `sql/jobs/`. Times are UTC."
        " [Jobs](../operations/jobs.md) explains how to watch them and to run one by hand.",
        table(
            ["Job", "Schedule", "Command", "Purpose"],
            [(code(j.name), code(j.schedule), code(j.command), text(j.description)) for j in jobs],
        ),
    )
