"""Processor time of the server per call, which other load of the machine changes little.

Linux accounts it to each process in /proc/<pid>/schedstat. One connection each, without waiting for the disk;
the sides take turns within a round. On an idle machine the minimum of the rounds counts; under other load the
ratios of the rounds, because both sides are slowed down.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from rich.table import Table

from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError

SECONDS = 60
"""Length of the measurement, without preparation."""

FLOOR_B, FLOOR_C, HUB = "floor B", "floor C", "hub"
_GUARDED, _CONTEXT, _GUARD = "hub, guarded", "request context", "request guard"

_SHORT = 5
_LONG = 200
_CALLS = {_SHORT: 50, _LONG: 3}
_WARM_ROUNDS = 2
_LEAST_ROUNDS = 3
_WARM_CALLS = 500

_ORDER = "select {}(%s, %s)"
_FUNCTIONS = {
    _SHORT: ("floor.submit_order", "bench.submit_by_hand", "bench.submit_order"),
    _LONG: ("floor.submit_long_order", "bench.submit_long_by_hand", "bench.submit_long_order"),
}

Tick = Callable[[str], None]


@dataclass
class Row:
    """Processor time of one call, in µs, one value a round."""

    name: str
    lines: int
    checkout: str = ""
    times: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The minimum of the rounds."""
        return min(self.times)

    def figures(self) -> dict[str, Any]:
        """The entry of the JSON file."""
        return {
            "name": "processor_time",
            "side": self.name,
            "checkout": self.checkout,
            "lines": self.lines,
            "min_us": round(self.best, 1),
            "median_us": round(median(self.times), 1),
            "rounds": len(self.times),
        }


@dataclass(frozen=True)
class _Side:
    row: Row
    login: str
    query: str
    has_lines: bool = True
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - the same each time

    def call(self, conn: psycopg.Connection[Any], times: int) -> float:
        """Call it so many times; returns the processor time of one call, in µs."""
        before = processor_ns(conn)
        for _ in range(times):
            conn.execute(self.query.encode(), self._arguments())
        return (processor_ns(conn) - before) / times / 1000

    def _arguments(self) -> list[Any]:
        partner = self.chance.randint(1, 1000)
        if not self.has_lines:
            return [partner]
        if self.row.lines == _LONG:
            return [partner, self.chance.randint(1, 801)]
        return [partner, [self.chance.randint(200 * i + 1, 200 * i + 200) for i in range(_SHORT)]]


def measure(environment: Environment, tick: Tick, seconds: float = SECONDS) -> list[Row]:
    """Measure short orders, long orders and the request guard for so many seconds, after a warm-up.

    Raises BenchError unless the server runs on this machine and the machine runs Linux.
    """
    short, long = _sides(environment, _SHORT), _sides(environment, _LONG)
    # Plans made on empty tables would read the whole table once it has grown.
    with _connected(short) as connections:
        tick("processor time: warming up")
        for side, conn in zip(short, connections, strict=True):
            side.call(conn, _WARM_CALLS)
    environment.settle(analyze=True)
    found = []
    for sides, part in ((short + _guards(environment), 0.75), (long, 0.25)):
        with _connected(sides) as connections:
            _interleave(sides, connections, seconds * part, tick)
        found += [side.row for side in sides]
    return _subtract_context(found)


def _sides(environment: Environment, lines: int) -> list[_Side]:
    names = dict(zip((FLOOR_B, FLOOR_C, HUB), _FUNCTIONS[lines], strict=True))
    databases = [
        (FLOOR_B, environment.floor_login, ""),
        (FLOOR_C, environment.floor_c_login, ""),
        (HUB, environment.hub_login, ""),
    ]
    for checkout in environment.compared:
        databases += [
            (FLOOR_C, checkout.floor_c_login, checkout.name),
            (HUB, checkout.hub_login, checkout.name),
        ]
    more = "" if lines == _SHORT else f", {_LONG}"
    return [
        _Side(Row(name, lines, checkout), login, f"select {names[name]}(%s::int, %s{more})")
        for name, login, checkout in databases
    ]


