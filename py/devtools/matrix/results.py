"""What pytest reports for one pair, and the table of all of them."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from rich import box
from rich.table import Table

from devtools.matrix.machine import Interpreter
from hub.console import out
from hub.postgres import Server


class Counts(TypedDict):
    """Numbers of tests."""

    passed: int
    failed: int
    skipped: int


@dataclass(frozen=True)
class Outcome:
    """One run: numbers of tests, its time in seconds and pytest's exit code."""

    server: Server
    interpreter: Interpreter
    seconds: float
    code: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    remark: str = ""


def read(report: Path) -> Counts:
    """The numbers in pytest's report; zeros if it wrote none."""
    if not report.exists():
        return Counts(passed=0, failed=0, skipped=0)
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest has just written it
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return Counts(passed=total - failed - skipped, failed=failed, skipped=skipped)


def table(outcomes: Sequence[Outcome]) -> Table:
    """One line for each pair."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("PostgreSQL", "pg_cron", "Python"):
        made.add_column(name, no_wrap=True)
    for name in ("passed", "failed", "skipped", "time", "exit"):
        made.add_column(name, justify="right", no_wrap=True)
    for one in outcomes:
        made.add_row(
            one.server.version,
            one.server.cron or "without jobs",
            one.interpreter.version,
            str(one.passed),
            str(one.failed),
            str(one.skipped),
            f"{one.seconds:.0f} s",
            str(one.code) + (f" ({one.remark})" if one.remark else ""),
            style="red" if one.code else None,
        )
    return made


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the table."""
    out.print(table(outcomes))
