"""A PostgreSQL cluster of our own: own data folder, own loopback port, never Debian's."""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from hub import postgres, processes
from hub.errors import UserError
from hub.osuser import Account, server_account
from hub.ports import HOST, is_free

_START_SECONDS = 60
_ORPHAN_SECONDS = 15
_DYING_SECONDS = 2


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return f"({log} cannot be read)"


@dataclass
class Cluster:
    """One server: `folder` holds pgdata/ and postgres.log."""

    folder: Path
    port: int
    password: str
    superuser: str = "postgres"
    settings: Mapping[str, str] = field(default_factory=dict)
    account: Account = field(default_factory=server_account)
    host: str = HOST

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.folder / "pgdata"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    def url(self, dbname: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Connection URL of a database, as superuser unless another user is named."""
        who = quote(user or self.superuser, safe="")
        secret = password if user else self.password
        login = f"{who}:{quote(secret, safe='')}" if secret else who
        return f"postgresql://{login}@{self.host}:{self.port}/{dbname}"

    def initialise(self) -> bool:
        """Run initdb unless a cluster is already there; returns whether one was made."""
        if (self.pgdata / "PG_VERSION").exists():
            return False
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.account.own(self.folder)
        if self.pgdata.exists():
            shutil.rmtree(self.pgdata)  # an initdb that was interrupted
        making = self.folder / "pgdata.making"
        shutil.rmtree(making, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", prefix="hub-", suffix=".pw") as secret:
            secret.write(self.password)
            secret.flush()
            self.account.own(Path(secret.name))
            done = self.account.run(
                [
                    postgres.program("initdb"),
                    f"--pgdata={making}",
                    f"--username={self.superuser}",
                    f"--pwfile={secret.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--data-checksums",
                ]
            )
        if done.returncode:
            raise UserError(f"initdb failed in {making}", hint=(done.stderr or done.stdout).strip())
        making.rename(self.pgdata)
        return True

    def configure(self) -> None:
        """Write our settings beside initdb's postgresql.conf, which includes them last."""
        lines = [
            f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in self._settings().items()
        ]
        ours = self.pgdata / "hub.conf"
        ours.write_text(
            "# Written by `hub` at every start; put your own changes into postgresql.conf.\n"
            + "\n".join(lines)
            + "\n"
        )
        self.account.own(ours)
        main = self.pgdata / "postgresql.conf"
        include = "include_if_exists 'hub.conf'\n"
        text = main.read_text()
        if include not in text:
            main.write_text(text.rstrip("\n") + "\n\n" + include)

    def _settings(self) -> dict[str, str]:
        fixed = {
            "listen_addresses": self.host,
            "port": str(self.port),
            # TCP alone: a socket's path may be 107 bytes long, and checkouts lie deeper than that.
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            # Solid-state disks: else small tables are read from end to end where an index would do.
            "random_page_cost": "1.1",
        }
        return fixed | dict(self.settings)

    def _pid(self) -> int | None:
        """Process id of the running postmaster, whatever a left-over pid file says."""
        try:
            pid = int((self.pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.pgdata).encode() in command else None

    def is_running(self) -> bool:
        """Whether our postmaster runs (it may not accept connections yet)."""
        return self._pid() is not None

    def start(self) -> bool:
        """Start the server unless it runs, and wait until it answers; returns whether it was started."""
        if self.is_running() and self._answers():
            return False
        self._clear_stale_pid_file()
        if not is_free(self.port):
            raise UserError(
                f"port {self.port} for PostgreSQL is taken by another program",
                hint="stop that program, or choose another port with HUB_POSTGRES_PORT",
            )
        self.configure()
        command: list[str | Path] = [postgres.program("pg_ctl"), "-D", self.pgdata, "-l", self.log, "-w"]
        done = self.account.run([*command, "-t", str(_START_SECONDS), "start"])
        if done.returncode or not self._answers():
            raise UserError("PostgreSQL did not start", hint=f"end of {self.log}:\n{tail(self.log)}")
        return True

    def _clear_stale_pid_file(self) -> None:
        """Remove what kill -9 left, but only once no process works in the data directory any more.

        The number in the file may belong to somebody else's process by now, and PostgreSQL would refuse to
        start; but orphaned backends may still write, and then the file must stay.
        """
        stale = self.pgdata / "postmaster.pid"
        if not stale.exists():
            return
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while left := processes.working_in(self.pgdata):
            if time.monotonic() > deadline:
                raise UserError(
                    f"a killed server's processes still work in {self.pgdata}: {', '.join(map(str, left))}",
                    hint="end them by their numbers, then try again",
                )
            time.sleep(0.2)
        # A dying process loses its command line and its working directory before its sockets are closed.
        deadline = time.monotonic() + _DYING_SECONDS
        while not is_free(self.port) and time.monotonic() < deadline:
            time.sleep(0.02)
        stale.unlink()

    def _answers(self) -> bool:
        """Wait until the running server takes connections; False if it ends meanwhile (just killed)."""

        @retry(
            retry=retry_if_exception_type(psycopg.OperationalError),
            stop=stop_after_delay(_START_SECONDS),
            wait=wait_fixed(0.1),
            reraise=True,
        )
        def answers() -> bool:
            if not self.is_running():
                return False
            with psycopg.connect(self.url(), connect_timeout=5):
                return True

        try:
            return answers()
        except psycopg.OperationalError as error:
            raise UserError(
                f"PostgreSQL does not answer on port {self.port}: {str(error).strip()}",
                hint=f"end of {self.log}:\n{tail(self.log)}",
            ) from None

    def stop(self, mode: str = "fast") -> bool:
        """Stop the server if it runs; returns whether it was running."""
        if not self.is_running():
            return False
        done = self.account.run([postgres.program("pg_ctl"), "-D", self.pgdata, "-w", "-m", mode, "stop"])
        if done.returncode:
            raise UserError("PostgreSQL did not stop", hint=(done.stderr or done.stdout).strip())
        return True

    def ensure_database(self, dbname: str, owner: str | None = None) -> bool:
        """Create a database unless it is there; returns whether it was made."""
        with psycopg.connect(self.url(), autocommit=True) as conn:
            if conn.execute("select from pg_database where datname = %s", [dbname]).rowcount:
                return False
            command = psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(dbname))
            if owner:
                command += psycopg.sql.SQL(" owner {}").format(psycopg.sql.Identifier(owner))
            conn.execute(command)
        return True


def new_password() -> str:
    """A password of 32 URL-safe characters."""
    return secrets.token_urlsafe(24)


def cron_settings(dbname: str) -> dict[str, str]:
    """Server settings for pg_cron in `dbname`; without its files the server would not start with them."""
    preload = ["pg_stat_statements"] if postgres.has_extension("pg_stat_statements") else []
    settings: dict[str, str] = {}
    if postgres.has_extension("pg_cron"):
        preload.insert(0, "pg_cron")
        # Background workers need no password and no pg_hba line to run a job.
        settings = {
            "cron.database_name": dbname,
            "cron.use_background_workers": "on",
            "cron.log_statement": "off",
            "max_worker_processes": str(max(20, (os.cpu_count() or 1) * 4)),
        }
    return settings | {"shared_preload_libraries": ",".join(preload)}
