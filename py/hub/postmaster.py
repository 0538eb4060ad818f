"""The postmaster of a data directory: whether it runs, and what a killed one leaves behind.

Imports little, because `hub.stack.postmaster` is started while nothing works.
"""

import os
import signal
import time
from pathlib import Path

from hub import ports, processes

_QUIT_SECONDS = 5
_CLOSING_SECONDS = 2


def pid_file(pgdata: Path) -> Path:
    """The file in which a postmaster writes its process id; stale after kill -9."""
    return pgdata / "postmaster.pid"


def running(pgdata: Path) -> int | None:
    """Process id of the postmaster that runs; None if there is none, or the pid file is stale."""
    pid = _written(pgdata)
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    return pid if str(pgdata).encode() in command else None


def end_orphans(pgdata: Path) -> list[int]:
    """End the server processes that a killed postmaster left; returns their ids.

    The next postmaster refuses to start while one of them is attached to the shared memory, and one that
    computes does not notice for as long. SIGQUIT is what a postmaster sends them after a crash: they end
    without touching the memory. Waits until the last one has ended; those of a postmaster that is started
    meanwhile are left alone.
    """
    found = _servers(pgdata)
    number, until = signal.SIGQUIT, time.monotonic() + _QUIT_SECONDS
    left = found
    while left:
        for pid in left:
            processes.send(pid, number)
        time.sleep(0.02)
        if time.monotonic() > until:
            number = signal.SIGKILL
        left = [pid for pid in _servers(pgdata) if pid in found]
    return found


def port(pgdata: Path) -> int | None:
    """The port that the last postmaster has written into its pid file; None without one."""
    return _line(pgdata, 3)


def wait_until_closed(port: int) -> None:
    """Wait a moment for the port of a killed postmaster.

    The kernel drops the command line and working directory of a killed process before it closes its sockets.
    """
    until = time.monotonic() + _CLOSING_SECONDS
    while not ports.is_free(port) and time.monotonic() < until:
        time.sleep(0.02)


def forget_reused_pid(pgdata: Path) -> None:
    """Remove a pid file whose process id belongs to another program now, as after a restart of the machine.

    It may also be that of the killed postmaster, in a container that waits for no orphan. A postmaster finds
    out itself that a process is gone; here it would refuse to start.
    """
    pid = _written(pgdata)
    if pid and running(pgdata) is None and Path(f"/proc/{pid}").exists():
        pid_file(pgdata).unlink(missing_ok=True)


def _written(pgdata: Path) -> int | None:
    return _line(pgdata, 0)


def _line(pgdata: Path, number: int) -> int | None:
    try:
        return int(pid_file(pgdata).read_text().split("\n")[number])
    except (OSError, ValueError, IndexError):
        return None


def _servers(pgdata: Path) -> list[int]:
    """The processes of PostgreSQL that work in the data directory; not the shell of a person."""
    found = []
    for pid in processes.working_in(pgdata):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        if name == "postgres" and pid != os.getpid():
            found.append(pid)
    return found
