"""Benchmarks: the hub's calls beside a floor, the cost of the same rows in PostgreSQL without any rule.

The SQL of all sides and the pgbench scripts are in sql/; docs/operations/performance.md explains them.
"""

import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from devtools.bench import (
    cache,
    contention,
    cpu,
    gateway,
    history,
    hot,
    lists,
    outbox,
    preconditions,
    results,
    scale,
    scenarios,
    stock,
)
from devtools.bench.environment import Environment, prepared
from devtools.bench.errors import BenchError
from devtools.bench.profile import profile
from hub.console import out, say

__all__ = ["BenchError", "full_plan", "quick_plan", "run"]

_QUICK_SECONDS = 145  # of the three minutes; the rest is for the processor time and for cleaning up
_FULL_SECONDS = 1200
_CPU_SECONDS = 12
_NOT_DURABLE = {"cpu", "lists", "scale"}
"""Parts with a cluster of their own, which does not wait for the disk."""


def run(
    quick: bool = False,
    json_file: Path | None = None,
    plot_folder: Path | None = None,
    database: str | None = None,
    profile_only: bool = False,
    only: Collection[str] = (),
    orders: int = contention.ORDERS,
    compare: Sequence[Path] = (),
    seconds: float | None = None,
    benches: Sequence[scenarios.Bench] | None = None,
    repetitions: int = 3,
    sizes: Sequence[int] = (),
) -> list[results.Figures]:
    """Measure, print the tables and write the JSON file and the charts; returns the rows.

    `database` is the URL of a superuser on a cluster; without it a temporary cluster is created. Scratch
    databases are created and dropped in either. `only` are names of parts to measure instead of orders:
    cpu, outbox, stock, contention, gateway, cache, hot, lists, scale. `orders` is the number of orders of
    contention, `sizes` are those of lists and scale. `compare` are checkouts of other versions,
    whose processor time is measured beside this one's. `seconds` is the length of a round; without it the
    rounds fill the time budget. Raises BenchError when a transaction fails, the caller is not a partner, or
    the processor time of the server cannot be read.
    """
    started = time.monotonic()
    found: list[results.Figures] = []
    with _stoppable(), _progress() as progress:
        bar = _Bar(progress, progress.add_task("preparing the databases", total=None))
        if profile_only:
            with prepared(database, profiling=True) as environment:
                bar.start("profiling")
                progress.stop()
                profile(environment)
            return []
        parts = _parts(repetitions, orders, bar)
        wanted = {*only}
        if not only and not benches:
            wanted = {"cpu"} if quick else {*parts, "cpu", "lists"} - _not_available()
        if not wanted <= _NOT_DURABLE or not only:
            with prepared(database) as environment:
                if not environment.durable:
                    say("fsync or synchronous_commit is off in this cluster: the ratios are too low")
                if not only:
                    chosen = benches or (quick_plan() if quick else full_plan())
                    budget = _QUICK_SECONDS if quick else _FULL_SECONDS
                    found += _orders(environment, chosen, bar, repetitions, seconds, started + budget)
                for name, (steps, measure) in parts.items():
                    if name in wanted:
                        bar.start(name, steps)
                        found += measure(environment)
        if "cpu" in wanted:
            bar.start("processor time")
            with prepared(database, durable=False, compare=compare) as environment:
                found += cpu.measure(environment, bar.tick, _CPU_SECONDS if quick else cpu.SECONDS)
        if wanted & {"lists", "scale"}:
            found += _growth(database, sizes, bar, whole="scale" in wanted)
    _show(found)
    say(f"measured in {time.monotonic() - started:.0f} s")
    if json_file:
        results.write(found, json_file)
    if plot_folder:
        from devtools.bench import plot  # noqa: PLC0415 - other runs do without the library

        for file in plot.write(found, plot_folder):
            say(f"wrote {file}")
    return found


def _not_available() -> set[str]:
    """Parts that this machine lacks a program for."""
    return set() if gateway.available() else {"gateway", "cache"}


