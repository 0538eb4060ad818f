"""What must not grow with the number of orders beside lists: jobs and submit_order; and "hub check".

The databases take turns within a round, so that all meet the same load of the machine.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import psycopg
from rich.table import Table

from devtools.bench.cpu import processor_ns
from devtools.bench.history import History
from hub import check, paths
from hub.migrate.jobs import read_jobs
from hub.migrate.tree import Tree

SIZES = (10_000, 1_000_000, 10_000_000)
"""Numbers of orders of the databases."""

SUBMIT, JOB, CHECK, BUILD = "submit_order", "job", "hub check", "build"

_ORDERS = 40
"""Orders of a round."""

_SUBMIT_ROUNDS = 30
_JOB_ROUNDS = 4
_WARM_ROUNDS = 50  # each partner's pages of each index have been read once

Tick = Callable[[str], None]


@dataclass(frozen=True)
class Times:
    """What a call took in each round, in ms: processor time of the server, and by the clock."""

    processor: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)


@dataclass
class Row:
    """A call, or the check of an invariant, by number of orders."""

    kind: str
    name: str
    at: dict[int, Times] = field(default_factory=dict)

    def ratio(self, measure: str) -> float | None:
        """The largest size by the smallest: the median of the rounds' ratios."""
        sizes = sorted(self.at)
        first, last = (getattr(self.at[size], measure) for size in (sizes[0], sizes[-1]))
        return median(b / a for a, b in zip(first, last, strict=True)) if all(first) else None

    def figures(self) -> dict[str, Any]:
        """The entry of the JSON file."""
        processor, clock = self.ratio("processor"), self.ratio("clock")
        return {
            "name": "scale",
            "kind": self.kind,
            "what": self.name,
            "processor_ratio": None if processor is None else round(processor, 3),
            "clock_ratio": None if clock is None else round(clock, 3),
            "at": {
                str(size): {
                    "processor_ms": round(min(times.processor), 3),
                    "processor_median_ms": round(median(times.processor), 3),
                    "clock_ms": round(min(times.clock), 3),
                    "clock_median_ms": round(median(times.clock), 3),
                }
                for size, times in self.at.items()
            },
        }


def measure(histories: Sequence[History], tick: Tick, submit_rounds: int = _SUBMIT_ROUNDS) -> list[Row]:
    """Measure submissions, then each job with the work of a minute, then the check, once.

    Raises BenchError unless the server runs on this machine and the machine runs Linux.
    """
    with ExitStack() as stack:
        connections = [stack.enter_context(_connected(history)) for history in histories]
        rows = [_submissions(histories, connections, submit_rounds, tick)]
        rows += _jobs(histories, connections, tick)
        rows += _checks(histories, connections, tick)
    built = Row(
        BUILD, "database", {h.orders: Times([h.seconds * 1000], [h.seconds * 1000]) for h in histories}
    )
    return [*rows, built]


@contextmanager
def _connected(history: History) -> Iterator[psycopg.Connection[Any]]:
    with history.connect() as conn:
        conn.execute("set synchronous_commit = off")
        processor_ns(conn)
        yield conn


def _timed(conn: psycopg.Connection[Any], call: Callable[[], None], times: Times, count: int = 1) -> None:
    began, before = time.perf_counter(), processor_ns(conn)
    call()
    times.processor.append((processor_ns(conn) - before) / 1e6 / count)
    times.clock.append((time.perf_counter() - began) * 1000 / count)


def _submit(conn: psycopg.Connection[Any], seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same orders at each size
    for _ in range(_ORDERS):
        products = [chance.randint(200 * i + 1, 200 * i + 200) for i in range(5)]
        with conn.transaction():
            conn.execute(
                "select bench.submit_order(%s::int, %s)", [chance.randint(1, 1000), products], prepare=True
            )


def _submissions(
    histories: Sequence[History], connections: Sequence[psycopg.Connection[Any]], rounds: int, tick: Tick
) -> Row:
    """Orders of five lines by partners."""
    row = Row(SUBMIT, "5 lines", {history.orders: Times() for history in histories})
    for number in range(_WARM_ROUNDS + rounds):
        for history, conn in zip(histories, connections, strict=True):
            times = Times() if number < _WARM_ROUNDS else row.at[history.orders]
            _timed(conn, partial(_submit, conn, number), times, _ORDERS)
        tick("submit_order")
    return row


def jobs() -> dict[str, str]:
    """The statements of the scheduled jobs by their names."""
    tree = Tree(paths.sql_root(), paths.migrations_root())
    return {job.name: job.command for job in read_jobs(tree)}


def _jobs(
    histories: Sequence[History], connections: Sequence[psycopg.Connection[Any]], tick: Tick
) -> list[Row]:
    """Each job, with the work of the orders of a round. The first runs also do what has piled up."""
    rows = []
    for name, statement in jobs().items():
        if name == "history-purge":  # the history of pg_cron, which this cluster does not run
            continue
        row = Row(JOB, name, {history.orders: Times() for history in histories})
        for number in range(1 + _JOB_ROUNDS):
            for history, conn in zip(histories, connections, strict=True):
                _submit(conn, 1000 + number)
                times = row.at[history.orders] if number else Times()
                _timed(conn, partial(_execute, conn, statement), times)
        rows.append(row)
        tick(name)
    return rows


def _execute(conn: psycopg.Connection[Any], statement: str) -> None:
    conn.execute(statement.encode())


def _checks(
    histories: Sequence[History], connections: Sequence[psycopg.Connection[Any]], tick: Tick
) -> list[Row]:
    """Each invariant by the clock; processor time is that of all of them."""
    rows: dict[str, Row] = {}
    for history, conn in zip(histories, connections, strict=True):
        whole = Times()
        findings: list[check.Finding] = []
        _timed(conn, partial(_check, conn, findings), whole)
        rows.setdefault("", Row(CHECK, "all invariants")).at[history.orders] = whole
        for finding in findings:
            row = rows.setdefault(finding.invariant, Row(CHECK, finding.invariant))
            row.at[history.orders] = Times([finding.milliseconds], [finding.milliseconds])
        tick(f"hub check of {history.orders:,} orders")
    return list(rows.values())


def _check(conn: psycopg.Connection[Any], findings: list[check.Finding]) -> None:
    findings += check.check(conn)


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table. Jobs and calls: processor time; the check and building: by the clock."""
    sizes = sorted(rows[0].at)
    shown = Table(title="ms, minimum of the rounds")
    for name in ("", "what"):
        shown.add_column(name)
    for size in sizes:
        shown.add_column(f"{size:,} orders", justify="right")
    for name in ("ratio, processor time", "ratio, clock"):
        shown.add_column(name, justify="right")
    for row in rows:
        figures = row.figures()
        key = "clock_ms" if row.kind in {CHECK, BUILD} else "processor_ms"
        shown.add_row(
            row.kind,
            row.name,
            *(f"{figures['at'][str(size)][key]:,.2f}" for size in sizes),
            *(f"{figures[ratio] or 0:.2f}" for ratio in ("processor_ratio", "clock_ratio")),
        )
    return shown
