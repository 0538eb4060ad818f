"""PgBouncer in transaction mode: many callers, few server connections."""

import os
import shutil
from pathlib import Path

from hub.errors import UserError
from hub.osuser import Account
from hub.ports import HOST
from hub.settings import Settings

ADMIN = "hub_admin"
"""Login of PgBouncer's own console (`show pools`); its password is HUB_SUPERVISOR_PASSWORD."""


def program() -> Path:
    """Path of pgbouncer. Raises UserError where it is not installed."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("pgbouncer", path=search)
    if not found:
        raise UserError("pgbouncer is not installed", hint="apt-get install pgbouncer (./hub does so)")
    return Path(found)


def ini(settings: Settings, users: Path) -> str:
    """pgbouncer.ini; understood by version 1.18 (Debian 12) and newer.

    A server that comes back is found within a second (PgBouncer's own pause is 15), and who cannot be given a
    connection is told so before his gateway gives up.
    """
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
max_client_conn = 1000
default_pool_size = 20
reserve_pool_size = 5
reserve_pool_timeout = 2
server_login_retry = 1
query_wait_timeout = 15
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
"""


def userlist(settings: Settings) -> str:
    """auth_file: PgBouncer logs in to the server with the same password, so it must know it in the clear."""
    pairs = [("authenticator", settings.authenticator_password), (ADMIN, settings.supervisor_password)]
    return "".join(f'"{name}" "{password.replace(chr(34), chr(34) * 2)}"\n' for name, password in pairs)


def write(folder: Path, settings: Settings, account: Account) -> Path:
    """Write both files into `folder`; returns the path of pgbouncer.ini."""
    users = folder / "pgbouncer-users.txt"
    config = folder / "pgbouncer.ini"
    for path, text in ((users, userlist(settings)), (config, ini(settings, users))):
        path.touch(mode=0o600)
        path.write_text(text)
        account.own(path)
    return config