@dataclass
class _Bar:
    """The progress bar of the part that runs."""

    progress: Progress
    task: TaskID

    def start(self, what: str, total: int | None = None) -> None:
        """Begin a part of so many steps."""
        self.progress.update(self.task, total=total, completed=0, description=what)

    def tick(self, what: str) -> None:
        """Finish a step."""
        self.progress.update(self.task, advance=1, description=what)


def _parts(
    repetitions: int, orders: int, bar: _Bar
) -> dict[str, tuple[int, Callable[[Environment], Sequence[results.Figures]]]]:
    """By name the parts beside orders that wait for the disk: number of steps, and what measures them."""
    found: dict[str, tuple[int, Callable[[Environment], Sequence[results.Figures]]]] = {
        "outbox": (
            repetitions * (len(outbox.CLIENTS) + 2),
            lambda environment: outbox.measure(environment, repetitions, bar.tick),
        ),
        "stock": (
            repetitions + 1,
            lambda environment: stock.measure(environment, repetitions, bar.tick),
        ),
        "contention": (
            contention.ROUNDS * len(contention.SCRIPTS),
            lambda environment: contention.measure(environment, orders, bar.tick),
        ),
        "gateway": (
            repetitions * len(gateway.CLIENTS) * len(gateway.CALLS),
            lambda environment: gateway.measure(environment, repetitions, bar.tick),
        ),
        "cache": (
            repetitions * len(cache.CALLS),
            lambda environment: cache.measure(environment, repetitions, bar.tick),
        ),
        "hot": (
            hot.ROUNDS * len(hot.VARIANTS),
            lambda environment: hot.measure(environment, bar.tick),
        ),
    }
    return found


def _orders(
    environment: Environment,
    chosen: Sequence[scenarios.Bench],
    bar: _Bar,
    repetitions: int,
    seconds: float | None,
    end: float,
) -> list[results.Row]:
    """Measure orders by the clock until `end`, a monotonic time, or in rounds of so many seconds."""
    bar.start("warming up")
    scenarios.warm_up(chosen[0], environment, seconds or 2)
    with environment.admin(environment.hub) as conn:
        preconditions.caller_is_partner(conn, environment.hub_login)
    count = scenarios.rounds(chosen, repetitions)
    each = seconds or scenarios.length(end - time.monotonic(), count)
    bar.start(f"rounds of {each:.0f} s", count)
    found = [
        row for bench in chosen for row in scenarios.measure(bench, environment, each, repetitions, bar.tick)
    ]
    submitted = _verify(environment, lists=scenarios.LISTS in chosen)
    say(f"{submitted} orders submitted as role partner")
    return found


def _growth(
    database: str | None, sizes: Sequence[int], bar: _Bar, *, whole: bool
) -> list[lists.Row | scale.Row]:
    """Measure lists at several numbers of orders; the `whole` includes jobs, submissions and the check."""
    bar.start("histories")
    chosen = sorted(sizes) or (scale.SIZES if whole else lists.SIZES)
    with (
        prepared(database, durable=False, settings=history.SETTINGS) as environment,
        history.built(environment, chosen, bar.tick) as built,
    ):
        found: list[lists.Row | scale.Row] = [*lists.measure(built, bar.tick)]
        if whole:
            found += scale.measure(built, bar.tick)
        return found


def _show(found: Sequence[results.Figures]) -> None:
    clock = [row for row in found if isinstance(row, results.Row)]
    processor_time = [row for row in found if isinstance(row, cpu.Row)]
    listed = [row for row in found if isinstance(row, lists.Row)]
    updated = [row for row in found if isinstance(row, hot.Row)]
    scaled = [row for row in found if isinstance(row, scale.Row)]
    if clock:
        out.print(results.table(clock))
    if processor_time:
        out.print(cpu.table(processor_time))
    if updated:
        out.print(hot.table(updated))
    if listed:
        for table in lists.tables(listed):
            out.print(table)
    if scaled:
        out.print(scale.table(scaled))


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
