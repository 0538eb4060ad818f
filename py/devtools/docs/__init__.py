"""hub docs: writes the generated documents, or says which are stale."""

import os

import psycopg
from psycopg import sql

from adapters.whatsapp import template_export
from devtools.docs import snapshot
from hub import paths
from hub.console import out, say
from hub.errors import UserError
from hub.migrate import migrate
from hub.stack.layout import Stack

_ERRORS_PAGE = f"# Error codes\n\n{snapshot.BEGIN}\n{snapshot.END}\n"


def docs(*, check: bool) -> None:
    """Regenerate docs/schema.sql, error-codes.md and whatsapp-templates.md from a freshly migrated database.

    With `check` nothing is written; raises UserError naming the stale files.
    """
    stack = Stack.make()
    with out.status("migrating a scratch database ..."):
        started = stack.start_cluster()
        try:
            wanted = _generate(stack)
        finally:
            if started:
                stack.cluster.stop()
    stale = []
    for name, text in wanted.items():
        path = paths.root() / "docs" / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(f"docs/{name}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if check and stale:
        raise UserError(f"stale: {', '.join(stale)}", hint="./hub docs writes them anew")
    say(f"wrote {', '.join(stale)}" if stale else "nothing to do")


def _generate(stack: Stack) -> dict[str, str]:
    name = f"hub_docs_{os.getpid()}"
    database = sql.Identifier(name)
    with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
        major = conn.info.server_version // 10000
        conn.execute(sql.SQL("create database {}").format(database))
        try:
            migrate(stack.cluster.url(name))
            wanted = {}
            if major == snapshot.MAJOR:
                wanted["schema.sql"] = snapshot.schema_sql(stack.cluster.url(name))
            else:
                say(f"docs/schema.sql stays: it is made with PostgreSQL {snapshot.MAJOR}, this is {major}")
            page = paths.root() / "docs" / "error-codes.md"
            with psycopg.connect(stack.cluster.url(name)) as scratch:
                table = snapshot.error_table(scratch)
                rows = scratch.execute(template_export.QUERY).fetchall()
            text = page.read_text() if page.exists() else _ERRORS_PAGE
            wanted["error-codes.md"] = snapshot.with_errors(text, table)
            wanted["whatsapp-templates.md"] = template_export.page(
                template_export.Template(*row) for row in rows
            )
            return wanted
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(database))
