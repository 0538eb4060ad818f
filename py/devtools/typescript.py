"""hub dev types: the types of web/common/database.ts. Run as a module, it checks the types of all pages.

`python -m devtools.typescript` is the linter step `tsc --noEmit`.
"""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql

from hub import pages
from hub.console import out, print_error, say
from hub.errors import UserError
from hub.migrate import migrate
from hub.pages import node as nodes
from hub.pages import workspace
from hub.stack.layout import Stack


def database_file() -> Path:
    """The generated file."""
    return pages.folder() / "common" / "database.ts"


def run() -> None:
    """Write the types of the schema `api`, from a scratch database. Raises UserError if Node is missing."""
    stack = Stack.make()
    with out.status("migrating a scratch database ..."):
        started = stack.start_cluster()
        try:
            text = _of_scratch_database(stack)
        finally:
            if started:
                stack.cluster.stop()
    is_stale = not database_file().exists() or database_file().read_text() != text
    database_file().write_text(text)
    say("wrote web/common/database.ts" if is_stale else "web/common/database.ts is up to date")


def generate(database_url: str) -> str:
    """The text of database.ts for a migrated database. Raises UserError if it cannot be generated."""
    node = nodes.require()
    with workspace.locked():
        workspace.install(node)
    done = subprocess.run(
        [node.folder / "node", "types.mjs"],
        cwd=pages.folder(),
        env=node.environment() | {"DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError("the types could not be generated", hint=done.stderr.strip())
    return done.stdout


def check() -> None:
    """Run `tsc --noEmit` in each package of web/. Raises UserError with what it finds."""
    node = nodes.require()
    with workspace.locked():
        workspace.install(node)
    node.run(["npm", "run", "check", "--workspaces", "--if-present"], pages.folder())


def _of_scratch_database(stack: Stack) -> str:
    name = f"hub_types_{os.getpid()}"
    database = sql.Identifier(name)
    with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(database))
        try:
            migrate(stack.cluster.url(name))
            return generate(stack.cluster.url(name))
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(database))


if __name__ == "__main__":
    try:
        check()
    except UserError as error:
        sys.exit(print_error(error))
