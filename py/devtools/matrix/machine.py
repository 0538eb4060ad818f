"""The PostgreSQL servers and the Pythons of the machine."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hub import paths, postgres
from hub.environment import Locations
from hub.errors import UserError
from hub.osuser import server_account
from hub.postgres import Server

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""The versions that the project supports."""

_PROBE = "import ensurepip, platform, venv; print(platform.python_version())"


@dataclass(frozen=True)
class Interpreter:
    """A Python; `version` is complete, such as 3.13.5."""

    program: Path
    version: str

    @property
    def minor(self) -> str:
        """The version without its last part, such as 3.13."""
        return ".".join(self.version.split(".")[:2])


def servers() -> list[Server]:
    """The servers of Debian's packages, on PATH, in HUB_PG_BIN and HUB_PG_BINS, from the oldest.

    Raises UserError if there is none, or none in HUB_PG_BIN.
    """
    given = Locations()
    folders = [*postgres.installed(), *([given.pg_bin] if given.pg_bin else [])]
    folders += [Path(folder) for folder in given.pg_bins.split(":") if folder]
    found = sorted(postgres.servers(folders), key=lambda server: (server.major, server.bin_dir))
    if not [server for server in found if given.pg_bin in (None, server.bin_dir)]:
        raise UserError(
            "no PostgreSQL server found", hint="install one, or correct HUB_PG_BIN or HUB_PG_BINS"
        )
    return found


def interpreters() -> list[Interpreter]:
    """The present Python, and the first usable one on PATH of each other version, from the oldest."""
    found = {present.minor: present for present in [_present()]}
    for version in PYTHONS:
        if version in found:
            continue
        candidates = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
        usable = (made for one in candidates if (made := probe(one)) and made.minor == version)
        if first := next(usable, None):
            found[version] = first
    return [found[version] for version in sorted(found, key=_number)]


def probe(program: Path) -> Interpreter | None:
    """The Python `program`; None if it does not run or makes no virtual environments.

    The servers' account must be able to run it, too: it runs the adapters in the tests.
    """
    try:
        answer = server_account().run([program, "-c", _PROBE])
    except OSError:
        return None
    return Interpreter(program, answer.stdout.strip()) if answer.returncode == 0 else None


@cache
def _present() -> Interpreter:
    return Interpreter(Path(sys.executable), ".".join(map(str, sys.version_info[:3])))


def present(known: Sequence[Interpreter]) -> Interpreter:
    """The Python that runs this command."""
    return next(one for one in known if one.minor == _present().minor)


def default(known: Sequence[Server]) -> Server:
    """The server that other commands use: that of HUB_PG_BIN, otherwise the newest, preferring pg_cron."""
    given = Locations().pg_bin
    return max((server for server in known if given in (None, server.bin_dir)), key=_rank)


def _rank(server: Server) -> tuple[bool, int]:
    return bool(server.cron), server.major


def named_server(known: Sequence[Server], name: str) -> Server:
    """The server of this major version or in this folder. Raises UserError if there is none."""
    if "/" in name:
        found = postgres.servers([Path(name)])
    else:
        found = [server for server in known if str(server.major) == name]
    if not found:
        versions = ", ".join(str(server.major) for server in known)
        raise UserError(f"no PostgreSQL {name} on this machine", hint=f"it has {versions}")
    return found[-1]


def named_interpreter(known: Sequence[Interpreter], name: str) -> Interpreter:
    """The Python of this version or path. Raises UserError if there is none that is usable."""
    found = [probe(Path(name))] if "/" in name else [one for one in known if one.minor == name]
    if not found or found[0] is None:
        versions = ", ".join(one.minor for one in known)
        raise UserError(f"no usable Python {name} on this machine", hint=f"it has {versions}")
    return found[0]


def describe(server: Server) -> str:
    """The server in words, such as "PostgreSQL 16.14 without jobs"."""
    return f"PostgreSQL {server.version} {jobs(server)}"


def jobs(server: Server) -> str:
    """The version of pg_cron, or that there is none."""
    return f"with pg_cron {server.cron}" if server.cron else "without jobs"


def data_folder(server: Server) -> Path:
    """Where the tests on this server keep their cluster, which no other version can read."""
    path = hashlib.sha256(str(server.bin_dir).encode()).hexdigest()[:8]
    return paths.make_data_dir()[0] / f"matrix-{server.major}-{path}"


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
