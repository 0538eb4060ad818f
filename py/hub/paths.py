"""Where things lie: the checkout, its SQL, and the data folder of its servers."""

import hashlib
import os
from functools import cache
from pathlib import Path

from hub.osuser import Account, server_account

_FALLBACK = Path("/var/lib/alfa-hub")


@cache
def root() -> Path:
    """The checkout (HUB_ROOT where the package is installed elsewhere, as in a container image)."""
    given = os.environ.get("HUB_ROOT")
    return Path(given).resolve() if given else Path(__file__).resolve().parents[2]


def sql_root() -> Path:
    """The folder of schema/, functions/, policies/, api/ and jobs/."""
    return root() / "sql"


def migrations_root() -> Path:
    """The folder of the yoyo steps."""
    return root() / "migrations"


def data_dir() -> Path:
    """The data folder as the checkout names it; it may be a symbolic link, see `make_data_dir`."""
    given = os.environ.get("HUB_DATA_DIR")
    return Path(given).absolute() if given else root() / ".data"


def make_data_dir(account: Account | None = None) -> tuple[Path, str]:
    """Make the data folder if need be; returns its real path and a remark to print, if there is one.

    Root's servers run as `postgres`, which cannot enter a checkout below a private folder (`mktemp -d`,
    /root): then the data goes to /var/lib/alfa-hub and `.data` becomes a link to it.
    """
    account = account or server_account()
    link = data_dir()
    if link.is_symlink() and not link.exists():
        link.unlink()  # its target was removed: start afresh
    if link.exists():
        real = link.resolve()
        if account.can_enter(real):
            return real, ""
    link.parent.mkdir(parents=True, exist_ok=True)
    if account.can_enter(link.parent):
        link.mkdir(mode=0o755, exist_ok=True)
        return link.resolve(), ""
    real = _FALLBACK / hashlib.sha256(str(link.absolute()).encode()).hexdigest()[:12]
    real.mkdir(mode=0o755, parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink() and not any(link.iterdir()):
        link.rmdir()
    if not link.exists():
        link.symlink_to(real)
    return real, f"{account.name} cannot enter {link.parent}: the data lies in {real}"
