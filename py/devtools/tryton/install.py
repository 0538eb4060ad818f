"""Install Tryton into a virtual environment of its own in the data folder, once for each set of pins."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from hub import paths
from hub.errors import UserError

Progress = Callable[[str, float], None]
"""Takes the name of the running step and its share done, 0 to 1."""

PINS = Path(__file__).with_name("requirements.txt")


def environment(progress: Progress = lambda _what, _share: None) -> Path:
    """The folder of Tryton's programs, installed if missing; concurrent callers wait. Raises UserError."""
    parent = paths.make_data_dir()[0] / "tryton"
    parent.mkdir(mode=0o755, exist_ok=True)
    folder = parent / f"venv-{fingerprint()}"
    done = folder / "done"
    with (parent / "installing").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            for old in parent.glob("venv-*"):
                shutil.rmtree(old)
            _install(folder, progress)
            done.touch()
    return folder / "bin"


def fingerprint() -> str:
    """A hash of the pins and of the Python version that they are installed for."""
    return hashlib.sha256(f"{PINS.read_text()}{sys.version}".encode()).hexdigest()[:12]


def _install(folder: Path, progress: Progress) -> None:
    progress("installing Tryton", 0)
    venv.create(folder, with_pip=False)
    total = sum(1 for line in PINS.read_text().splitlines() if line and not line.startswith("#"))
    # The running pip installs into the other environment: creating one without pip takes no time.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    seen, lines = 0, list[str]()
    with subprocess.Popen(
        [*pip, "--no-deps", "--no-input", "--disable-pip-version-check", "-r", str(PINS)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("Collecting"):
                seen += 1
                progress("installing Tryton", 0.9 * seen / total)
    if process.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError("Tryton could not be installed", hint="".join(lines[-15:]).strip())
    progress("installing Tryton", 1)
