"""The lists of each role through the gateway, on one database that grows: the time must not grow with it."""

import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from rich.table import Table

from adapters.common.tokens import mint
from devtools.bench.environment import Environment
from devtools.bench.gateway import scratch_folder, serving
from devtools.bench.pgbench import SQL
from hub.cluster import new_password

SIZES = (10_000, 200_000, 1_000_000)
"""Numbers of orders at which the lists are measured."""

REQUESTS = 15
LIMIT_MS = 20
"""What every list takes at most with 200,000 orders."""

_WARM_REQUESTS = 7  # PostgreSQL chooses between a custom and a generic plan after five
_TOO_SLOW_SECONDS = 0.7
_TIMEOUT_SECONDS = 20  # a statement ends after 15
_BATCH = 50_000
_SHOWN = 12

CALLERS = {
    "partner": ("partner", "partner_id", 5),
    "largest partner": ("partner", "partner_id", 1),
    "remote partner": ("partner", "partner_id", 4990),
    "sub-distributor": ("subdist", "subdist_id", 7),
    "small sub-distributor": ("subdist", "subdist_id", 6001),
    "remote sub-distributor": ("subdist", "subdist_id", 5000),
    "agent of a town": ("agent", "agent_id", 1),
    "national agent": ("agent", "agent_id", 2),
    "remote agent": ("agent", "agent_id", 3),
    "admin": ("admin", "agent_id", 4),
    "superadmin": ("superadmin", "agent_id", 5),
}
"""Role, function of sql/lists.sql and number of each caller. Remote ones have few orders, all of them old."""

Tick = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """The times of one list at one size of the database, in ms."""

    status: int
    rows: int
    times: tuple[float, ...]


@dataclass
class Row:
    """One list as one caller sees it, by number of orders."""

    name: str
    caller: str
    answers: dict[int, Answer] = field(default_factory=dict)

    def ms(self, orders: int) -> float | None:
        """The median at this size; None if the list failed or was not measured."""
        answer = self.answers.get(orders)
        return median(answer.times) if answer and answer.status == httpx.codes.OK else None

    @property
    def growth(self) -> float | None:
        """The fastest request at the largest size by that at the one before: noise only slows down."""
        if len(self.answers) < 2 or any(a.status != httpx.codes.OK for a in self.answers.values()):
            return None
        before, after = sorted(self.answers)[-2:]
        return min(self.answers[after].times) / min(self.answers[before].times)

    def figures(self) -> dict[str, Any]:
        """The entry of the JSON file."""
        return {
            "name": "list",
            "list": self.name,
            "caller": self.caller,
            "growth": round(self.growth, 2) if self.growth else None,
            "at": {
                str(orders): {
                    "status": answer.status,
                    "rows": answer.rows,
                    "ms": round(median(answer.times), 2),
                    "min_ms": round(min(answer.times), 2),
                }
                for orders, answer in self.answers.items()
            },
        }


def declared() -> list[tuple[str, str, str]]:
    """Role, name and path of each list in lists.toml."""
    document = tomllib.loads(Path(__file__).with_name("lists.toml").read_text())
    return [(role, entry["name"], entry["path"]) for entry in document["lists"] for role in entry["roles"]]


def measure(
    environment: Environment, tick: Tick, sizes: Sequence[int] = SIZES, requests: int = REQUESTS
) -> list[Row]:
    """Add orders up to each size and ask for each list, one request at a time."""
    secret = new_password()
    with environment.admin(environment.hub) as conn:
        conn.execute((SQL / "lists.sql").read_bytes())
        subjects = {
            caller: conn.execute(f"select bench.{function}(%s)".encode(), [number]).fetchall()[0][0]
            for caller, (_, function, number) in CALLERS.items()
        }
    rows = [
        Row(name, caller)
        for role, name, _ in declared()
        for caller, (callers_role, *_) in CALLERS.items()
        if role == callers_role
    ]
    asked = {(role, name): path for role, name, path in declared()}
    before = 0
    with scratch_folder() as folder, serving(environment, folder, secret) as url:
        for orders in sizes:
            _grow(environment, before, orders, tick)
            before = orders
            for row in rows:
                role = CALLERS[row.caller][0]
                token = mint(secret, role, str(subjects[row.caller]), minutes=120)
                with httpx.Client(
                    base_url=url,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=_TIMEOUT_SECONDS,
                    trust_env=False,
                ) as client:
                    row.answers[orders] = _ask(client, asked[role, row.name], requests)
                tick(f"{orders:,} orders: {row.name}, {row.caller}")
    return rows


