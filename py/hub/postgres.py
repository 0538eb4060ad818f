"""Finds PostgreSQL's programs: the newest major version, preferring one that has pg_cron."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from hub.environment import Locations
from hub.errors import UserError

MINIMUM_MAJOR = 15
_DEBIAN = Path("/usr/lib/postgresql")


def _has(bin_dir: Path, extension: str) -> bool:
    """Whether the server of `bin_dir` has the control file of `extension`."""
    config = bin_dir / "pg_config"
    shares = []
    if config.exists():
        answer = subprocess.run([config, "--sharedir"], capture_output=True, text=True, check=False)
        shares = [Path(answer.stdout.strip())] if answer.returncode == 0 else []
    if bin_dir.parent.parent == _DEBIAN:
        shares.append(Path("/usr/share/postgresql") / bin_dir.parent.name)
    return any((share / "extension" / f"{extension}.control").exists() for share in shares)


def _major(bin_dir: Path) -> int:
    """Major version of the server in `bin_dir`; 0 if there is none."""
    server = bin_dir / "postgres"
    if not server.exists():
        return 0
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\b(\d+)(?:\.\d+|beta|rc|devel)", answer)
    return int(found.group(1)) if found else 0


@cache
def bin_dir() -> Path:
    """The folder of initdb, pg_ctl and pg_dump: HUB_PG_BIN, otherwise the best of Debian's folders and PATH.

    Raises UserError if no server of PostgreSQL 15 or newer is installed.
    """
    given = Locations().pg_bin
    candidates = [given] if given else sorted(_DEBIAN.glob("*/bin"))
    if not given and (on_path := shutil.which("initdb")):
        candidates.append(Path(on_path).resolve().parent)
    ranked = [(_has(c, "pg_cron"), _major(c), c) for c in candidates]
    suitable = [entry for entry in ranked if entry[1] >= MINIMUM_MAJOR]
    if not suitable:
        raise UserError(
            f"no PostgreSQL server of version {MINIMUM_MAJOR} or newer found",
            hint="apt-get install postgresql postgresql-15-cron, or set HUB_PG_BIN to the folder of initdb",
        )
    return max(suitable)[2]


def program(name: str) -> Path:
    """Path of one of the server's programs, such as pg_ctl. Raises UserError if no server is installed."""
    return bin_dir() / name


def client(name: str) -> Path:
    """Path of a client program, such as psql, which may be installed without a server.

    Raises UserError if it is not installed.
    """
    try:
        return program(name)
    except UserError:
        found = shutil.which(name)
        if not found:
            raise UserError(f"{name} is not installed", hint="apt-get install postgresql-client") from None
        return Path(found)


def has_extension(name: str) -> bool:
    """Whether the extension is installed for the server that `bin_dir` chooses."""
    return _has(bin_dir(), name)
