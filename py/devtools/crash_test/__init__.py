"""Crash test: kill processes with SIGKILL under load and verify that no acknowledged write is lost."""

import json
import random
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from devtools.crash_test.environment import Environment
from devtools.crash_test.load import Acknowledged, under_load
from devtools.crash_test.verify import Findings, drain_and_verify
from devtools.scratch import make_folder
from hub.console import err, say
from hub.errors import UserError

KINDS = ("postmaster", "gateway", "messenger", "backend", "pooler", "erp", "redis", "cache")
"""The processes that are killed in turn. `backend` is one process of PostgreSQL."""

_PARTNERS = 12
_PROGRESS_SECONDS = 30
_DRAIN_SECONDS = 180


@dataclass
class Report:
    """The result of a run."""

    seed: int
    kills: dict[str, int] = field(default_factory=dict)
    recovery_seconds: dict[str, float] = field(default_factory=dict)
    """The average by kind."""
    slowest_seconds: dict[str, float] = field(default_factory=dict)
    """The longest recovery by kind."""
    reads: dict[str, int] = field(default_factory=dict)
    """Answers of the cache by path."""
    retries: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    findings: Findings = field(default_factory=Findings)


def crash_test(
    folder: Path, *, kills: int, seed: int, seconds: float, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Kill processes under load, for at most `seconds`, and verify that no acknowledged write is lost.

    Everything runs in `folder`, on loopback. Only child processes of the test are killed.
    """
    started = time.monotonic()
    dice = random.Random(seed)  # noqa: S311  repeatable, not secret
    environment, acknowledged = Environment(folder), Acknowledged()
    result = Report(seed)
    count: Counter[str] = Counter()
    took: dict[str, list[float]] = {}
    try:
        environment.build()
        with under_load(environment, acknowledged, partners=_PARTNERS, seed=seed):
            for number in range(kills):
                if time.monotonic() - started > seconds:
                    progress(f"out of time after {number} kills")
                    break
                acknowledged.await_orders(1, _PROGRESS_SECONDS)  # every kill hits a running load
                time.sleep(dice.uniform(0.1, 0.6))
                kind = KINDS[number % len(KINDS)]
                took.setdefault(kind, []).append(environment.kill(kind, dice))
                count[kind] += 1
                progress(f"{kind} killed")
        result.findings = drain_and_verify(environment, acknowledged, _DRAIN_SECONDS)
    finally:
        environment.tear_down()
    result.kills, result.retries = dict(count), dict(acknowledged.retries)
    result.reads = dict(acknowledged.reads)
    result.recovery_seconds = {kind: round(sum(all_) / len(all_), 2) for kind, all_ in took.items()}
    result.slowest_seconds = {kind: round(max(all_), 2) for kind, all_ in took.items()}
    result.seconds = round(time.monotonic() - started, 1)
    return result


def run(*, kills: int, seed: int | None, seconds: float, json_file: Path | None) -> None:
    """Run the crash test and print its report; raises UserError when a violation was found."""
    # SIGTERM stops the child processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    folder = make_folder(f"crash-test-{seed}")
    say(
        f"seed {seed}: {kills} kills of PostgreSQL, PgBouncer, gateway, adapters and Redis,"
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
    """The report as lines of text."""
    found = result.findings
    killed = ", ".join(f"{count} {kind}" for kind, count in result.kills.items())
    recovery = ", ".join(
        f"{kind} {seconds} s ({result.slowest_seconds[kind]} s)"
        for kind, seconds in result.recovery_seconds.items()
    )
    return [
        f"killed {sum(result.kills.values())} times: {killed}; {result.seconds:.0f} s in all",
        f"recovered after, on average (at most): {recovery}",
        *found.lines(),
        f"answers of the cache: {sum(result.reads.values())}",
        f"retries after a lost answer: {result.retries}",
        *(f"VIOLATION: {what}" for what in found.violations[:50]),
    ]
