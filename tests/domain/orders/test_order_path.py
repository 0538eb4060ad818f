"""The files that an order passes from the call to the outbox, as docs/rules/orders.md draws them."""

import re

from hub import paths
from tests.support.context import Connection, Context, items, submit

SHARED = re.compile(r"_shared|auth_|audit")
"""Files of helpers for all domains, of the request guard, and of the audit trail's triggers."""


def file_of(function: str) -> str:
    """The file under sql/ that creates a function."""
    created = re.compile(rf"^\s*create function {re.escape(function)}\(", re.MULTILINE)
    found = [file for file in (paths.root() / "sql").rglob("*.sql") if created.search(file.read_text())]
    assert len(found) == 1, (function, found)
    return str(found[0].relative_to(paths.root() / "sql"))


def drawn_files() -> set[str]:
    """The boxes of the diagram of an order's path."""
    page = (paths.root() / "docs" / "rules" / "orders.md").read_text()
    diagram = page.split("## The path of an order")[1].split("```mermaid")[1].split("```")[0]
    return set(re.findall(r"\[\"([\w/.]+\.sql)<br>", diagram))


def test_order_passes_the_drawn_files_and_at_most_eight(db: Connection, context: Context) -> None:
    db.execute("set local track_functions = 'all'")
    submit(db, context.partners[0], items(SKU_000=1, SKU_001=2))
    called = db.execute(
        "select schemaname || '.' || funcname from pg_stat_xact_user_functions"
        " where calls > 0 and schemaname in ('api', 'app', 'auth')"
    ).fetchall()
    files = {
        file
        for (function,) in called
        if not re.search(r"\.tg_", function)
        for file in [file_of(function)]
        if not SHARED.search(file)
    }
    files -= {file for file in files if file.startswith("schema/")}
    assert files == drawn_files()
    assert len(files) <= 8


SQL_FUNCTION_CALLS = (
    "select s.funcid::regproc::text, s.calls from pg_stat_xact_user_functions as s"
    " join pg_proc as p on p.oid = s.funcid join pg_language as l on l.oid = p.prolang"
    " where l.lanname = 'sql'"
)


def test_order_calls_no_sql_function(db: Connection, context: Context) -> None:
    """An SQL function that cannot be inlined is planned again in each transaction."""
    db.execute("set local track_functions = 'all'")
    # The planner itself calls constant functions, until the sixth order, which has all plans.
    for _ in range(7):
        submit(db, context.partners[0], items(SKU_000=1, SKU_001=2))
    before = db.execute(SQL_FUNCTION_CALLS).fetchall()
    submit(db, context.partners[0], items(SKU_000=1, SKU_001=2))
    assert sorted(db.execute(SQL_FUNCTION_CALLS).fetchall()) == sorted(before)
