"""A furnished Tryton database on a cluster of ours, and a server for it."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
from psycopg import sql

from devtools.tryton.install import Tell, environment, fingerprint
from hub.cluster import Cluster, tail
from hub.errors import UserError
from hub.osuser import Account
from hub.ports import HOST

MODULES = ("sale", "account_invoice_stock")
ROLE = "tryton"
ADAPTER, ACCOUNTANT = "hub", "akuntan"
"""Logins of furnished databases; the password is what `wishes` says."""

_START_SECONDS = 90
_DEMO = Path("tryton") / "demo.json"
_LINES = 250
"""About so many lines trytond-admin writes."""


def _silent(_what: str, _share: float) -> None: ...


@dataclass(frozen=True)
class Wishes:
    """How a database is furnished: products are {"sku", "name", "price", "quantity"}."""

    company: str
    password: str
    products: Sequence[Mapping[str, Any]]

    def document(self) -> str:
        """As furnish.py reads it."""
        return json.dumps(
            {"company": self.company, "password": self.password, "products": list(self.products)},
            sort_keys=True,
        )


def ensure_database(cluster: Cluster, name: str, wishes: Wishes, tell: Tell = _silent) -> bool:
    """Have a furnished database of this name; returns whether it was made. Half of one never stays."""
    bin_ = environment(tell)
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
                _furnish(bin_, cluster, making, wishes, Path(folder), tell)
        except BaseException:
            conn.execute(drop)
            raise
        conn.execute(
            sql.SQL("alter database {} rename to {}").format(sql.Identifier(making), sql.Identifier(name))
        )
    return True


def template_name(wishes: Wishes) -> str:
    """A name that changes with whatever makes the database."""
    source = Path(__file__).with_name("furnish.py").read_text()
    return f"tryton_{hashlib.sha256(f'{fingerprint()}{source}{wishes.document()}'.encode()).hexdigest()[:12]}"


def _ensure_role(conn: psycopg.Connection[Any], cluster: Cluster) -> None:
    """Tryton's own role, which owns its databases and nothing else."""
    with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        statement = sql.SQL("create role {} login password {}")
        conn.execute(statement.format(sql.Identifier(ROLE), sql.Literal(_password(cluster))))


def _password(cluster: Cluster) -> str:
    return hashlib.sha256(f"tryton {cluster.password}".encode()).hexdigest()[:32]


def _furnish(bin_: Path, cluster: Cluster, database: str, wishes: Wishes, folder: Path, tell: Tell) -> None:
    conf, given, secret = folder / "trytond.conf", folder / "wishes.json", folder / "password"
    conf.touch(mode=0o600)
    conf.write_text(config(cluster, 0, folder))
    given.write_text(wishes.document())
    secret.write_text(wishes.password)
    variables = dict(os.environ) | {"TRYTONPASSFILE": str(secret), "TRYTOND_CONFIG": str(conf)}
    program: list[str | Path] = [bin_ / "trytond-admin", "-c", conf, "-d", database, "-v", "--no-indexes"]
    modules = ["--email", "admin@tryton.example", "--activate-dependencies", "-u", *MODULES]
    _run("making Tryton's database", [*program, *modules], variables, tell)
    script = Path(__file__).with_name("furnish.py")
    _run("furnishing Tryton", [bin_ / "python", script, conf, database, given], variables, tell)


def _run(what: str, command: Sequence[str | Path], variables: dict[str, str], tell: Tell) -> None:
    lines: list[str] = []
    tell(what, 0)
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
            tell(what, min(0.99, len(lines) / _LINES))
    if process.returncode:
        raise UserError(f"{what} failed", hint="".join(lines[-15:]).strip())
    tell(what, 1)


def config(cluster: Cluster, port: int, folder: Path) -> str:
    """trytond.conf."""
    return f"""\
[database]
uri = postgresql://{ROLE}:{quote(_password(cluster), safe="")}@{cluster.host}:{cluster.port}/
path = {folder}

[web]
listen = {HOST}:{port}
"""


@dataclass(frozen=True)
class Demo:
    """The stack's own Tryton, for the demo."""

    database: str
    password: str

    def keep(self, folder: Path) -> None:
        """Write it down: from now on `hub up` runs it."""
        file = folder / _DEMO
        file.parent.mkdir(mode=0o755, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self)))

    def adapter(self, port: int) -> dict[str, str]:
        """What the ERP adapter is told of it."""
        return {
            "erp_kind": "tryton",
            "erp_url": f"http://{HOST}:{port}",
            "erp_database": self.database,
            "erp_login": ADAPTER,
            "erp_password": self.password,
            "erp_poll_seconds": "1",
            "erp_interval_seconds": "3",
            "erp_settle_seconds": "5",
            "erp_timeout_seconds": "30",
        }


def demo(folder: Path) -> Demo | None:
    """The demo's Tryton of the stack in `folder`, if it was made."""
    file = folder / _DEMO
    return Demo(**json.loads(file.read_text())) if file.exists() else None


@dataclass
class Server:
    """trytond for one database, as our own child."""

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
        """What it writes."""
        return self.folder / "trytond.log"

    def command(self, account: Account | None = None) -> list[str]:
        """Writes the configuration, for an account to read; returns how the server is started."""
        conf = self.folder / "trytond.conf"
        conf.touch(mode=0o600)
        conf.write_text(config(self.cluster, self.port, self.folder))
        if account:
            account.own(conf)
        return [str(environment() / "trytond"), "-c", str(conf), "-d", self.database]

    def start(self) -> None:
        """Start; does not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_up(self) -> None:
        """Until it answers for its database. Raises UserError with the end of its log."""
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
        """As the kernel would, out of memory."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None
