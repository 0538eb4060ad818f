"""Finding our own processes without pid files, which kill -9 leaves behind."""

import os
import signal
import time
from pathlib import Path

MARK = "HUB_STACK"
"""Environment variable that every supervised program carries: the data folder of its stack."""


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def working_in(folder: Path) -> list[int]:
    """Processes whose working directory is `folder`, as PostgreSQL's are in its data directory."""
    found = []
    for pid in _pids():
        try:
            if Path(f"/proc/{pid}/cwd").readlink() == folder:
                found.append(pid)
        except OSError:
            continue
    return found


def marked(stack: Path) -> list[int]:
    """Processes that were started for the stack in `stack`, other than ourselves."""
    wanted = f"{MARK}={stack}".encode()
    found = []
    for pid in _pids():
        try:
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def end(pids: list[int], seconds: float = 10) -> None:
    """Terminate processes, and kill those that have not gone after `seconds`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + seconds
        while pids and time.monotonic() < deadline:
            pids = [pid for pid in pids if _lives(pid)]
            time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
