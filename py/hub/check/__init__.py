"""hub check: the invariants of the data; each is a view that returns the rows that violate it."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql
from rich.table import Table

from hub import settings
from hub.console import out, say
from hub.errors import UserError

SHOWN = 10
"""Violating rows of one invariant that are printed; all are counted."""


@dataclass(frozen=True)
class Finding:
    """The result of one invariant; `offending` holds the first rows of it."""

    invariant: str
    statement: str
    rows: int
    milliseconds: float
    offending: list[dict[str, str]]


def check(conn: psycopg.Connection[Any], since: str | None = None) -> list[Finding]:
    """Run every invariant, without writing.

    The audit trail is compared from `since` on, by default two days ago.
    """
    with conn.transaction():
        conn.execute("select set_config('hub.check_since', %s, true)", [since or ""])
        # Sums over whole tables are hashed in memory; the invariants run one after the other.
        conn.execute("set local work_mem = '256MB'")
        conn.execute("set local jit = off")
        names = conn.execute("select invariant, statement from app.invariants()").fetchall()
        return [_run(conn, name, statement) for name, statement in names]


def _run(conn: psycopg.Connection[Any], name: str, statement: str) -> Finding:
    started = time.monotonic()
    view = sql.Identifier("app", f"consistency_{name}")
    rows = conn.execute(sql.SQL("select subject_id, details from {}").format(view)).fetchall()
    took = (time.monotonic() - started) * 1000
    offending = [{"subject_id": str(subject), "details": str(details)} for subject, details in rows[:SHOWN]]
    return Finding(name, statement, len(rows), round(took, 1), offending)


def run(database: str | None, *, as_json: bool, since: str | None) -> None:
    """Check a database and print the result; raises UserError if an invariant is violated."""
    url = settings.database_url(database)
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="hub check") as conn:
            conn.read_only = True
            findings = check(conn, since)
    except psycopg.Error as error:
        raise UserError(
            f"the check failed: {str(error).strip()}",
            hint="is the server running (./hub up), and the database migrated (./hub migrate)?",
        ) from None
    if as_json:
        say(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    violated = [finding.invariant for finding in findings if finding.rows]
    if violated:
        raise UserError(
            f"{len(violated)} of {len(findings)} invariants are violated: {', '.join(violated)}",
            hint="see docs/operations/consistency.md",
        )


def _print(findings: list[Finding]) -> None:
    table = Table("invariant", "rows", "ms", "statement", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for finding in findings:
        style = "red" if finding.rows else ""
        first = finding.statement.splitlines()[0]
        table.add_row(finding.invariant, str(finding.rows), f"{finding.milliseconds:.0f}", first, style=style)
    out.print(table)
    for finding in findings:
        for row in finding.offending:
            say(f"  {finding.invariant}: {row['subject_id']} {row['details']}")
        if finding.rows > len(finding.offending):
            say(f"  {finding.invariant}: ... and {finding.rows - len(finding.offending)} more")
