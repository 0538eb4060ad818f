"""hub dev lock: pins the dependencies of pyproject.toml, with their hashes, in requirements/.

`runtime.lock` holds what the product needs at run time, `dev.lock` what the extra `dev` needs besides, and
`node.lock` Node for machines without one (extra `node`).
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from hub import paths
from hub.console import say
from hub.errors import UserError

PIP_TOOLS = "pip-tools==7.6.2"
RUNTIME, DEV, NODE = "runtime.lock", "dev.lock", "node.lock"

_OPTIONS = (
    "--quiet",
    "--generate-hashes",
    "--strip-extras",
    "--allow-unsafe",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-trusted-host",
)
_SHOWN_LINES = 12
_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==.*\n(?:[ \t].*\n)*", re.MULTILINE)


def run(*, upgrade: bool = False) -> None:
    """Write both lock files; with `upgrade`, to the newest versions that pyproject.toml allows.

    Run it with the oldest Python that the project supports: its dependencies include those of newer versions.
    Raises UserError if the dependencies cannot be resolved.
    """
    project, folder = paths.root() / "pyproject.toml", paths.root() / "requirements"
    compile_command = [_pip_compile(), *_OPTIONS, *(["--upgrade"] if upgrade else [])]
    say(f"resolving {RUNTIME}")
    _run(
        [
            *compile_command,
            "--all-build-deps",
            f"--output-file=requirements/{RUNTIME}",
            str(project.relative_to(paths.root())),
        ]
    )
    for extra, lock in (("dev", DEV), ("node", NODE)):
        say(f"resolving {lock}")
        _lock_extra(compile_command, extra, folder / lock, folder / RUNTIME)


def _lock_extra(compile_command: list[str], extra: str, lock: Path, runtime: Path) -> None:
    """Pin what an extra needs beyond the run-time lock."""
    wanted = tomllib.loads((paths.root() / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{extra}.in"
        source.write_text("\n".join(wanted[extra]) + "\n")
        _run(
            [
                *compile_command,
                "--no-annotate",
                f"--constraint=requirements/{RUNTIME}",
                f"--output-file=requirements/{lock.name}",
                str(source),
            ]
        )
    lock.write_text(without(lock.read_text(), names(runtime.read_text())))


def names(lock: str) -> set[str]:
    """The normalised names of the distributions that a lock file pins."""
    return {canonical(entry["name"]) for entry in _ENTRY.finditer(lock)}


def without(lock: str, unwanted: set[str]) -> str:
    """The text of a lock file less the entries of the distributions `unwanted`."""
    return _ENTRY.sub(lambda entry: "" if canonical(entry["name"]) in unwanted else entry.group(), lock)


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip_compile() -> str:
    """Path of pip-compile, which is installed apart so that its own dependencies constrain nothing."""
    folder = paths.root() / ".cache" / PIP_TOOLS.replace("==", "-")
    program = folder / "bin" / "pip-compile"
    if not program.exists():
        say(f"installing {PIP_TOOLS}")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PIP_TOOLS])
    return str(program)


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        cwd=paths.root(),
        env=dict(os.environ) | {"CUSTOM_COMPILE_COMMAND": "./hub dev lock"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"{Path(command[0]).name} failed", hint="\n".join(output[-_SHOWN_LINES:]))