def _grow(environment: Environment, before: int, orders: int, tick: Tick) -> None:
    with environment.admin(environment.hub) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute("set synchronous_commit = off")
        conn.execute("set maintenance_work_mem = '512MB'")
        conn.execute("select bench.drop_indexes()")
        for first in range(before + 1, orders + 1, _BATCH):
            last = min(first + _BATCH - 1, orders)
            conn.execute("select bench.add_orders(%s, %s)", [first, last])
            tick(f"{last:,} of {orders:,} orders created")
        tick(f"{orders:,} orders: building indexes")
        conn.execute("select bench.restore_indexes()")
        conn.execute("set session_replication_role = origin")
        conn.execute("select app.recount_statistics()")
        conn.execute("vacuum analyze")


def _ask(client: httpx.Client, path: str, requests: int) -> Answer:
    """Ask repeatedly; a list that fails or takes too long is asked for once."""
    times: list[float] = []
    for number in range(_WARM_REQUESTS + requests):
        began = time.perf_counter()
        try:
            response = client.get(path)
        except httpx.TimeoutException:
            return Answer(httpx.codes.GATEWAY_TIMEOUT, 0, (_TIMEOUT_SECONDS * 1000,))
        seconds = time.perf_counter() - began
        last = response.status_code != httpx.codes.OK or seconds > _TOO_SLOW_SECONDS
        if last or number >= _WARM_REQUESTS:
            times.append(seconds * 1000)
        if last:
            break
    document = response.json()
    found = len(document) if isinstance(document, list) else 0
    return Answer(response.status_code, found, tuple(times))


def tables(rows: Sequence[Row]) -> list[Table]:
    """Per caller the slowest list at each size; then the lists that miss the limit, or grow most."""
    sizes = list(dict.fromkeys(orders for row in rows for orders in row.answers))
    summary = Table(title="slowest list of each caller, ms")
    details = Table(title="lists that take longest or grow most, ms")
    summary.add_column("caller")
    for name in ("caller", "list"):
        details.add_column(name)
    for shown in (summary, details):
        for orders in sizes:
            shown.add_column(f"{orders:,} orders", justify="right")
        shown.add_column("growth", justify="right")
    for caller in dict.fromkeys(row.caller for row in rows):
        theirs = [row for row in rows if row.caller == caller]
        growth = [row.growth for row in theirs]
        summary.add_row(
            caller,
            *(_worst([row.ms(orders) for row in theirs]) for orders in sizes),
            "failed"
            if None in growth and len(sizes) > 1
            else _number(max(filter(None, growth), default=None)),
        )
    for row in sorted(rows, key=_badness, reverse=True)[:_SHOWN]:
        cells = [_number(row.ms(orders)) for orders in sizes]
        details.add_row(row.caller, row.name, *cells, _number(row.growth))
    return [summary, details]


def _badness(row: Row) -> float:
    times = [row.ms(orders) for orders in row.answers]
    return float("inf") if None in times else max((t for t in times if t), default=0) * (row.growth or 1)


def _worst(times: Sequence[float | None]) -> str:
    return "failed" if None in times else _number(max(t for t in times if t is not None))


def _number(value: float | None) -> str:
    return "failed" if value is None else f"{value:,.1f}"
