"""Finds PostgreSQL's programs: the newest major version, preferring one that has pg_cron."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hub.environment import Locations
from hub.errors import UserError

MINIMUM_MAJOR = 15
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Server:
    """The programs of an installed server; `cron` is the version of its pg_cron, empty without one."""

    bin_dir: Path
    version: str
    cron: str

    @property
    def major(self) -> int:
        """The major version, such as 17."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def _extension(bin_dir: Path, name: str) -> str:
    """The version of `name` that the server of `bin_dir` would create; empty if it is not installed."""
    config = bin_dir / "pg_config"
    # Packages that move their folders have no pg_config, but keep the folders beside each other.
    shares = [bin_dir.parent / "share", bin_dir.parent / "share" / "postgresql"]
    if config.exists():
        answer = subprocess.run([config, "--sharedir"], capture_output=True, text=True, check=False)
        shares += [Path(answer.stdout.strip())] if answer.returncode == 0 else []
    if bin_dir.parent.parent == _DEBIAN:
        shares.append(Path("/usr/share/postgresql") / bin_dir.parent.name)
    for share in shares:
        control = share / "extension" / f"{name}.control"
        if control.exists():
            found = re.search(r"^default_version *= *'([^']*)'", control.read_text(), re.MULTILINE)
            return found.group(1) if found else "?"
    return ""


def _version(bin_dir: Path) -> str:
    """Version of the server in `bin_dir`, such as 17.6 or 18beta1; empty if there is none."""
    server = bin_dir / "postgres"
    if not server.exists():
        return ""
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\b(\d+(?:\.\d+|beta\d*|rc\d*|devel))", answer)
    return found.group(1) if found else ""


def servers(folders: Iterable[Path]) -> list[Server]:
    """The suitable servers in these folders of programs, the best one last."""
    found = [
        Server(folder, version, _extension(folder, "pg_cron"))
        for folder in dict.fromkeys(folders)
        if (version := _version(folder))
    ]
    suitable = [server for server in found if server.major >= MINIMUM_MAJOR]
    return sorted(suitable, key=lambda server: (bool(server.cron), server.major, server.bin_dir))


def installed() -> list[Path]:
    """The folders of programs of Debian's servers, and the one on PATH."""
    folders = sorted(_DEBIAN.glob("*/bin"))
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).resolve().parent)
    return folders


@cache
def bin_dir() -> Path:
    """The folder of initdb, pg_ctl and pg_dump: HUB_PG_BIN, otherwise the best of Debian's folders and PATH.

    Raises UserError if no server of PostgreSQL 15 or newer is installed.
    """
    given = Locations().pg_bin
    suitable = servers([given] if given else installed())
    if not suitable:
        raise UserError(
            f"no PostgreSQL server of version {MINIMUM_MAJOR} or newer found",
            hint="apt-get install postgresql postgresql-15-cron, or set HUB_PG_BIN to the folder of initdb",
        )
    return suitable[-1].bin_dir


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
    return bool(_extension(bin_dir(), name))
