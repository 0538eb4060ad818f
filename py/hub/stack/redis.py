"""Redis: shares the cache's bodies between processes. The stack works without it."""

import shutil
from pathlib import Path

from hub.osuser import Account
from hub.ports import HOST
from hub.settings import Settings

MAX_MEMORY = "64mb"
"""Where the least recently used bodies give way. A body of 300 products takes about 15 kB."""

MISSING = "redis-server is not installed: the cache runs without it"


def program() -> Path | None:
    """Path of redis-server, or of its fork valkey-server; None if neither is installed."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


def conf(settings: Settings, folder: Path) -> str:
    """The text of redis.conf: a cache in memory, which keeps nothing on the disk."""
    return f"""\
bind {HOST}
port {settings.redis_port}
protected-mode yes
requirepass {settings.redis_password.get_secret_value()}
dir {_quoted(folder)}
daemonize no
save ""
appendonly no
maxmemory {MAX_MEMORY}
maxmemory-policy allkeys-lru
# A title would overwrite the environment, whose mark finds the programs of a killed supervisord.
set-proc-title no
"""


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(folder: Path, settings: Settings, account: Account) -> Path:
    """Write redis.conf into `folder`, readable by its account only; returns its path."""
    path = folder / "redis.conf"
    account.write_private(path, conf(settings, folder))
    return path