def _guards(environment: Environment) -> list[_Side]:
    """Sides whose difference is the cost of auth.request_guard, in each source tree."""
    logins = [(environment.hub_login, ""), *((other.hub_login, other.name) for other in environment.compared)]
    calls = [
        (_CONTEXT, "select bench.set_request_context(%s::int)"),
        (_GUARD, "select bench.guard_request(%s::int)"),
    ]
    return [
        _Side(Row(name, 0, checkout), login, query, has_lines=False)
        for login, checkout in logins
        for name, query in calls
    ]


def _subtract_context(rows: Sequence[Row]) -> list[Row]:
    """Reduce the guard's times by those of the same round without it, and drop the latter."""
    contexts = {row.checkout: row for row in rows if row.name == _CONTEXT}
    for row in rows:
        if row.name == _GUARD:
            without = contexts[row.checkout].best
            row.times = [max(0.0, spent - without) for spent in row.times]
    return [row for row in rows if row.name != _CONTEXT]


@contextmanager
def _connected(sides: Sequence[_Side]) -> Iterator[list[psycopg.Connection[Any]]]:
    with ExitStack() as stack:
        connections = [
            stack.enter_context(psycopg.connect(side.login, autocommit=True, prepare_threshold=0))
            for side in sides
        ]
        for conn in connections:
            conn.execute("set synchronous_commit = off")
            processor_ns(conn)
        yield connections


def _interleave(
    sides: Sequence[_Side], connections: Sequence[psycopg.Connection[Any]], seconds: float, tick: Tick
) -> None:
    end = time.monotonic() + seconds
    for number in itertools.count():
        if number >= _WARM_ROUNDS + _LEAST_ROUNDS and time.monotonic() > end:
            break
        for side, conn in zip(sides, connections, strict=True):
            spent = side.call(conn, _CALLS.get(side.row.lines, _CALLS[_SHORT]))
            if number >= _WARM_ROUNDS:
                side.row.times.append(spent)
        tick(f"processor time, {sides[0].row.lines} lines")


def processor_ns(conn: psycopg.Connection[Any]) -> int:
    """Processor time of the connection's server process so far, in ns."""
    process = Path(f"/proc/{conn.info.backend_pid}")
    try:
        name, spent = (process / "comm").read_text(), int((process / "schedstat").read_text().split()[0])
    except (OSError, ValueError):
        name, spent = "", 0
    if not name.startswith("postgres"):
        raise BenchError(
            "the processor time of the server cannot be read",
            hint="it is read from /proc: run the benchmark on Linux, on the machine of the PostgreSQL server",
        )
    return spent


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table; the ratio to floor C is the median of the rounds' ratios."""
    shown = Table(title="processor time of the server per call, µs")
    others = [name for name in dict.fromkeys(row.checkout for row in rows) if name]
    for name in ("side", "checkout", "lines", "minimum", "median", "/ floor C"):
        shown.add_column(name, justify="left" if name in {"side", "checkout"} else "right")
    for name in others:
        shown.add_column(f"/ floor C of {name}", justify="right")
    for row in rows:
        shown.add_row(
            row.name,
            row.checkout or "this one",
            str(row.lines or ""),
            f"{row.best:,.0f}",
            f"{median(row.times):,.0f}",
            *(_ratio(rows, row, name) for name in (row.checkout, *others)),
        )
    return shown


def ratio(row: Row, floor: Row) -> float:
    """The median of the rounds' ratios."""
    return median(ours / theirs for ours, theirs in zip(row.times, floor.times, strict=True))


def _ratio(rows: Sequence[Row], row: Row, checkout: str) -> str:
    floors = [r for r in rows if (r.name, r.lines, r.checkout) == (FLOOR_C, row.lines, checkout)]
    return f"{ratio(row, floors[0]):.2f}" if floors else ""
