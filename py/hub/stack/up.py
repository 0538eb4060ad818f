"""`hub up` and `hub down`."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tenacity import RetryError, retry, retry_if_exception_type, stop_after_delay, wait_fixed

from hub import pages, paths, settings
from hub.cluster import tail
from hub.console import out, say
from hub.errors import UserError
from hub.migrate import Report
from hub.migrate.installation import migrate_installation
from hub.ports import HOST
from hub.stack import gateway as gateways
from hub.stack import replica
from hub.stack.layout import Stack
from hub.stack.programs import Program, compile_sources, programs
from hub.stack.supervise import Supervisor

_READY_SECONDS = 30
_SUPERVISED = (
    *("pgbouncer_port", "gateway_port", "gateway_admin_port", "supervisor_port"),
    *("reports_port", "reports_admin_port", "whatsapp_port", "erp_port", "cache_port", "redis_port"),
    "pages_port",
)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the stack: a second `hub up` waits, and then finds everything running."""
    with (folder / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `hub up` or `hub down` to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(*, quiet: bool = False, with_replica: bool = False) -> Stack:
    """Start the stack on loopback, migrate its database, and wait until every program answers.

    `with_replica` adds a standby and a gateway for reports; a stack that has them keeps them. A second call
    changes nothing. Raises UserError with the end of the log of a program that does not start.
    """
    stack = Stack.make()
    if stack.remark:
        say(stack.remark)
    stack.prepare()
    with locked(stack.folder), out.status("starting the stack ...") as status:
        status.update("starting PostgreSQL ...")
        stack.start_cluster()
        stack.cluster.ensure_database(stack.settings.database)
        status.update("migrating ...")
        report = migrate_stack(stack)
        if with_replica or stack.has_replica:
            status.update("starting the standby ...")
            _start_replica(stack, required=with_replica)
        status.update("choosing the gateway ...")
        gateway = gateways.choose(stack.settings.gateway, paths.root() / ".cache" / "postgrest")
        status.update("building the pages ...")
        if remark := pages.build():
            say(remark)
        status.update("starting pgbouncer, gateway, redis and adapters ...")
        compile_sources()
        supervisor = _prepared_supervisor(stack)
        running = programs(stack, gateway)
        supervisor.bring_up(running)
        for program in running:
            status.update(f"waiting for {program.name} ...")
            try:
                wait(stack, supervisor, program)
            except UserError as error:
                if program.declared_in:
                    error.hint += f"\n  without {program.declared_in} the stack starts without {program.name}"
                raise
    if not quiet:
        for line in report.lines() if report.changed else report.remarks:
            say(line)
        say(gateway.banner)
    return stack


def _start_replica(stack: Stack, *, required: bool) -> None:
    """Start the standby. The hub works without it: a failure is fatal only if it was asked for."""
    try:
        remark = replica.start(stack)
    except (UserError, psycopg.Error) as error:
        if required:
            raise
        remark = f"the standby does not run, reports are read from the primary: {str(error).strip()}"
    if remark:
        say(remark)


def migrate_stack(stack: Stack) -> Report:
    """Migrate the database of the stack, whatever HUB_DATABASE_URL is."""
    return migrate_installation(stack.cluster.url(stack.settings.database), stack.settings)


def _prepared_supervisor(stack: Stack) -> Supervisor:
    """The stack's supervisord. If it is down, orphans are terminated and taken ports are replaced."""
    supervisor = Supervisor(stack)
    if supervisor.is_running():
        return supervisor
    supervisor.terminate_orphans()
    stack.settings = settings.move_taken_ports(stack.folder, list(_SUPERVISED))
    return Supervisor(stack)


def wait(stack: Stack, supervisor: Supervisor, program: Program) -> None:
    """Wait until a program answers. Raises UserError with the end of its log if it does not."""
    log = stack.logs / f"{program.name}.log"
    if program.is_gateway:
        gateways.wait_ready(program.url, log, lambda: supervisor.check_not_failed(program.name, log))
        return

    @retry(
        retry=retry_if_exception_type((OSError, psycopg.OperationalError)),
        stop=stop_after_delay(_READY_SECONDS),
        wait=wait_fixed(0.1),
    )
    def answers() -> None:
        supervisor.check_not_failed(program.name, log)
        if program.name == "pgbouncer":
            psycopg.connect(stack.settings.pooled_url, connect_timeout=5).close()
        else:
            socket.create_connection((HOST, program.port), timeout=2).close()

    try:
        answers()
    except RetryError as error:
        cause = error.last_attempt.exception()
        raise UserError(
            f"{program.name} does not answer on port {program.port}: {cause}",
            hint=f"end of {log}:\n{tail(log)}",
        ) from None


def down() -> list[str]:
    """Stop the stack; returns the names of what was running."""
    stack = Stack.existing()
    with locked(stack.folder), out.status("stopping ..."):
        was_running = stack.cluster.is_running()
        stopped = ["gateway, pgbouncer and adapters"] if Supervisor(stack).shut_down() else []
        # The primary first: before it ends it sends the rest of its WAL to the standby. Unless it was started
        # again since `hub up`, it is not a child of supervisord.
        stopped += ["PostgreSQL"] if stack.cluster.stop() or was_running else []
        stopped += ["its standby"] if stack.has_replica and replica.standby(stack).stop() else []
    return stopped
