"""Finding PostgreSQL's programs: the newest major version, preferring one that has pg_cron."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from hub.errors import UserError

MINIMUM_MAJOR = 15
_DEBIAN = Path("/usr/lib/postgresql")


def _has(bin_dir: Path, extension: str) -> bool:
    """Whether the server of `bin_dir` has the control file of `extension`."""
    config = bin_dir / "pg_config"
    asked = (
        subprocess.run([config, "--sharedir"], capture_output=True, text=True, check=False)
        if config.exists()
        else None
    )
    shares = [Path(asked.stdout.strip())] if asked and asked.returncode == 0 else []
    if bin_dir.parent.parent == _DEBIAN:
        shares.append(Path("/usr/share/postgresql") / bin_dir.parent.name)
    return any((share / "extension" / f"{extension}.control").exists() for share in shares)


def _major(bin_dir: Path) -> int:
    """Major version of the server in `bin_dir`; 0 where there is none."""
    server = bin_dir / "postgres"
    if not server.exists():
        return 0
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\b(\d+)(?:\.\d+|beta|rc|devel)", answer)
    return int(found.group(1)) if found else 0


@cache
def bin_dir() -> Path:
    """The folder of initdb, pg_ctl, pg_dump: $HUB_PG_BIN, else the best of Debian's folders and PATH.

    Raises UserError where no server of PostgreSQL 15 or newer is installed.
    """
    given = os.environ.get("HUB_PG_BIN")
    candidates = [Path(given)] if given else sorted(_DEBIAN.glob("*/bin"))
    if not given and (on_path := shutil.which("initdb")):
        candidates.append(Path(on_path).resolve().parent)
    ranked = [(_has(c, "pg_cron"), _major(c), c) for c in candidates]
    fit = [entry for entry in ranked if entry[1] >= MINIMUM_MAJOR]
    if not fit:
        raise UserError(
            f"no PostgreSQL server of version {MINIMUM_MAJOR} or newer found",
            hint="apt-get install postgresql postgresql-15-cron, or set HUB_PG_BIN to the folder of initdb",
        )
    return max(fit)[2]


def program(name: str) -> Path:
    """Path of one of PostgreSQL's programs, such as pg_dump."""
    return bin_dir() / name


def has_extension(name: str) -> bool:
    """Whether the chosen server has this extension's files."""
    return _has(bin_dir(), name)
