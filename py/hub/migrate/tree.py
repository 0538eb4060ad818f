"""The SQL files of a checkout and their hashes."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

REPEATABLE = ("functions", "policies", "api")
"""Folders of files that may be applied repeatedly, in the order of application."""


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shown(path: Path) -> Path:
    """`path` relative to the working directory, if it is below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else Path(relative)


@dataclass(frozen=True)
class Tree:
    """The two folders that define a database."""

    sql: Path
    migrations: Path

    def schema_files(self) -> list[Path]:
        """Once-only files, by name."""
        return sorted((self.sql / "schema").glob("*.sql"))

    def repeatable_files(self) -> dict[str, Path]:
        """Repeatable files by their path below `sql`, in the order of application."""
        return {
            f"{folder}/{path.name}": path
            for folder in REPEATABLE
            for path in sorted((self.sql / folder).glob("*.sql"))
        }

    def job_files(self) -> list[Path]:
        """Job files, by name."""
        return sorted((self.sql / "jobs").glob("*.sql"))

    def fingerprint(self) -> str:
        """Hex SHA-256 over every file that defines a database."""
        digest = hashlib.sha256()
        for path in sorted([*self.sql.rglob("*.sql"), *self.migrations.glob("*.py")]):
            digest.update(f"{path.name}\0{sha256(path)}\n".encode())
        return digest.hexdigest()


_current: ContextVar[Tree] = ContextVar("tree")


def current_tree() -> Tree:
    """The tree that is being applied, for migration modules, which take no arguments."""
    return _current.get()


@contextmanager
def applying(tree: Tree) -> Iterator[None]:
    """Set the tree that `current_tree` returns."""
    token = _current.set(tree)
    try:
        yield
    finally:
        _current.reset(token)
