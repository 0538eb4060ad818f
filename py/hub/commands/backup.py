"""hub backup, hub restore."""

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from rich.table import Column, Table

from hub import ports
from hub.backup import erasures
from hub.backup.repository import Backup
from hub.backup.restore import Restored, archive_until_now, parse_moment, restored, violated
from hub.console import out, say
from hub.errors import UserError
from hub.stack.layout import Stack
from hub.stack.supervise import Supervisor
from hub.stack.up import locked, up


def backup(*, full: bool, list_only: bool) -> None:
    """Back up the stack's PostgreSQL while it works; the first call creates the repository.

    Raises UserError if PostgreSQL is down or the backup fails.
    """
    stack = Stack.existing()
    if list_only:
        _print(stack.backups.backups() if stack.backups.is_enabled else [])
        return
    started = time.monotonic()
    with locked(stack.folder), out.status("backing up ..."):
        if not stack.cluster.is_running():
            raise UserError("PostgreSQL is down", hint="./hub up starts it")
        taken = _take(stack, full=full)
    say(
        f"{'full' if taken.kind == 'full' else 'incremental'} backup {taken.label}: {_megabytes(taken.size)}"
        f" in {_megabytes(taken.stored)} and {time.monotonic() - started:.1f} s, in {stack.backups.storage}"
    )


def _take(stack: Stack, *, full: bool = False) -> Backup:
    """Archive WAL, record the erasures, and take a backup."""
    repository = stack.backups
    was_enabled = repository.is_enabled
    repository.write()
    try:
        repository.create()
    except UserError:
        if not was_enabled:
            repository.conf.unlink()  # otherwise PostgreSQL would archive into a repository that is missing
        raise
    stack.archive_wal()
    with psycopg.connect(stack.cluster.url(stack.settings.database)) as conn:
        erasures.record(conn, repository.storage, repository.account)
    return repository.take(full=full)


def restore(*, to: str | None, timeline: int | None, drill: bool, yes: bool) -> None:
    """Replace the stack's PostgreSQL by a backup, recovered up to a moment or to the end of the archive.

    `drill` restores beside it, checks, and removes the result. Raises UserError without `yes`, if the moment
    cannot be reached, or if the restored data violate an invariant: then the present data stay in use.
    """
    stack = Stack.existing()
    if not stack.backups.is_enabled:
        if not (stack.backups.storage / "repository").exists():
            raise UserError(f"there is no backup in {stack.backups.storage}", hint="./hub backup takes one")
        # On a new machine, to which another account has copied the backups.
        stack.backups.write()
        stack.backups.account.own_tree(stack.backups.storage)
    moment = parse_moment(to) if to else None
    if moment and moment > datetime.now(UTC):
        raise UserError(f"{to} is in the future", hint="without --to, the end of the archive is restored")
    if drill:
        _drill(stack, moment, timeline)
        return
    if not yes:
        raise UserError(
            "this replaces the stack's PostgreSQL, and everything that came after the moment is undone",
            hint="to confirm: --yes. To try it beside the running stack: --drill",
        )
    with locked(stack.folder), out.status("stopping ...") as status:
        kept = _replace(stack, moment, timeline, status.update)
    up()
    with locked(stack.folder), out.status("backing up ..."):
        taken = _take(stack)
    say(f"new backup {taken.label}")
    if kept:
        say(f"the replaced data are in {kept}: delete the folder when you need them no more")


def _drill(stack: Stack, moment: datetime | None, timeline: int | None) -> None:
    """Restore beside the stack, check, and remove the result."""
    started = time.monotonic()
    if moment and stack.cluster.is_running():
        with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
            archive_until_now(conn)
    folder, port = stack.folder / "restore-drill", ports.next_free(stack.settings.postgres_port + 1)
    with (
        out.status("restoring ..."),
        restored(stack.backups, stack.cluster, folder, port, moment, drill=True, timeline=timeline) as server,
    ):
        _check(server, stack.settings.database)
    say(f"restored and checked in {time.monotonic() - started:.1f} s; the stack is unchanged")


def _replace(
    stack: Stack, moment: datetime | None, timeline: int | None, progress: Callable[[str], None]
) -> Path | None:
    """Restore beside the present data, check, promote, repeat the erasures, and change places.

    Returns the folder that keeps the replaced data.
    """
    repository = stack.backups
    Supervisor(stack).shut_down()
    has_data = (stack.cluster.pgdata / "PG_VERSION").exists()
    if has_data:
        progress("archiving ...")
        _archive_present(stack)
    elif moment:
        raise UserError(
            "without the present data, erasures after that moment may be unknown",
            hint="restore the end of the archive first (./hub restore --yes), then the moment",
        )
    stack.cluster.stop()
    folder = stack.folder / "restored"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with restored(
            repository, stack.cluster, folder, stack.settings.postgres_port, moment, drill=False,
            timeline=timeline, progress=progress,
        ) as server:  # fmt: skip
            progress("checking ...")
            _check(server, stack.settings.database)
            progress("promoting ...")
            repository.record_end_of_timeline()
            server.promote()
            _repeat_erasures(stack, server)
            server.cluster.stop()
            kept = stack.replace_cluster(folder)
    except UserError as error:
        error.hint += "\n  the present data are unchanged: ./hub up starts the stack with them"
        raise
    return kept if kept.exists() else None


def _archive_present(stack: Stack) -> None:
    """Record the erasures and archive the WAL of the present data, which are about to be replaced."""
    stack.start_cluster()
    stack.archive_wal()
    with psycopg.connect(stack.cluster.url(stack.settings.database), autocommit=True) as conn:
        erasures.record(conn, stack.backups.storage, stack.backups.account)
        archive_until_now(conn)


def _check(server: Restored, dbname: str) -> None:
    findings = server.check(dbname)
    if findings:
        raise violated(findings)
    say("hub check: no invariant is violated")


def _repeat_erasures(stack: Stack, server: Restored) -> None:
    with psycopg.connect(server.cluster.url(stack.settings.database), autocommit=True) as conn:
        done = erasures.repeat(conn, stack.backups.storage)
    if done.repeated:
        say(f"erasures repeated: {len(done.repeated)}")
    for partner, reason in done.refused.items():
        say(f"NOT erased again: partner {partner} ({reason}); settle, then call erase_partner")


def _print(backups: list[Backup]) -> None:
    table = Table(
        Column("backup", no_wrap=True),
        "kind",
        Column("ended", no_wrap=True),
        "database",
        "stored",
        box=None,
        pad_edge=False,
    )
    for entry in backups:
        ended = entry.ended_at.astimezone().strftime("%Y-%m-%d %H:%M:%S%z")
        table.add_row(entry.label, entry.kind, ended, _megabytes(entry.size), _megabytes(entry.stored))
    out.print(table)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
