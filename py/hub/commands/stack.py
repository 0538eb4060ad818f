"""hub up, hub down, hub status, hub logs, hub reset."""

import os
import time

import psycopg
from rich.table import Table

from hub import pages, ports
from hub.console import out, say
from hub.errors import UserError
from hub.stack import declared, replica
from hub.stack.layout import Stack
from hub.stack.programs import POSTMASTER
from hub.stack.supervise import Supervisor
from hub.stack.up import down as bring_down
from hub.stack.up import up as bring_up

NOT_RUNNING = 3
"""Exit code of `hub status` if a program is down, as in LSB init scripts."""


def up(*, with_replica: bool = False, foreground: bool = False) -> None:
    """Start the stack and print its URL; in the foreground, raise UserError once supervisord is killed."""
    stack = bring_up(with_replica=with_replica)
    say(f"up: {stack.settings.gateway_url} (status: ./hub status, stop: ./hub down)")
    if pages.is_built():
        say(f"pages: {stack.settings.pages_url} (shop), {stack.settings.pages_url}console/ (headquarters)")
    if stack.has_replica:
        say(f"reports: {stack.settings.reports_url}")
    if foreground:
        Supervisor(stack).wait_until_killed()
        raise UserError("supervisord was killed", hint="./hub up starts it, and the programs, again")


def down() -> None:
    """Stop the stack and print what was running."""
    stopped = bring_down()
    say(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")


def status() -> None:
    """Print the state and address of each program; raises UserError with code 3 if one is down."""
    stack = Stack.existing()
    table = Table("program", "state", "pid", "address", "since", box=None, pad_edge=False)
    running = stack.cluster.is_running()
    table.add_row(
        "postgres",
        "RUNNING" if running else "STOPPED",
        "",
        f"{ports.HOST}:{stack.settings.postgres_port}/{stack.settings.database}",
        "",
    )
    if stack.has_replica:
        follows = replica.standby(stack).is_running()
        table.add_row(
            "replica",
            "RUNNING" if follows else "STOPPED",
            "",
            f"{ports.HOST}:{stack.settings.replica_port}/{stack.settings.database}",
            "",
        )
        running = running and follows
    supervisor = Supervisor(stack)
    states = supervisor.states() if supervisor.is_running() else {}
    addresses = {
        "pgbouncer": f"{ports.HOST}:{stack.settings.pgbouncer_port}/{stack.settings.database}",
        "gateway": stack.settings.gateway_url,
        "reports": stack.settings.reports_url,
        "whatsapp": f"http://{ports.HOST}:{stack.settings.whatsapp_port}",
        "redis": f"{ports.HOST}:{stack.settings.redis_port}",
        "cache": stack.settings.cache_http_url,
        "erp": f"http://{ports.HOST}:{stack.settings.erp_port}",
        "pages": stack.settings.pages_url,
        **{program.name: program.url for program in declared.read(stack.folder)},
    }
    if states.get(POSTMASTER, {}).get("statename") == "RUNNING":
        del states[POSTMASTER]  # PostgreSQL has a row
    for name in states or ("pgbouncer", "gateway"):
        entry = states.get(name, {"statename": "STOPPED", "pid": 0, "start": 0})
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["start"])) if entry["pid"] else ""
        table.add_row(name, entry["statename"], str(entry["pid"] or ""), addresses.get(name, ""), since)
        running = running and entry["statename"] == "RUNNING"
    out.print(table)
    if not running:
        raise UserError("a program of the stack is down", hint="./hub up starts it", code=NOT_RUNNING)


def logs(name: str | None, *, lines: int, follow: bool) -> None:
    """Print the end of a program's log, or the names of all logs."""
    files = Stack.existing().log_files()
    if name is None:
        for known, path in files.items():
            say(f"{known:12} {path}")
        return
    if name not in files:
        raise UserError(f"unknown log '{name}'", hint=f"logs: {', '.join(files)}")
    os.execvp("tail", ["tail", "-n", str(lines), *(["-f"] if follow else []), str(files[name])])  # noqa: S606


def reset(*, yes: bool) -> None:
    """Drop the stack's database and create it again, empty. Raises UserError without `yes`."""
    if not yes:
        raise UserError(
            "this drops the stack's database and all its data", hint="to confirm: ./hub reset --yes"
        )
    stack = _stop_programs()
    with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
        name = psycopg.sql.Identifier(stack.settings.database)
        conn.execute(psycopg.sql.SQL("drop database if exists {} with (force)").format(name))
    # Dropping the database ends pg_cron's launcher; some versions of it start no other one.
    stack.cluster.stop()
    bring_up()
    say("the database is empty and migrated")


def _stop_programs() -> Stack:
    """Stop the clients of the database; PostgreSQL keeps running."""
    stack = Stack.existing()
    Supervisor(stack).shut_down()
    stack.start_cluster()
    return stack
