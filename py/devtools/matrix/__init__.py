"""hub dev matrix: the tests on each PostgreSQL and each Python that the machine has."""

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from devtools.matrix import environments, machine
from devtools.matrix.machine import Interpreter
from devtools.matrix.results import Outcome, read, show
from devtools.test_run import workers
from hub import paths
from hub.console import out, say
from hub.environment import child_environment
from hub.errors import UserError
from hub.postgres import Server

QUICK = (
    "tests/migrations",
    "tests/conventions",
    "tests/constraints",
    "tests/rls",
    "tests/stack/test_cluster.py",
    "tests/stack/test_packages.py",
    "tests/common",
    "tests/domain/service_level/test_cron.py",
    "tests/devtools/test_docs.py",
)
"""What reads PostgreSQL's catalogue or plans, schedules jobs, or depends on Python's own modules."""

Pair = tuple[Server, Interpreter]


def run(arguments: Sequence[str], *, postgresql: Sequence[str], python: Sequence[str], quick: bool) -> None:
    """Run the tests on each pair of the machine, one after another, and print a table.

    `arguments` go to pytest; without any, all tests run. Raises UserError when a pair fails, or when the
    machine has none.
    """
    servers = machine.servers()
    interpreters = machine.interpreters()
    pairs = choose(servers, interpreters, postgresql, python)
    selection = [*(QUICK if quick else ()), *arguments]
    outcomes = []
    for server, interpreter in pairs:
        out.rule(f"{machine.describe(server)}, Python {interpreter.version}", style="dim")
        outcomes.append(_test(server, interpreter, selection))
    show(outcomes)
    if failed := sum(outcome.code != 0 for outcome in outcomes):
        raise UserError(
            f"the tests FAILED on {failed} of {len(outcomes)}", hint="the output of pytest is above"
        )


def choose(
    servers: Sequence[Server],
    interpreters: Sequence[Interpreter],
    postgresql: Sequence[str] = (),
    python: Sequence[str] = (),
) -> list[Pair]:
    """The pairs that are tested.

    By default each server with the present Python, and each Python with the default server. Names choose
    servers, Pythons, or with both the pairs of all of them. Raises UserError for a name that fits none.
    """
    default, present = machine.default(servers), machine.present(interpreters)
    named_servers = [machine.named_server(servers, name) for name in postgresql]
    named_pythons = [machine.named_interpreter(interpreters, name) for name in python]
    if named_servers and named_pythons:
        return [(server, interpreter) for server in named_servers for interpreter in named_pythons]
    pairs: list[Pair] = []
    if named_servers or not named_pythons:
        pairs += [(server, present) for server in named_servers or servers]
    if named_pythons or not named_servers:
        pairs += [(default, interpreter) for interpreter in named_pythons or interpreters]
    return list(dict.fromkeys(pairs))


def _test(server: Server, interpreter: Interpreter, selection: Sequence[str]) -> Outcome:
    """Run pytest in the interpreter's environment, on a cluster of the server's own."""
    started = time.monotonic()
    try:
        program = environments.ensure(interpreter)
    except UserError as error:
        say(f"{error.message}\n{error.hint}")
        return Outcome(server, interpreter, seconds=time.monotonic() - started, code=1, remark=error.message)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        done = subprocess.run(
            [str(program), "-m", "pytest", *workers(selection), f"--junitxml={report}", *selection],
            cwd=paths.root(),
            check=False,
            env=child_environment(
                {"HUB_PG_BIN": str(server.bin_dir), "HUB_DATA_DIR": str(machine.data_folder(server))}
            ),
        )
        return Outcome(
            server, interpreter, seconds=time.monotonic() - started, code=done.returncode, **read(report)
        )
