"""The npm workspace web/: its packages and its builds, each made again only after a change."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub import paths
from hub.errors import UserError
from hub.pages import node as nodes
from hub.pages.node import Node

APPS = ("shop", "console")
_PACKAGES_STAMP = "node_modules/.hub-stamp"
_BUILD_STAMP = "node_modules/.hub-build-{name}"


def folder() -> Path:
    """The folder of the workspace."""
    return paths.root() / "web"


def apps() -> list[str]:
    """The names of the apps that this checkout has."""
    return [name for name in APPS if (folder() / name / "index.html").exists()]


def is_built() -> bool:
    """Whether there are pages to serve."""
    return (folder() / "shop" / "dist" / "index.html").exists()


def build() -> str:
    """Build what changed since the last build; returns a remark for the user, or "".

    Never raises for want of Node or of a network: the hub runs without its pages.
    """
    if not apps():
        return ""
    try:
        with locked():
            node = nodes.find()
            for name in apps():
                build_app(name, node)
    except (UserError, OSError) as error:
        kept = "the pages of the last build are served" if is_built() else "the stack runs without its pages"
        return f"{kept}: {str(error).strip()}"
    return ""


def build_app(name: str, node: Node | None = None) -> Path:
    """Build one app if its sources changed; returns the folder of its files. Hold the lock.

    Raises UserError if Node is missing or the build fails.
    """
    built = folder() / name / "dist"
    stamp = _hash(_sources(name))
    file = folder() / _BUILD_STAMP.format(name=name)
    if not (built / "index.html").exists() or not file.exists() or file.read_text() != stamp:
        node = node or nodes.require()
        install(node)
        node.run(["npm", "run", "build", f"--workspace={name}"], folder())
        file.write_text(stamp)
    return built


def install(node: Node) -> None:
    """Install the packages of package-lock.json unless they are installed. Hold the lock.

    Raises UserError if npm fails.
    """
    manifests = sorted(folder().glob("*/package.json"))
    stamp = _hash([folder() / "package.json", folder() / "package-lock.json", *manifests])
    file = folder() / _PACKAGES_STAMP
    if not file.exists() or file.read_text() != stamp:
        node.run(["npm", "ci", "--no-audit", "--no-fund"], folder())
        file.write_text(stamp)


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of the workspace: one process installs and builds at a time."""
    cache = paths.root() / ".cache"
    cache.mkdir(exist_ok=True)
    with (cache / "web.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sources(name: str) -> list[Path]:
    """The files that a build of the app depends on."""
    files = [folder() / "package-lock.json", folder() / "tsconfig.base.json"]
    for part in (folder() / "common", folder() / name):
        for where, folders, names in os.walk(part):
            folders[:] = [each for each in folders if each not in {"node_modules", "dist", "test"}]
            files += [Path(where) / each for each in names]
    return sorted(files)


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder())}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
