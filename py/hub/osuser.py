"""The operating system account that servers run under.

initdb and pgbouncer refuse to run as root, so root's servers run as the account `postgres`, which Debian's
package creates. Every other user's servers run under the user's own account.
"""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.environment import child_environment
from hub.errors import UserError

UNPRIVILEGED = "postgres"


@dataclass(frozen=True)
class Account:
    """An account that servers run under."""

    name: str
    uid: int
    gid: int
    home: str

    @property
    def switches(self) -> bool:
        """Whether a process under this account runs under another account than ours."""
        return self.uid != os.geteuid()

    def popen_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `subprocess.Popen` that start the child under this account."""
        if not self.switches:
            return {}
        groups = os.getgrouplist(self.name, self.gid)
        return {"user": self.uid, "group": self.gid, "extra_groups": groups, "umask": 0o077}

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables for a child process; PG* are left out, because they would redirect libpq."""
        own = {"HOME": self.home, "USER": self.name, "LOGNAME": self.name} if self.switches else {}
        return child_environment(own | dict(extra or {}), without=("PG",))

    def run(
        self, command: Sequence[str | Path], *, check: bool = False, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` under this account and wait for it; the working directory is /."""
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
        """Whether this account can traverse `folder`; a checkout of root may be below a private folder."""
        return self.run(["test", "-x", folder]).returncode == 0

    def can_execute(self, program: Path) -> bool:
        """Whether this account can run `program`."""
        return self.run(["test", "-x", program.resolve()]).returncode == 0

    def own(self, path: Path) -> None:
        """Make this account the owner of `path`, if we run as another one."""
        if self.switches:
            os.chown(path, self.uid, self.gid)

    def own_tree(self, folder: Path) -> None:
        """Make this account the owner of `folder` and of everything in it, if we run as another one."""
        for path in (folder, *folder.rglob("*")) if self.switches else ():
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_folder(self, path: Path, mode: int = 0o755) -> None:
        """Create a folder of this account, and its parents, unless it exists."""
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        self.own(path)

    def write_private(self, path: Path, text: str) -> None:
        """Write a file that only this account, and root, can read."""
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(text)
        self.own(path)


def server_account() -> Account:
    """The account for servers: `postgres` for root, otherwise our own.

    Raises UserError if we are root and the account `postgres` does not exist.
    """
    if os.geteuid() != 0:
        me = pwd.getpwuid(os.geteuid())
        return Account(me.pw_name, me.pw_uid, me.pw_gid, me.pw_dir)
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise UserError(
            f"PostgreSQL cannot run as root, and there is no account '{UNPRIVILEGED}'",
            hint="install Debian's postgresql package (./hub does so), or run as an ordinary user",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
