"""A stack: its data folder, its settings, its PostgreSQL."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psycopg

from hub import paths, settings
from hub.backup.repository import Repository, Server
from hub.cluster import Cluster, cron_settings
from hub.errors import UserError
from hub.osuser import Account, server_account
from hub.ports import HOST
from hub.settings import Settings

REPLICA = "replica"
"""The folder of the standby within the data folder."""


@dataclass
class Stack:
    """A stack and the paths of its files. `remark` is a sentence for the user, or empty."""

    folder: Path
    settings: Settings
    remark: str = ""
    account: Account = field(default_factory=server_account)

    @classmethod
    def make(cls) -> "Stack":
        """The checkout's stack; its data folder, secrets and ports are created unless they exist."""
        account = server_account()
        folder, remark = paths.make_data_dir(account)
        return cls(folder, settings.ensure(folder), remark, account)

    @classmethod
    def existing(cls) -> "Stack":
        """The checkout's stack. Raises UserError if it was never started."""
        folder = paths.data_dir().resolve()
        if not settings.env_file(folder).exists():
            raise UserError("this checkout has no stack yet", hint="./hub up creates it")
        return cls(folder, settings.ensure(folder))

    @cached_property
    def cluster(self) -> Cluster:
        """PostgreSQL, with durable defaults."""
        return Cluster(
            self.folder / "postgres",
            self.settings.postgres_port,
            self.settings.superuser_password.get_secret_value(),
            settings=cron_settings(self.settings.database)
            | {"max_slot_wal_keep_size": self.settings.replica_wal_keep}
            | self.backups.archive_settings(),
            account=self.account,
        )

    @property
    def backups(self) -> Repository:
        """The backups of PostgreSQL; they begin with the first `hub backup`."""
        return Repository(
            Server(
                self.folder / "postgres" / "pgdata",
                HOST,
                self.settings.postgres_port,
                "postgres",
                self.settings.superuser_password.get_secret_value(),
            ),
            self.folder / "pgbackrest",
            self.settings.backup_folder or self.folder / "backup",
            self.settings.backup_passphrase,
            self.settings.backup_days,
            self.account,
        )

    def archive_wal(self) -> None:
        """Let the running PostgreSQL archive its WAL for backups, as `settings` say.

        Raises UserError if it was started by an earlier version, without archive_mode.
        """
        self.backups.write()
        self.cluster.settings = {**self.cluster.settings, **self.backups.archive_settings()}
        self.cluster.reload()
        with psycopg.connect(self.cluster.url(), autocommit=True) as conn:
            if conn.execute("show archive_mode").fetchone() != ("on",):
                raise UserError(
                    "PostgreSQL runs without archive_mode", hint="restart it: ./hub down, then ./hub up"
                )

    @property
    def has_replica(self) -> bool:
        """Whether the stack has a standby, running or not."""
        return (self.folder / REPLICA / "pgdata").exists()

    def start_cluster(self) -> bool:
        """Start PostgreSQL unless it runs, on another port if its own is taken.

        Returns whether it was down.
        """
        if not self.cluster.is_running():
            self.settings = settings.move_taken_ports(self.folder, ["postgres_port"])
            self.cluster.port = self.settings.postgres_port
            if self.backups.is_enabled:
                self.backups.write()  # it names the port
        self.cluster.initialise()
        return self.cluster.start()

    def replace_cluster(self, folder: Path) -> Path:
        """Put the cluster in `folder` in place of PostgreSQL; neither runs.

        Returns the folder that keeps the replaced data, if there were any.
        """
        kept = self.folder / time.strftime("postgres.%Y%m%d-%H%M%S")
        if self.cluster.folder.exists():
            self.cluster.folder.rename(kept)
        folder.rename(self.cluster.folder)
        return kept

    @property
    def logs(self) -> Path:
        """The folder of the logs of supervised programs."""
        return self.folder / "log"

    @property
    def run(self) -> Path:
        """The folder of generated configuration files."""
        return self.folder / "run"

    def log_files(self) -> dict[str, Path]:
        """The log files by the name of the program."""
        servers = {"postgres": self.cluster.log}
        if self.has_replica:
            servers["replica"] = self.folder / REPLICA / self.cluster.log.name
        return servers | {path.stem: path for path in sorted(self.logs.glob("*.log"))}

    def prepare(self) -> None:
        """Create the folders of logs and configuration files."""
        for folder in (self.logs, self.run):
            folder.mkdir(mode=0o755, exist_ok=True)
