"""Benchmarks: the hub's calls beside a floor, the cost of the same rows in PostgreSQL without any rule.

The SQL of both sides and the pgbench scripts are in sql/; docs/operations/performance.md explains them.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from devtools.bench import cpu, outbox, preconditions, results, scenarios, stock
from devtools.bench.environment import Environment, prepared
from devtools.bench.errors import BenchError
from devtools.bench.profile import profile
from hub.console import out, say

__all__ = ["BenchError", "full_plan", "quick_plan", "run"]

_QUICK_SECONDS = 145  # of the three minutes; the rest is for the processor time and for cleaning up
_FULL_SECONDS = 1200
_CPU_SECONDS = 12


def run(
    quick: bool = False,
    json_file: Path | None = None,
    database: str | None = None,
    profile_only: bool = False,
    outbox_only: bool = False,
    stock_only: bool = False,
    cpu_only: bool = False,
    compare: Sequence[Path] = (),
    seconds: float | None = None,
    benches: Sequence[scenarios.Bench] | None = None,
    repetitions: int = 3,
) -> list[results.Figures]:
    """Measure, print the table and write the JSON file; returns the rows.

    `database` is the URL of a superuser on a cluster; without it a temporary cluster is created. Scratch
    databases are created and dropped in either. `compare` are checkouts of other versions, whose processor
    time is measured beside this one's. `seconds` is the length of a round; without it the rounds fill the
    time budget. Raises BenchError when a transaction fails, the caller is not a partner, or the processor
    time of the server cannot be read.
    """
    started = time.monotonic()
    with _stoppable(), _progress() as progress:
        task = progress.add_task("preparing the databases", total=None)
        with prepared(database, profiling=profile_only, durable=not cpu_only, compare=compare) as environment:
            if not environment.durable and not cpu_only:
                say("fsync or synchronous_commit is off in this cluster: the ratios are too low")
            if profile_only:
                progress.update(task, description="profiling")
                progress.stop()
                profile(environment)
                return []
            if cpu_only:
                return _show([], _cpu(environment, cpu.SECONDS, progress, task), json_file)
            if outbox_only or stock_only:
                found = _outbox(environment, repetitions, progress, task) if outbox_only else []
                found += _stock(environment, repetitions, progress, task) if stock_only else []
                return _show(found, [], json_file)
            chosen = benches or (quick_plan() if quick else full_plan())
            count = scenarios.rounds(chosen, repetitions)
            progress.update(task, description="warming up")
            scenarios.warm_up(chosen[0], environment, seconds or 2)
            with environment.admin(environment.hub) as conn:
                preconditions.caller_is_partner(conn, environment.hub_login)
            each = seconds or scenarios.length(_QUICK_SECONDS if quick else _FULL_SECONDS, started, count)
            progress.update(task, total=count, description=f"rounds of {each:.0f} s")

            def tick(what: str) -> None:
                progress.update(task, advance=1, description=what)

            found = [
                row
                for bench in chosen
                for row in scenarios.measure(bench, environment, each, repetitions, tick)
            ]
            orders = _verify(environment, lists=not quick)
            processor_time = [] if benches else _cpu(environment, _CPU_SECONDS, progress, task)
            if not quick and not benches:
                found += _outbox(environment, repetitions, progress, task)
                found += _stock(environment, repetitions, progress, task)
    say(f"{orders} orders submitted as role partner, in {time.monotonic() - started:.0f} s")
    return _show(found, processor_time, json_file)


def _cpu(environment: Environment, seconds: float, progress: Progress, task: TaskID) -> list[cpu.Row]:
    progress.update(task, total=None, completed=0, description="processor time")
    return cpu.measure(environment, lambda what: progress.update(task, description=what), seconds)


def _outbox(
    environment: Environment, repetitions: int, progress: Progress, task: TaskID
) -> list[results.Row]:
    progress.update(task, total=repetitions * (len(outbox.CLIENTS) + 2), completed=0, description="outbox")
    return outbox.measure(
        environment, repetitions, lambda what: progress.update(task, advance=1, description=what)
    )


def _stock(environment: Environment, repetitions: int, progress: Progress, task: TaskID) -> list[results.Row]:
    progress.update(task, total=repetitions + 1, completed=0, description="stock sync")
    return stock.measure(
        environment, repetitions, lambda what: progress.update(task, advance=1, description=what)
    )


def _show(
    found: list[results.Row], processor_time: list[cpu.Row], json_file: Path | None
) -> list[results.Figures]:
    if found:
        out.print(results.table(found))
    if processor_time:
        out.print(cpu.table(processor_time))
    rows: list[results.Figures] = [*found, *processor_time]
    if json_file:
        results.write(rows, json_file)
    return rows


def quick_plan() -> list[scenarios.Bench]:
    """The benchmarks that fit into three minutes."""
    return [scenarios.SUBMIT]


def full_plan() -> list[scenarios.Bench]:
    """All benchmarks. Lists come last, when there are orders to list."""
    return [scenarios.SUBMIT, scenarios.LONG, scenarios.HOT, scenarios.LISTS]


def _verify(environment: Environment, *, lists: bool) -> int:
    if lists:
        environment.settle(analyze=True)
        preconditions.lists_use_indexes(environment.hub_login)
    with environment.admin(environment.hub) as conn:
        return preconditions.orders_are_partners(conn)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out,
        transient=True,
    )


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM stop a benchmark as Ctrl-C does, through every `finally`, so that no process stays."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
