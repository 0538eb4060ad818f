"""PgBouncer in transaction mode: many clients share few server connections.

The gateway needs none: it pools its own connections and keeps prepared statements in them, which PgBouncer
cannot do before version 1.21.
"""

import re
import shutil
import subprocess
from pathlib import Path

import psycopg
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from hub.errors import UserError
from hub.osuser import Account
from hub.ports import HOST
from hub.settings import Settings

ADMIN = "hub_admin"
"""The login for PgBouncer's console (`show pools`); its password is HUB_SUPERVISOR_PASSWORD."""

POOL_SIZE = 20
"""The largest number of server connections."""

MAX_CLIENTS = 1000
"""The largest number of clients; further ones are refused."""

WAIT_SECONDS = 10
"""How long a client waits for a server connection before it is disconnected."""

_PREPARED_FROM = (1, 21)
_PREPARED_STATEMENTS = 200


def program() -> Path:
    """Path of pgbouncer. Raises UserError if it is not installed."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise UserError("pgbouncer is not installed", hint="apt-get install pgbouncer (./hub does so)")
    return Path(found)


def version() -> str:
    """The version of pgbouncer. Raises UserError if it is not installed or does not run."""
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"PgBouncer (\d+\.\d+\S*)", done.stdout)
    if not found:
        raise UserError(f"{program()} does not run: {(done.stderr or done.stdout).strip()}")
    return found[1]


def keeps_prepared_statements() -> bool:
    """Whether clients' prepared statements follow them from one server connection to the next."""
    major, minor = version().split(".")[:2]
    return (int(major), int(minor)) >= _PREPARED_FROM


def ini(settings: Settings, users: Path, *, prepared: bool = False) -> str:
    """The text of pgbouncer.ini, for version 1.18 (Debian 12) and newer; `prepared` from 1.21 on.

    server_login_retry reconnects within a second after a restart of the server (default 15).
    """
    statements = f"max_prepared_statements = {_PREPARED_STATEMENTS}\n" if prepared else ""
    return f"""\
[databases]
{settings.database} = host={HOST} port={settings.postgres_port} dbname={settings.database}

[pgbouncer]
listen_addr = {HOST}
listen_port = {settings.pgbouncer_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
admin_users = {ADMIN}
pool_mode = transaction
max_client_conn = {MAX_CLIENTS}
default_pool_size = {POOL_SIZE}
server_login_retry = 1
query_wait_timeout = {WAIT_SECONDS}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
{statements}"""


def userlist(settings: Settings) -> str:
    """The text of auth_file.

    Passwords are in clear text, because PgBouncer logs in to the server with them.
    """
    pairs = [
        ("authenticator", settings.authenticator_password.get_secret_value()),
        (ADMIN, settings.supervisor_password.get_secret_value()),
    ]
    return "".join(f'"{name}" "{password.replace(chr(34), chr(34) * 2)}"\n' for name, password in pairs)


def write(folder: Path, settings: Settings, account: Account) -> Path:
    """Write both files into `folder`; returns the path of pgbouncer.ini."""
    users = folder / "pgbouncer-users.txt"
    config = folder / "pgbouncer.ini"
    account.write_private(users, userlist(settings))
    account.write_private(config, ini(settings, users, prepared=keeps_prepared_statements()))
    return config


def start(folder: Path, settings: Settings, account: Account) -> subprocess.Popen[bytes]:
    """Start PgBouncer as a child process with its files in `folder`; a stack's runs under supervisord."""
    config = write(folder, settings, account)
    with (folder / "pgbouncer.log").open("ab") as log:
        return subprocess.Popen(
            [str(program()), str(config)],
            cwd="/",
            env=account.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            **account.popen_arguments(),
        )


def wait_ready(settings: Settings, seconds: float) -> None:
    """Wait until PgBouncer accepts connections. Raises psycopg.OperationalError after so many seconds."""
    for attempt in Retrying(
        retry=retry_if_exception_type(psycopg.OperationalError),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.05),
        reraise=True,
    ):
        with attempt:
            psycopg.connect(settings.pooled_url, connect_timeout=5).close()
