"""Paths: the checkout, its SQL, and the data folder of its servers."""

import hashlib
from functools import cache
from pathlib import Path

from hub.environment import Locations
from hub.osuser import Account, server_account

_FALLBACK = Path("/var/lib/alfa-hub")


@cache
def root() -> Path:
    """The checkout, or HUB_ROOT where the package is installed elsewhere, as in a container image."""
    return (Locations().root or Path(__file__).resolve().parents[2]).resolve()


def sql_root() -> Path:
    """The folder of schema/, functions/, policies/, api/ and jobs/."""
    return root() / "sql"


def migrations_root() -> Path:
    """The folder of the yoyo steps."""
    return root() / "migrations"


def data_dir() -> Path:
    """The data folder: HUB_DATA_DIR, or .data in the checkout. It may be a link, see `make_data_dir`."""
    return (Locations().data_dir or root() / ".data").absolute()


def make_data_dir(account: Account | None = None) -> tuple[Path, str]:
    """Create the data folder unless it exists; returns its real path and a remark for the user, or "".

    Root's servers run as `postgres`, which cannot enter a checkout below a private folder such as /root. Then
    the data is stored below /var/lib/alfa-hub, and the data folder of the checkout is a link to it.
    """
    account = account or server_account()
    link = data_dir()
    if link.is_symlink() and not link.exists():
        link.unlink()  # its target was removed
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
    return real, f"{account.name} cannot enter {link.parent}; the data is stored in {real}"
