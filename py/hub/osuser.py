"""Whose account the servers run under.

initdb and pgbouncer refuse to run as root, so root's stack runs as the account `postgres` that Debian
made for it. Anybody else's stack runs as himself.
"""

import grp
import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.errors import UserError

UNPRIVILEGED = "postgres"


@dataclass(frozen=True)
class Account:
    """An operating system account that servers run under."""

    name: str
    uid: int
    gid: int
    home: str

    @property
    def switches(self) -> bool:
        """Whether starting a process under this account means leaving our own."""
        return self.uid != os.geteuid()

    def popen_arguments(self) -> dict[str, Any]:
        """Keyword arguments that make `subprocess` start the child under this account."""
        if not self.switches:
            return {}
        groups = [g.gr_gid for g in grp.getgrall() if self.name in g.gr_mem]
        return {"user": self.uid, "group": self.gid, "extra_groups": groups, "umask": 0o077}

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Our environment with this account's HOME; PG* variables of the caller would misdirect libpq."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        if self.switches:
            kept |= {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}
        return kept | dict(extra or {})

    def run(
        self, command: Sequence[str | Path], *, check: bool = False, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end under this account, from a directory that every account can stand in."""
        return subprocess.run(
            [str(part) for part in command],
            check=check,
            cwd="/",
            env=self.environment(extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **self.popen_arguments(),
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this account can traverse `folder` (root's checkout may lie in a 0700 folder)."""
        return self.run(["test", "-x", folder]).returncode == 0

    def can_execute(self, program: Path) -> bool:
        """Whether this account can run `program`."""
        return self.run(["test", "-x", program.resolve()]).returncode == 0

    def own(self, path: Path) -> None:
        """Hand `path` to this account where we may."""
        if self.switches:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """The account for PostgreSQL and the rest: `postgres` for root, else the caller.

    Raises UserError where root has no `postgres` account to switch to.
    """
    if os.geteuid() != 0:
        me = pwd.getpwuid(os.geteuid())
        return Account(me.pw_name, me.pw_uid, me.pw_gid, me.pw_dir)
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise UserError(
            f"root cannot run PostgreSQL itself and there is no account '{UNPRIVILEGED}'",
            hint="install Debian's postgresql package (./hub does so), or run as an ordinary user",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
