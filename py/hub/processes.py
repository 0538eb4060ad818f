"""Finds the processes of a stack without pid files, which are stale after kill -9."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

MARK = "HUB_STACK"
"""Environment variable of every supervised program: the data folder of its stack."""


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def working_in(folder: Path) -> list[int]:
    """Ids of the processes with this working directory; PostgreSQL works in its data directory."""
    found = []
    for pid in _pids():
        try:
            if Path(f"/proc/{pid}/cwd").readlink() == folder:
                found.append(pid)
        except OSError:
            continue
    return found


def marked(stack: Path) -> list[int]:
    """Ids of the processes that run for the stack with the data folder `stack`, except our own."""
    wanted = f"{MARK}={stack}".encode()
    found = []
    for pid in _pids():
        try:
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def terminate(pids: list[int], seconds: float = 10) -> None:
    """Terminate processes, and kill those that still run after `seconds`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            send(pid, number)
        deadline = time.monotonic() + seconds
        while pids and time.monotonic() < deadline:
            pids = [pid for pid in pids if is_alive(pid)]
            time.sleep(0.05)


def end(child: subprocess.Popen[bytes], seconds: float, number: signal.Signals = signal.SIGTERM) -> None:
    """End a child process if it runs, by a signal, and by SIGKILL if it still runs after `seconds`."""
    if child.poll() is None:
        child.send_signal(number)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
