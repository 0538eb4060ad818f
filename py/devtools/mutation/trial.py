"""One run of pytest against one database, in a forked process whose libraries are already loaded."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import pytest

from hub import paths

TEMPLATE = "HUB_TEST_TEMPLATE"
_PRELOAD = [
    "devtools.mutation.trial",
    "hub.check",
    "hub.stack.gateway",
    "psycopg",
    "postgrest",
    "hypothesis",
    "httpx",
]


@dataclass
class Outcome:
    """The result of a run: the tests that failed and why, how long each file took, whether it timed out.

    `naming`: the tests whose failure names each offender on a line of its own.
    """

    failed: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    naming: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    timed_out: bool = False
    code: int = -1


class _Listener:
    """A pytest plugin that records the outcome of each test."""

    def __init__(self) -> None:
        self.outcome = Outcome()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.outcome.naming = [item.nodeid for item in items if item.get_closest_marker("names_each")]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.split("::", 1)[0]
        self.outcome.seconds[file] = self.outcome.seconds.get(file, 0.0) + report.duration
        if report.failed and report.nodeid not in self.outcome.failed:
            self.outcome.failed.append(report.nodeid)
            self.outcome.reasons[report.nodeid] = report.longreprtext
        if report.passed and report.when == "call":
            self.outcome.passed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.outcome.failed.append(report.nodeid)


def start_server() -> Any:
    """A multiprocessing context whose processes fork from one that has loaded the libraries."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


def run(
    context: Any,
    template: str,
    tests: Sequence[str],
    *,
    skip: Sequence[str] = (),
    first_failure: bool = True,
    seconds: float = 600,
    log: Path,
) -> Outcome:
    """Run the tests (files or single ones) in this order, except `skip`, on clones of `template`."""
    if not tests:
        return Outcome(code=0)
    arguments = [*(["-x"] if first_failure else []), *(f"--deselect={node}" for node in skip), *tests]
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, template, arguments, str(log)))
    process.start()
    theirs.close()
    try:
        if mine.poll(seconds):
            with contextlib.suppress(EOFError):
                outcome: Outcome = mine.recv()
                return outcome
            return Outcome(failed=["the test process died"])
        return Outcome(timed_out=True)
    finally:
        mine.close()
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()


def _child(pipe: Pipe, template: str, arguments: list[str], log: str) -> None:
    os.chdir(paths.root())
    os.environ[TEMPLATE] = template
    with open(log, "ab") as out:  # noqa: PTH123  pytest writes to the descriptors themselves
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.path.insert(0, str(paths.root()))
    listener = _Listener()
    quiet = ["-q", "--tb=short", "--no-header", "-p", "no:cacheprovider", "--timeout=120"]
    whole = ["-o", "truncation_limit_lines=0", "-o", "truncation_limit_chars=0"]
    code = pytest.main([*quiet, *whole, *arguments], plugins=[listener])
    listener.outcome.code = int(code)
    pipe.send(listener.outcome)
    pipe.close()
