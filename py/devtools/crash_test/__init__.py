"""Crash test: kill processes with SIGKILL under load and verify that no acknowledged write is lost."""

import json
import os
import random
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from devtools.crash_test.environment import Environment
from devtools.crash_test.load import PAUSE_SECONDS, Acknowledged, under_load
from devtools.crash_test.verify import Findings, drain_and_verify
from devtools.scratch import make_folder
from hub.console import err, say
from hub.errors import UserError

KINDS = (
    *("postmaster", "gateway", "messenger", "backend", "pooler", "erp", "redis", "cache"),
    *("pages", "reports"),
)
"""The processes that are killed in turn. `backend` is one process of PostgreSQL."""

RETURN_SECONDS = 2.0
"""A killed program should answer again within this time, on a machine that is not busy otherwise."""

_PARTNERS = 12
_PROGRESS_SECONDS = 30
_DRAIN_SECONDS = 180


@dataclass
class Report:
    """The result of a run."""

    seed: int
    planned: int = 0
    """How many kills were asked for."""
    returns: dict[str, list[float]] = field(default_factory=dict)
    """By kind, the seconds from each kill until the program answered again."""
    reads: dict[str, int] = field(default_factory=dict)
    """Answers of the cache, the pages and the gateway for reports, by path."""
    retries: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    load: float = 0.0
    """The machine's load average of the last minute of kills: programs start slower on a busy machine."""
    findings: Findings = field(default_factory=Findings)

    @property
    def kills(self) -> dict[str, int]:
        """The number of kills by kind."""
        return {kind: len(seconds) for kind, seconds in self.returns.items()}

    @property
    def late(self) -> int:
        """How many returns took longer than RETURN_SECONDS."""
        return sum(each > RETURN_SECONDS for seconds in self.returns.values() for each in seconds)


def crash_test(
    folder: Path,
    *,
    kills: int,
    seed: int,
    seconds: float,
    people: int = 4,
    pause: float = PAUSE_SECONDS,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Kill processes under load, for at most `seconds`, and verify that no acknowledged write is lost.

    `people` is the number of buyers, and that of clerks; they rest for `pause` seconds on average. Everything
    runs in `folder`, on loopback. Only child processes of the test are killed.
    """
    started = time.monotonic()
    dice = random.Random(seed)  # noqa: S311  repeatable, not secret
    environment, acknowledged = Environment(folder), Acknowledged()
    result = Report(seed, kills)
    try:
        environment.build()
        with under_load(environment, acknowledged, partners=_PARTNERS, seed=seed, people=people, pause=pause):
            for number in range(kills):
                if time.monotonic() - started > seconds:
                    progress(f"out of time after {number} kills")
                    break
                acknowledged.await_orders(1, _PROGRESS_SECONDS)  # every kill hits a running load
                time.sleep(dice.uniform(0.1, 0.6))
                kind = KINDS[number % len(KINDS)]
                environment.await_ready(kind)  # its return is its own, not that of what it needs
                result.returns.setdefault(kind, []).append(round(environment.kill(kind, dice), 2))
                progress(f"{kind} killed")
            result.load = round(os.getloadavg()[0], 1)
        result.findings = drain_and_verify(environment, acknowledged, _DRAIN_SECONDS)
    finally:
        environment.tear_down()
    result.reads, result.retries = dict(acknowledged.reads), dict(acknowledged.retries)
    result.seconds = round(time.monotonic() - started, 1)
    return result


def run(
    *, kills: int, seed: int | None, seconds: float, people: int, pause: float, json_file: Path | None
) -> None:
    """Run the crash test and print its report; raises UserError when a violation was found."""
    # SIGTERM stops the child processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    folder = make_folder(f"crash-test-{seed}")
    say(
        f"seed {seed}: {kills} kills of PostgreSQL, PgBouncer, gateways, adapters and Redis,"
        f" {seconds:.0f} s at most"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as display:
        bar = display.add_task("crash test", total=kills)
        result = crash_test(
            folder,
            kills=kills,
            seed=seed,
            seconds=seconds,
            people=people,
            pause=pause,
            progress=lambda what: display.update(bar, advance=1, description=what),
        )
    if json_file:
        json_file.write_text(json.dumps(asdict(result), indent=1, default=str) + "\n")
    for line in lines(result):
        say(line)
    if result.findings.violations:
        raise UserError(
            f"{len(result.findings.violations)} violations found (seed {seed})", hint=f"see {folder}"
        )
    shutil.rmtree(folder)


def lines(result: Report) -> list[str]:
    """The report as lines of text: for each program its kills and returns, then the counts and violations."""
    found, killed = result.findings, sum(result.kills.values())
    returns = [
        f"  {kind:<10} {len(seconds):>3} kills, back after {median(seconds):.2f} s,"
        f" {max(seconds):.2f} s at most"
        for kind, seconds in result.returns.items()
    ]
    return [
        f"killed {killed} of {result.planned} times in {result.seconds:.0f} s; median and longest return:",
        *returns,
        f"later than {RETURN_SECONDS:g} s: {result.late} of {killed} returns, at a load of {result.load}",
        *found.lines(),
        f"answers of cache, pages and reports: {sum(result.reads.values())}",
        f"retries after a lost answer: {result.retries}",
        *(f"VIOLATION: {what}" for what in found.violations[:50]),
    ]
