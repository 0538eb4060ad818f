"""Virtual environments with the packages of both lock files, one for each Python, outside the checkout."""

import hashlib
import subprocess
import sys
from pathlib import Path

from devtools.locks import DEV, RUNTIME
from devtools.matrix.machine import Interpreter
from hub import paths
from hub.console import say
from hub.errors import UserError
from hub.osuser import server_account

_STAMP = "hub-matrix-stamp"
_SHOWN_LINES = 12


def base() -> Path:
    """The folder of the environments. The account of root's servers cannot enter root's home."""
    shared = Path("/var/lib/alfa-hub")
    return (shared if server_account().switches else Path.home() / ".cache" / "alfa-hub") / "matrix"


def ensure(interpreter: Interpreter) -> Path:
    """The program of an environment for this Python, created unless it is up to date.

    The present Python has its packages already. Raises UserError if a package cannot be installed.
    """
    if interpreter.program == Path(sys.executable):
        return interpreter.program
    checkout = hashlib.sha256(str(paths.root()).encode()).hexdigest()[:8]
    folder = base() / f"python{interpreter.minor}-{checkout}"
    program, stamp = folder / "bin" / "python", folder / _STAMP
    wanted = _wanted(interpreter)
    if stamp.exists() and stamp.read_text() == wanted:
        return program
    say(f"installing the packages for Python {interpreter.version} into {folder}")
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _run([interpreter.program, "-m", "venv", "--clear", folder])
    requirements = paths.root() / "requirements"
    locks = [f"--requirement={requirements / lock}" for lock in (RUNTIME, DEV)]
    pip: list[str | Path] = [program, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "--require-hashes", *locks])
    _run([*pip, "--no-deps", "--no-build-isolation", "--editable", paths.root()])
    stamp.write_text(wanted)
    return program


def _wanted(interpreter: Interpreter) -> str:
    """What an environment is made from; an environment of anything else is created again."""
    files = ("requirements/runtime.lock", "requirements/dev.lock", "pyproject.toml")
    texts = [(paths.root() / file).read_bytes() for file in files]
    return hashlib.sha256(b"".join([*texts, interpreter.version.encode()])).hexdigest()


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise UserError("the packages cannot be installed", hint="\n".join(lines[-_SHOWN_LINES:]))
