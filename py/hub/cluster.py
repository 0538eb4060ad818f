"""A PostgreSQL cluster with a data folder and a loopback port of its own, apart from Debian's clusters."""

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

from hub import postgres, postmaster, processes
from hub.errors import UserError
from hub.osuser import Account, server_account
from hub.ports import HOST, is_free

_START_SECONDS = 60
_ORPHAN_SECONDS = 15


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return f"({log} cannot be read)"


@dataclass
class Cluster:
    """One server; `folder` holds pgdata/ and postgres.log."""

    folder: Path
    port: int
    password: str
    superuser: str = "postgres"
    settings: Mapping[str, str] = field(default_factory=dict)
    account: Account = field(default_factory=server_account)
    host: str = HOST
    start_seconds: int = _START_SECONDS
    """How long a start may take; recovery from an archive takes longer than one from a crash."""

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.folder / "pgdata"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    def url(self, dbname: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Connection URL of a database, as the superuser unless `user` is given."""
        name = quote(user or self.superuser, safe="")
        secret = password if user else self.password
        login = f"{name}:{quote(secret, safe='')}" if secret else name
        return f"postgresql://{login}@{self.host}:{self.port}/{dbname}"

    def initialise(self) -> bool:
        """Run initdb unless the cluster exists; returns whether it did. Raises UserError if initdb fails."""
        if (self.pgdata / "PG_VERSION").exists():
            return False
        self.account.make_folder(self.folder)
        if self.pgdata.exists():
            shutil.rmtree(self.pgdata)  # left by an interrupted initdb
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
        """Write hub.conf, which postgresql.conf includes last."""
        lines = [f"{name} = '{_escaped(value)}'" for name, value in self._settings().items()]
        own = self.pgdata / "hub.conf"
        own.write_text(
            "# Written by hub at every start; put your own changes into postgresql.conf.\n"
            + "\n".join(lines)
            + "\n"
        )
        self.account.own(own)
        main = self.pgdata / "postgresql.conf"
        include = "include_if_exists 'hub.conf'\n"
        text = main.read_text()
        if include not in text:
            main.write_text(text.rstrip("\n") + "\n\n" + include)

    def _settings(self) -> dict[str, str]:
        fixed = {
            "listen_addresses": self.host,
            "port": str(self.port),
            # TCP only: the path of a Unix socket is limited to 107 bytes, and paths of checkouts can be
            # longer.
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d %a ",
            # Solid-state disks: the default of 4 makes the planner prefer sequential scans of small tables.
            "random_page_cost": "1.1",
            # The details of an error show values of rows: addresses, numbers, names.
            "log_error_verbosity": "terse",
        }
        return fixed | dict(self.settings)

    def reload(self) -> None:
        """Write hub.conf again and let a running server read it."""
        self.configure()
        self.account.run([postgres.program("pg_ctl"), "-D", self.pgdata, "reload"])

    def is_running(self) -> bool:
        """Whether the postmaster runs; it may not accept connections yet."""
        return postmaster.running(self.pgdata) is not None

    def start(self) -> bool:
        """Start the server unless it runs, and wait until it accepts connections; returns whether it was
        started.

        Raises UserError if the port is taken or the server does not start.
        """
        if self.is_running() and self._accepts_connections():
            return False
        self._clear_stale_pid_file()
        if self.is_running() and self._accepts_connections():
            return False  # its supervisor was faster
        if not is_free(self.port) and not self.is_running():
            raise UserError(
                f"port {self.port} for PostgreSQL is taken by another program",
                hint="stop that program, or choose another port with HUB_POSTGRES_PORT or HUB_REPLICA_PORT",
            )
        self.configure()
        command: list[str | Path] = [postgres.program("pg_ctl"), "-D", self.pgdata, "-l", self.log, "-w"]
        done = self.account.run([*command, "-t", str(self.start_seconds), "start"])
        # Where pg_ctl fails, its supervisor may have been faster.
        if not self._accepts_connections():
            raise UserError("PostgreSQL did not start", hint=f"end of {self.log}:\n{tail(self.log)}")
        return done.returncode == 0

    def _clear_stale_pid_file(self) -> None:
        """Remove the pid file that kill -9 left, once no process works in the data directory any more.

        The pid may belong to an unrelated process by now, and PostgreSQL would then refuse to start. While
        orphaned backends may still write, the file must stay. Raises UserError if they do not end.
        """
        stale = postmaster.pid_file(self.pgdata)
        if not stale.exists():
            return
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while left := processes.working_in(self.pgdata):
            if self.is_running():
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"processes of a killed server still work in {self.pgdata}: {', '.join(map(str, left))}",
                    hint="terminate these process ids, then try again",
                )
            time.sleep(0.2)
        postmaster.wait_until_closed(self.port)
        stale.unlink()

    def _accepts_connections(self) -> bool:
        """Wait until the running server accepts connections; False if it ends meanwhile.

        Raises UserError if it runs but does not accept connections in time.
        """

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
        """Stop the server if it runs; returns whether it did. Raises UserError if it does not stop."""
        if not self.is_running():
            return False
        done = self.account.run([postgres.program("pg_ctl"), "-D", self.pgdata, "-w", "-m", mode, "stop"])
        if done.returncode:
            raise UserError("PostgreSQL did not stop", hint=(done.stderr or done.stdout).strip())
        return True

    def ensure_database(self, dbname: str, owner: str | None = None) -> bool:
        """Create a database unless it exists; returns whether it was created."""
        with psycopg.connect(self.url(), autocommit=True) as conn:
            if conn.execute("select from pg_database where datname = %s", [dbname]).rowcount:
                return False
            command = psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(dbname))
            if owner:
                command += psycopg.sql.SQL(" owner {}").format(psycopg.sql.Identifier(owner))
            conn.execute(command)
        return True


def _escaped(value: str) -> str:
    """A value between the quotation marks of a configuration file."""
    return value.replace("\\", "\\\\").replace("'", "''")


def new_password() -> str:
    """A random password of 32 URL-safe characters."""
    return secrets.token_urlsafe(24)


def cron_settings(dbname: str) -> dict[str, str]:
    """Settings that preload pg_cron, with its jobs in `dbname`.

    pg_cron is left out if it is not installed, because the server would not start.
    """
    preload = ["pg_stat_statements"] if postgres.has_extension("pg_stat_statements") else []
    settings: dict[str, str] = {}
    if postgres.has_extension("pg_cron"):
        preload.insert(0, "pg_cron")
        # Background workers run a job without a password and a line in pg_hba.conf.
        settings = {
            "cron.database_name": dbname,
            "cron.use_background_workers": "on",
            "cron.log_statement": "off",
            "max_worker_processes": str(max(20, (os.cpu_count() or 1) * 4)),
        }
    return settings | {"shared_preload_libraries": ",".join(preload)}
