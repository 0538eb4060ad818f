"""Restores a cluster to a moment, in a folder of its own: the cluster that is in use stays as it is."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from hub.backup.repository import Repository
from hub.check import Finding, check
from hub.cluster import Cluster, tail
from hub.errors import UserError

_RECOVERY_SECONDS = 24 * 3600
_ARCHIVE_SECONDS = 60
_SEGMENT = 16 * 1024 * 1024
_STILL_SECONDS = 15
_RECOVERY_SETTINGS = (
    *("restore_command", "recovery_end_command", "archive_mode", "archive_cleanup_command"),
    *("recovery_target", "recovery_target_action", "recovery_target_inclusive", "recovery_target_lsn"),
    *("recovery_target_name", "recovery_target_time", "recovery_target_timeline", "recovery_target_xid"),
)
"""What pgBackRest writes into postgresql.auto.conf. A standby that inherits it would not start."""


def parse_moment(text: str) -> datetime:
    """A moment in ISO 8601, of the machine's time zone if it names none. Raises UserError for other text."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise UserError(
            f"'{text}' is no time",
            hint="for example '2026-11-27 14:03:00+07:00', or \"$(date -d '5 minutes ago' -Iseconds)\"",
        ) from None


def archive_until_now(conn: psycopg.Connection[Any]) -> None:
    """Archive the server's WAL up to now, with a commit at its end: any earlier moment can then be reached.

    The connection is a superuser's, in autocommit mode. Raises UserError if WAL is not archived in a minute.
    """
    conn.execute("select pg_logical_emit_message(true, 'hub', 'restore')")
    last = conn.execute("select pg_walfile_name(pg_switch_wal())").fetchall()[0][0]
    deadline = time.monotonic() + _ARCHIVE_SECONDS
    archived = "select last_archived_wal >= %s, last_failed_wal from pg_stat_archiver"
    while not (row := conn.execute(archived, [last]).fetchall()[0])[0]:
        if time.monotonic() > deadline:
            raise UserError(
                f"the WAL is not archived: {row[1] or last}",
                hint="./hub logs postgres shows why; ./hub doctor checks the archive",
            )
        time.sleep(0.1)


class Restored:
    """A server that has recovered up to a moment and waits there, readable, until it is promoted."""

    def __init__(self, repository: Repository, cluster: Cluster, moment: datetime | None) -> None:
        self.cluster = cluster
        self._repository = repository
        self._moment = moment

    def recover(self, *, drill: bool, timeline: int | None = None) -> None:
        """Fetch a backup, recover, and pause at the moment, or at the end of the archive if there is none.

        `drill` restores for reading: the server never archives. Raises UserError if the moment cannot be
        reached.
        """
        pgdata = self.cluster.pgdata
        self.cluster.account.make_folder(self.cluster.folder)
        self.cluster.account.make_folder(pgdata, 0o700)
        arguments = [f"--pg1-path={pgdata}"]
        if self._moment:
            target = self._moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")
            arguments += ["--type=time", f"--target={target}", "--target-action=pause"]
            timeline = timeline or self._repository.timeline_at(self._moment)
            arguments += [f"--target-timeline={timeline}"] if timeline else []
        else:
            arguments += ["--type=standby"]
        if drill:
            arguments += ["--archive-mode=off"]
        if (pgdata / "PG_VERSION").exists():
            arguments += ["--delta"]
        self._repository.run(*arguments, "restore")
        self.cluster.start()
        (self._wait_for_pause if self._moment else self._wait_for_end)()

    def _wait_for_pause(self) -> None:
        deadline = time.monotonic() + _RECOVERY_SECONDS
        state = "select pg_get_wal_replay_pause_state()"
        try:
            with psycopg.connect(self.cluster.url(), autocommit=True) as conn:
                while conn.execute(state).fetchone() != ("paused",):
                    if time.monotonic() > deadline:
                        raise UserError(
                            f"the moment is not reached after {_RECOVERY_SECONDS // 3600} hours",
                            hint=f"end of {self.cluster.log}:\n{tail(self.cluster.log)}",
                        )
                    time.sleep(0.05)
        except psycopg.OperationalError:
            raise self._unreachable() from None

    def _unreachable(self) -> UserError:
        log = self.cluster.log
        if "recovery ended before configured recovery target was reached" in tail(log, 30):
            return UserError(
                f"the archive ends before {self._moment:%Y-%m-%d %H:%M:%S%z}",
                hint="without --to, the end of the archive is restored",
            )
        return UserError("the restored server ended", hint=f"end of {log}:\n{tail(log)}")

    def _wait_for_end(self) -> None:
        """Wait until all archived WAL is replayed."""
        last = self._repository.last_archived()
        end = (int(last[8:16], 16) * 256 + int(last[16:24], 16) + 1) * _SEGMENT if last else 0
        reached, since = -1, time.monotonic()
        with psycopg.connect(self.cluster.url(), autocommit=True) as conn:
            while reached < end and time.monotonic() - since < _STILL_SECONDS:
                row = conn.execute("select pg_last_wal_replay_lsn() - '0/0'").fetchall()[0]
                if int(row[0]) > reached:
                    reached, since = int(row[0]), time.monotonic()
                time.sleep(0.05)

    def check(self, dbname: str) -> list[Finding]:
        """The violated invariants of a database of the waiting server, which is read only."""
        with psycopg.connect(self.cluster.url(dbname)) as conn:
            conn.read_only = True
            return [finding for finding in check(conn) if finding.rows]

    def promote(self) -> None:
        """End the recovery, and reset the settings of it. From now on the server is one of its own."""
        with psycopg.connect(self.cluster.url(), autocommit=True) as conn:
            if self._moment:
                conn.execute("select pg_wal_replay_resume()")
            else:
                conn.execute("select pg_promote(false)")
            while conn.execute("select pg_is_in_recovery()").fetchone() == (True,):
                time.sleep(0.05)
            for name in _RECOVERY_SETTINGS:
                conn.execute(f"alter system reset {name}")


@contextmanager
def restored(
    repository: Repository,
    source: Cluster,
    folder: Path,
    port: int,
    moment: datetime | None,
    *,
    drill: bool,
    timeline: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Restored]:
    """A restored server in `folder`, paused at `moment`; its jobs do not run, whether it is promoted or not.

    `source` is the cluster that was backed up, which gives the settings and the password. At the end the
    server is stopped, and what is left in the folder is removed.
    """
    archive = {} if drill else repository.archive_settings(folder / "pgdata")
    cluster = Cluster(
        folder,
        port,
        source.password,
        superuser=source.superuser,
        settings=_without_jobs(source.settings) | archive,
        account=source.account,
        start_seconds=_RECOVERY_SECONDS,
    )
    try:
        progress("restoring ...")
        made = Restored(repository, cluster, moment)
        made.recover(drill=drill, timeline=timeline)
        yield made
    finally:
        if cluster.pgdata.exists():
            cluster.stop("fast")
        shutil.rmtree(folder, ignore_errors=True)


def _without_jobs(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings without pg_cron, which would run jobs from the moment of promotion on."""
    libraries = settings.get("shared_preload_libraries", "").split(",")
    kept = ",".join(library for library in libraries if library != "pg_cron")
    return {**settings, "shared_preload_libraries": kept}


def violated(findings: list[Finding]) -> UserError:
    """The error of a restored database whose invariants are violated."""
    names = ", ".join(f"{finding.invariant} ({finding.rows} rows)" for finding in findings)
    return UserError(
        f"the restored database violates invariants: {names}",
        hint="it was removed again; restore another moment, or see docs/operations/consistency.md",
    )
