"""The lists of each role through the gateway, on databases of several sizes that must not matter."""

import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from rich.table import Table

from adapters.common.tokens import mint
from devtools.bench.gateway import scratch_folder, serving
from devtools.bench.history import History
from hub.cluster import new_password

SIZES = (10_000, 200_000, 1_000_000)
"""Numbers of orders at which the lists are measured."""

REQUESTS = 15
LIMIT_MS = 20
"""What every list takes at most with 200,000 orders."""

_WARM_REQUESTS = 7  # PostgreSQL chooses between a custom and a generic plan after five
_TOO_SLOW_SECONDS = 0.7
_TIMEOUT_SECONDS = 20  # a statement ends after 15
_SHOWN = 12
_CURSOR_AGE = timedelta(days=3)  # also 10,000 orders are a week old
_PLAN = 'application/vnd.pgrst.plan+json; for="application/json"; options=analyze|buffers'

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
"""Role, function of sql/history.sql and number of each caller. Remote ones have few orders, all old."""

AGENTS_OF_FEW_PARTNERS = {"agent of a town", "remote agent"}
"""Callers who ask for other lists than agents of many partners: `app.is_agent_of_few_partners()`."""

Tick = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """The times of one list at one size of the database, in ms, and the pages that its plan read."""

    status: int
    rows: int
    times: tuple[float, ...]
    buffers: int | None = None


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
        """The fastest request at the largest size by that at the smallest: noise only slows down."""
        if len(self.answers) < 2 or any(a.status != httpx.codes.OK for a in self.answers.values()):
            return None
        sizes = sorted(self.answers)
        return min(self.answers[sizes[-1]].times) / min(self.answers[sizes[0]].times)

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
                    "buffers": answer.buffers,
                }
                for orders, answer in self.answers.items()
            },
        }


@dataclass
class _Asked:
    """The requests of one list at one size."""

    client: httpx.Client
    path: str
    status: int = 0
    rows: int = 0
    times: list[float] = field(default_factory=list)
    slow: int = 0
    is_over: bool = False

    def ask(self, *, counts: bool) -> None:
        """Ask once more; a list that fails, or takes too long twice, is not asked for again."""
        if self.is_over:
            return
        began = time.perf_counter()
        try:
            response = self.client.get(self.path)
        except httpx.TimeoutException:
            self.status, self.rows = httpx.codes.GATEWAY_TIMEOUT, 0
            self.times, self.is_over = [_TIMEOUT_SECONDS * 1000], True
            return
        seconds = time.perf_counter() - began
        self.slow += seconds > _TOO_SLOW_SECONDS  # the first time, pages may come from the disk
        self.is_over = response.status_code != httpx.codes.OK or self.slow > 1
        if self.is_over:
            self.times = [seconds * 1000]
        elif counts:
            self.times.append(seconds * 1000)
        self.status = response.status_code
        document = response.json()
        self.rows = len(document) if isinstance(document, list) else 0

    def answer(self) -> Answer:
        """The result, with the pages that its plan reads."""
        return Answer(self.status, self.rows, tuple(self.times), None if self.is_over else self._buffers())

    def _buffers(self) -> int | None:
        """Pages that the plan reads; None without PostgREST, which explains its statements."""
        response = self.client.get(self.path, headers={"Accept": _PLAN})
        if response.status_code != httpx.codes.OK or "plan" not in response.headers["Content-Type"]:
            return None
        plan = response.json()[0]["Plan"]
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def _document() -> list[dict[str, Any]]:
    lists: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("lists.toml").read_text())["lists"]
    return lists


def declared() -> list[tuple[str, str, str]]:
    """Role, name and path of each list in lists.toml."""
    cursor = (datetime.now(UTC) - _CURSOR_AGE).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        (role, entry["name"], entry["path"].replace("CURSOR", cursor))
        for entry in _document()
        for role in entry["roles"]
    ]


def replaced() -> dict[str, str]:
    """The lists for which agents of few partners ask by another list, and the name of that."""
    key = "agents_of_few_partners"
    return {entry["name"]: entry[key] for entry in _document() if key in entry}


def measure(
    histories: Sequence[History],
    tick: Tick,
    requests: int = REQUESTS,
    only: Callable[[Row], bool] | None = None,
) -> list[Row]:
    """Ask for each list in each database in turn, one request at a time; `only` chooses the lists."""
    secret = new_password()
    asked = {(role, name): path for role, name, path in declared()}
    others = replaced()
    all_rows = [
        Row(name, caller)
        for role, name in asked
        for caller, (callers_role, *_) in CALLERS.items()
        if role == callers_role and not (caller in AGENTS_OF_FEW_PARTNERS and name in others)
    ]
    rows = [row for row in all_rows if only is None or only(row)]
    with ExitStack() as stack:
        urls = [stack.enter_context(_serving(history, secret)) for history in histories]
        for row in rows:
            role, function, number = CALLERS[row.caller]
            with histories[0].connect() as conn:
                query = sql.SQL("select bench.{}(%s)").format(sql.Identifier(function))
                subject = str(conn.execute(query, [number]).fetchall()[0][0])
            headers = {"Authorization": f"Bearer {mint(secret, role, subject, minutes=120)}"}
            with ExitStack() as clients:
                sides = [
                    _Asked(
                        clients.enter_context(
                            httpx.Client(
                                base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
                            )
                        ),
                        asked[role, row.name],
                    )
                    for url in urls
                ]
                for number in range(_WARM_REQUESTS + requests):
                    for side in sides:
                        side.ask(counts=number >= _WARM_REQUESTS)
                for history, side in zip(histories, sides, strict=True):
                    row.answers[history.orders] = side.answer()
            tick(f"{row.name}, {row.caller}")
    return rows


@contextmanager
def _serving(history: History, secret: str) -> Iterator[str]:
    """A gateway on this database that explains its statements on request; returns its URL.

    Each request is planned: in a small database PostgreSQL would keep some generic plans and save the
    planning, in larger ones it does not, and the ratio would compare that instead of the lists.
    """
    with history.connect() as conn:
        login = sql.Identifier(str(conninfo_to_dict(history.environment.hub_login)["user"]))
        for setting in ("pgrst.db_plan_enabled = 'true'", "plan_cache_mode = 'force_custom_plan'"):
            conn.execute(sql.SQL("alter role {} set " + setting).format(login))
    with scratch_folder() as folder, serving(history.environment, folder, secret) as url:
        yield url


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
