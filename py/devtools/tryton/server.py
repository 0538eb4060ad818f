"""A provisioned Tryton database on a PostgreSQL cluster of the hub, and a server for it."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
from psycopg import sql

from devtools.tryton.install import Progress, environment, fingerprint
from hub.cluster import Cluster, tail
from hub.errors import UserError
from hub.osuser import Account
from hub.ports import HOST

MODULES = ("sale", "account_invoice_stock")
ROLE = "tryton"
ADAPTER, ACCOUNTANT = "hub", "akuntan"
"""Logins of provisioned databases; the password is the specification's."""

_START_SECONDS = 90
_LINES = 250
"""Approximate number of lines that trytond-admin writes."""
_PLANNING = {"from_collapse_limit": 30, "join_collapse_limit": 30, "geqo_threshold": 20}
"""Tryton reads the foreign keys of each changed table from information_schema, a join of twelve tables. With
the default limits PostgreSQL finds a plan that takes a second, because statistics lack the new tables."""


def _silent(_what: str, _share: float) -> None: ...


@dataclass(frozen=True)
class Specification:
    """The contents of a database; products are {"sku", "name", "price", "quantity"}."""

    company: str
    password: str
    products: Sequence[Mapping[str, Any]]

    def document(self) -> str:
        """JSON for provision.py."""
        return json.dumps(
            {"company": self.company, "password": self.password, "products": list(self.products)},
            sort_keys=True,
        )


def ensure_database(
    cluster: Cluster, name: str, specification: Specification, progress: Progress = _silent
) -> bool:
    """Provision a database of this name unless it exists; returns whether it was created.

    A failed attempt leaves no database.
    """
    bin_ = environment(progress)
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        if conn.execute("select from pg_database where datname = %s", [name]).rowcount:
            return False
        _ensure_role(conn, cluster)
        making = f"tryton_making_{os.getpid()}"
        drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(making))
        conn.execute(drop)
        conn.execute(
            sql.SQL("create database {} owner {}").format(sql.Identifier(making), sql.Identifier(ROLE))
        )
        try:
            with tempfile.TemporaryDirectory(prefix="hub-tryton-") as folder:
                _provision(bin_, cluster, making, specification, Path(folder), progress)
        except BaseException:
            conn.execute(drop)
            raise
        conn.execute(
            sql.SQL("alter database {} rename to {}").format(sql.Identifier(making), sql.Identifier(name))
        )
    return True


def template_name(specification: Specification) -> str:
    """A name that changes with everything that the database is created from."""
    source = Path(__file__).with_name("provision.py").read_text()
    origin = f"{fingerprint()}{source}{specification.document()}"
    return f"tryton_{hashlib.sha256(origin.encode()).hexdigest()[:12]}"


def _ensure_role(conn: psycopg.Connection[Any], cluster: Cluster) -> None:
    """Create Tryton's own role, which owns its databases and nothing else."""
    with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        statement = sql.SQL("create role {} login password {}")
        conn.execute(statement.format(sql.Identifier(ROLE), sql.Literal(_password(cluster))))


def _password(cluster: Cluster) -> str:
    return hashlib.sha256(f"tryton {cluster.password}".encode()).hexdigest()[:32]


def _provision(
    bin_: Path,
    cluster: Cluster,
    database: str,
    specification: Specification,
    folder: Path,
    progress: Progress,
) -> None:
    conf, document, secret = folder / "trytond.conf", folder / "specification.json", folder / "password"
    conf.touch(mode=0o600)
    conf.write_text(config(cluster, 0, folder))
    document.write_text(specification.document())
    secret.write_text(specification.password)
    variables = dict(os.environ) | {
        "TRYTONPASSFILE": str(secret),
        "TRYTOND_CONFIG": str(conf),
        "PGOPTIONS": " ".join(f"-c {name}={limit}" for name, limit in _PLANNING.items()),
    }
    program: list[str | Path] = [bin_ / "trytond-admin", "-c", conf, "-d", database, "-v", "--no-indexes"]
    modules = ["--email", "admin@tryton.example", "--activate-dependencies", "-u", *MODULES]
    _run("creating Tryton's database", [*program, *modules], variables, progress)
    script = Path(__file__).with_name("provision.py")
    _run("provisioning Tryton", [bin_ / "python", script, conf, database, document], variables, progress)


def _run(what: str, command: Sequence[str | Path], variables: dict[str, str], progress: Progress) -> None:
    lines: list[str] = []
    progress(what, 0)
    with subprocess.Popen(
        [str(part) for part in command],
        cwd="/",
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            progress(what, min(0.99, len(lines) / _LINES))
    if process.returncode:
        raise UserError(f"{what} failed", hint="".join(lines[-15:]).strip())
    progress(what, 1)


def config(cluster: Cluster, port: int, folder: Path) -> str:
    """The text of trytond.conf."""
    return f"""\
[database]
uri = postgresql://{ROLE}:{quote(_password(cluster), safe="")}@{cluster.host}:{cluster.port}/
path = {folder}

[web]
listen = {HOST}:{port}
"""


@dataclass
class Server:
    """trytond for one database, as a child process."""

    cluster: Cluster
    database: str
    port: int
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder / "trytond.log"

    def command(self, account: Account | None = None) -> list[str]:
        """Write the configuration, readable by `account`; returns the command that starts the server."""
        conf = self.folder / "trytond.conf"
        conf.touch(mode=0o600)
        conf.write_text(config(self.cluster, self.port, self.folder))
        if account:
            account.own(conf)
        return [str(environment() / "trytond"), "-c", str(conf), "-d", self.database]

    def start(self) -> None:
        """Start the server; does not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_up(self) -> None:
        """Wait until the server answers. Raises UserError with the end of its log."""
        deadline = time.monotonic() + _START_SECONDS
        body = {"id": 1, "method": "common.db.list", "params": []}
        while time.monotonic() < deadline:
            if self._process and self._process.poll() is not None:
                break
            with suppress(httpx.HTTPError):
                if httpx.post(f"{self.url}/rpc/", json=body, trust_env=False, timeout=10).status_code == 200:
                    return
            time.sleep(0.05)
        raise UserError("trytond did not start", hint=f"end of {self.log}:\n{tail(self.log)}")

    def kill(self) -> None:
        """Kill the server with SIGKILL, as the kernel does when memory runs out."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server with SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None
