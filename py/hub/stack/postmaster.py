"""`python -m hub.stack.postmaster POSTGRES PGDATA LOG ACCOUNT`: keeps PostgreSQL running, under supervisord.

While a postmaster runs that `hub up` has started, it waits. When that one ends, or was killed, it becomes the
next one, so that supervisord starts PostgreSQL like its other programs.
"""

import os
import pwd
import signal
import sys
import time
from pathlib import Path

from hub import postmaster, processes

_LOOK_SECONDS = 0.1


def main(program: str, pgdata: Path, log: Path, account: str) -> None:
    """Wait until no postmaster works in `pgdata`, then be one, under `account` if we are root."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    _wait_for_the_end(pgdata)
    if orphans := postmaster.end_orphans(pgdata):
        _say(f"ended {len(orphans)} processes of a killed postmaster")
        _wait_for_the_end(pgdata)  # of one that a person has started meanwhile
    if port := postmaster.port(pgdata):
        postmaster.wait_until_closed(port)
    postmaster.forget_reused_pid(pgdata)
    _say("starting PostgreSQL")
    if os.geteuid() == 0:
        _become(account)
    with log.open("ab") as lines:
        os.dup2(lines.fileno(), 1)
        os.dup2(lines.fileno(), 2)
    # Python ignores it, and a program would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # `hub up` terminates what carries the mark when supervisord was killed; PostgreSQL goes on.
    os.execv("/usr/bin/env", ["env", "-u", processes.MARK, program, "-D", str(pgdata)])  # noqa: S606


def _wait_for_the_end(pgdata: Path) -> None:
    while pid := postmaster.running(pgdata):
        _say(f"PostgreSQL runs, process {pid}")
        while postmaster.running(pgdata) == pid:
            time.sleep(_LOOK_SECONDS)


def _become(account: str) -> None:
    entry = pwd.getpwnam(account)
    os.initgroups(account, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.umask(0o077)


def _say(text: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
