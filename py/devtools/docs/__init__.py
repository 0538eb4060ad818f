"""`hub docs`: regenerate the generated pages of docs/, and build or serve the site."""

import importlib.util
import os
import subprocess
import sys

import psycopg
from psycopg import sql

from devtools import typescript
from devtools.docs.pages import SCHEMA, generate
from devtools.docs.snapshot import MAJOR
from hub import paths
from hub.console import out, say
from hub.errors import UserError
from hub.migrate import migrate
from hub.pages import node as nodes
from hub.ports import HOST, next_free
from hub.stack.layout import Stack

_PORT = 28180
_TYPES = "../web/common/database.ts"


def docs(*, check: bool, build: bool = False, serve: bool = False) -> None:
    """Regenerate the pages, then build the site into .cache/site or serve it on loopback.

    With `check` nothing is written; raises UserError with the names of pages that are out of date.
    """
    _regenerate(check=check)
    if build:
        subprocess.run(mkdocs("build", "--quiet"), cwd=paths.root(), check=True, env=mkdocs_environment())
        say(f"built {paths.root() / '.cache' / 'site' / 'index.html'}")
    if serve:
        command = mkdocs("serve", "--quiet", "--dev-addr", f"{HOST}:{next_free(_PORT)}")
        say(f"serving http://{command[-1]} until Ctrl-C")
        os.chdir(paths.root())
        os.execve(command[0], command, mkdocs_environment())  # noqa: S606


def mkdocs(*arguments: str) -> list[str]:
    """The command line of mkdocs. Raises UserError if it is not installed."""
    if not importlib.util.find_spec("mkdocs"):
        raise UserError("mkdocs is not installed", hint="./hub test installs the development requirements")
    return [sys.executable, "-m", "mkdocs", *arguments]


def mkdocs_environment() -> dict[str, str]:
    """The environment of mkdocs, in which the theme prints no advertisement of its successor."""
    return dict(os.environ) | {"NO_MKDOCS_2_WARNING": "1"}


def _regenerate(*, check: bool) -> None:
    stack = Stack.make()
    with out.status("migrating a scratch database ..."):
        started = stack.start_cluster()
        try:
            files = _generate(stack)
        finally:
            if started:
                stack.cluster.stop()
    if SCHEMA not in files:
        say(f"docs/{SCHEMA} is unchanged: only PostgreSQL {MAJOR} generates it")
    stale = []
    for name, text in sorted(files.items()):
        path = paths.root() / "docs" / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(f"docs/{name}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if check and stale:
        raise UserError(f"out of date: {', '.join(stale)}", hint="./hub docs regenerates them")
    say(f"wrote {', '.join(stale)}" if stale else "every page is up to date")


def _types(database_url: str) -> dict[str, str]:
    """The types of web/common, which change with the API, too; nothing on a machine without Node."""
    return {_TYPES: typescript.generate(database_url)} if nodes.find() else {}


def _generate(stack: Stack) -> dict[str, str]:
    name = f"hub_docs_{os.getpid()}"
    database = sql.Identifier(name)
    with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(database))
        try:
            migrate(stack.cluster.url(name))
            return generate(stack.cluster.url(name)) | _types(stack.cluster.url(name))
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(database))
