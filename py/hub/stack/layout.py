"""One stack: its data folder, its settings, its PostgreSQL."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hub import paths, settings
from hub.cluster import Cluster, cron_settings
from hub.errors import UserError
from hub.osuser import Account, server_account
from hub.settings import Settings


@dataclass
class Stack:
    """Where everything of a stack lies. `remark` is a sentence for the user, if there is one."""

    folder: Path
    settings: Settings
    remark: str = ""
    account: Account = field(default_factory=server_account)

    @classmethod
    def make(cls) -> "Stack":
        """The checkout's stack; its data folder, secrets and ports are made if need be."""
        account = server_account()
        folder, remark = paths.make_data_dir(account)
        return cls(folder, settings.ensure(folder), remark, account)

    @classmethod
    def existing(cls) -> "Stack":
        """The checkout's stack as it was brought up before. Raises UserError where there is none."""
        folder = paths.data_dir().resolve()
        if not settings.env_file(folder).exists():
            raise UserError("there is no stack in this checkout yet", hint="./hub up makes one")
        return cls(folder, settings.ensure(folder))

    @cached_property
    def cluster(self) -> Cluster:
        """PostgreSQL, with durable defaults."""
        return Cluster(
            self.folder / "postgres",
            self.settings.postgres_port,
            self.settings.superuser_password,
            settings=cron_settings(self.settings.database),
            account=self.account,
        )

    def start_cluster(self) -> bool:
        """Have PostgreSQL running, on another port if ours was taken; returns whether it was down."""
        if not self.cluster.is_running():
            self.settings = settings.move_taken_ports(self.folder, ["postgres_port"])
            self.cluster.port = self.settings.postgres_port
        self.cluster.initialise()
        return self.cluster.start()

    @property
    def logs(self) -> Path:
        """Folder of the supervised programs' logs."""
        return self.folder / "log"

    @property
    def run(self) -> Path:
        """Folder of generated configuration files."""
        return self.folder / "run"

    def log_files(self) -> dict[str, Path]:
        """Every log by the name of its program."""
        return {"postgres": self.cluster.log} | {path.stem: path for path in sorted(self.logs.glob("*.log"))}

    def prepare(self) -> None:
        """Make the folders that programs write to."""
        for folder in (self.logs, self.run):
            folder.mkdir(mode=0o755, exist_ok=True)
