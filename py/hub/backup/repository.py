"""The repository of a cluster's backups and WAL, which pgBackRest writes, compresses and encrypts.

The folder of backups holds the repository and, beside it, what a restore must know and the database it
restores does not: the erasures (`hub.backup.erasures`) and when earlier restores ended a timeline.
"""

import json
import shlex
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from hub.errors import UserError
from hub.osuser import Account, server_account

STANZA = "hub"
"""pgBackRest's name of the cluster."""

ARCHIVE_TIMEOUT = "60"
"""Seconds after which WAL is archived although its file is not full: the most that a lost disk costs."""

FULL_EVERY = timedelta(days=7)
"""A backup is a full one when the last full one is older; the others hold what changed since the last."""

OFF = {"archive_mode": "on", "archive_command": "/bin/true", "archive_timeout": "0"}
"""Settings of a cluster without backups. archive_mode needs a restart, archive_command a reload only."""

_LOCKED = 50
"""pgBackRest's exit code while another backup runs."""


def program() -> Path:
    """Path of pgbackrest. Raises UserError if it is not installed."""
    found = shutil.which("pgbackrest")
    if not found:
        raise UserError(
            "pgBackRest is not installed", hint="apt-get install pgbackrest (./hub backup does so)"
        )
    return Path(found)


@dataclass(frozen=True)
class Backup:
    """A backup in the repository; `size` and `stored` are bytes of the database and of the repository."""

    label: str
    kind: str
    ended_at: datetime
    size: int
    stored: int


@dataclass(frozen=True)
class Server:
    """The cluster that is backed up, as pgBackRest reaches it."""

    pgdata: Path
    host: str
    port: int
    user: str
    password: str


@dataclass(frozen=True)
class Repository:
    """The backups of one cluster: `storage` holds the repository, `folder` pgBackRest's own files."""

    server: Server
    folder: Path
    storage: Path
    passphrase: SecretStr = field(repr=False)
    days: int = 30
    account: Account = field(default_factory=server_account)

    @property
    def conf(self) -> Path:
        """pgBackRest's configuration, which holds the passphrase."""
        return self.folder / "pgbackrest.conf"

    @property
    def own_settings(self) -> Path:
        """The folder of the operator's own settings, such as a second repository (`*.conf`)."""
        return self.folder / "conf.d"

    @property
    def is_enabled(self) -> bool:
        """Whether `hub backup` has run once, from when on WAL is archived."""
        return self.conf.exists()

    def text(self) -> str:
        """The text of pgbackrest.conf."""
        return f"""\
[global]
repo1-path={self.storage / "repository"}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={self.passphrase.get_secret_value()}
repo1-bundle=y
repo1-retention-full-type=time
repo1-retention-full={self.days}
compress-type=zst
start-fast=y
archive-async=y
spool-path={self.folder / "spool"}
lock-path={self.folder / "lock"}
log-path={self.folder / "log"}
log-level-file=off
log-level-stderr=off
log-level-console=warn
process-max=2

[{STANZA}]
pg1-path={self.server.pgdata}
pg1-port={self.server.port}
pg1-user={self.server.user}
pg1-database=postgres
"""

    def write(self) -> None:
        """Write the configuration, readable by the server's account only, and create the folders.

        Raises UserError without a passphrase of 20 characters.
        """
        if len(self.passphrase.get_secret_value()) < 20:
            raise UserError(
                "HUB_BACKUP_PASSPHRASE has fewer than 20 characters", hint="unset it, or set a longer one"
            )
        self.folder.mkdir(mode=0o755, exist_ok=True)
        inner = [self.folder / name for name in ("conf.d", "spool", "lock", "log")]
        for path in (self.storage, self.storage / "repository", *inner):
            self.account.make_folder(path, 0o700)
        self.account.write_private(self.conf, self.text())

    def archive_settings(self, pgdata: Path | None = None) -> dict[str, str]:
        """PostgreSQL's settings that archive WAL; `pgdata`: of the cluster that is to replace the server."""
        if not self.is_enabled:
            return OFF
        command = [*self._command("archive-push"), *([f"--pg1-path={pgdata}"] if pgdata else [])]
        push = shlex.join(command).replace("%", "%%") + " %p"
        return {"archive_mode": "on", "archive_command": push, "archive_timeout": ARCHIVE_TIMEOUT}

    def _command(self, *arguments: str) -> list[str]:
        return [
            str(program()),
            f"--config={self.conf}",
            f"--config-include-path={self.own_settings}",
            f"--stanza={STANZA}",
            *arguments,
        ]

    def run(self, *arguments: str) -> str:
        """Run pgBackRest and return its output. Raises UserError if it fails."""
        done = self.account.run(
            self._command(*arguments),
            # libpq's own default is a Unix socket, which the cluster has none of.
            extra={"PGHOST": self.server.host, "PGPASSWORD": self.server.password},
        )
        if done.returncode:
            reason = (done.stderr or done.stdout).strip()
            if done.returncode == _LOCKED:
                raise UserError("another backup or restore is running", hint=reason)
            raise UserError(f"pgbackrest {arguments[-1]} failed", hint=reason)
        return done.stdout

    def create(self) -> None:
        """Create the repository unless it exists. The server runs and archives already, or it would keep
        its WAL."""
        self.run("stanza-create")

    def take(self, *, full: bool = False) -> Backup:
        """Take a backup while the server works: a full one if asked for or due. Returns it.

        Removes the backups that have expired. Raises UserError if it fails.
        """
        before = self.backups()
        last_full = max((b.ended_at for b in before if b.kind == "full"), default=None)
        due = last_full is None or datetime.now(UTC) - last_full >= FULL_EVERY
        self.run(f"--type={'full' if full or due else 'incr'}", "backup")
        return self.backups()[-1]

    def info(self) -> dict[str, Any]:
        """What pgBackRest reports of the repository."""
        found = json.loads(self.run("--output=json", "info"))
        return dict(found[0]) if found else {}

    def backups(self) -> list[Backup]:
        """The backups, oldest first."""
        return [
            Backup(
                entry["label"],
                entry["type"],
                datetime.fromtimestamp(entry["timestamp"]["stop"], UTC),
                entry["info"]["size"],
                entry["info"]["repository"]["delta"],
            )
            for entry in self.info().get("backup", [])
        ]

    def last_archived(self) -> str:
        """The name of the last archived WAL file of the newest timeline; empty if there is none."""
        return max((entry.get("max") or "" for entry in self.info().get("archive", [])), default="")

    # --- timelines -------------------------------------------------------------------------------

    @property
    def _ended(self) -> Path:
        return self.storage / "timelines.jsonl"

    def record_end_of_timeline(self) -> None:
        """Record that a restore leaves the newest timeline now."""
        last = self.last_archived()
        if last:
            entry = {"timeline": int(last[:8], 16), "ended_at": datetime.now(UTC).isoformat()}
            with self._ended.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            self.account.own(self._ended)

    def timeline_at(self, moment: datetime) -> int | None:
        """The timeline that was in use at a moment, if a restore has left it since; None: the newest.

        Each restore begins a timeline, so a moment may exist on several.
        """
        if self._ended.exists():
            for line in self._ended.read_text().splitlines():
                entry = json.loads(line)
                if datetime.fromisoformat(entry["ended_at"]) > moment:
                    return int(entry["timeline"])
        return None
