"""What is compared with what, for how long, in which order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devtools.bench import pgbench
from devtools.bench.environment import Place
from devtools.bench.results import Row

Tick = Callable[[str], None]


@dataclass(frozen=True)
class Side:
    """One pgbench script, and whether it runs on the hub's database or on the floor's."""

    script: str
    on_hub: bool = True

    def run(self, place: Place, clients: int, seconds: float) -> pgbench.Round:
        """One round."""
        url = place.hub_login if self.on_hub else place.floor_login
        return pgbench.run(self.script, url, clients=clients, seconds=seconds)


@dataclass(frozen=True)
class Bench:
    """A floor, and by name what is measured beside it in the same repetition."""

    floor: Side
    ours: dict[str, Side]
    clients: tuple[int, ...]

    @property
    def sides(self) -> int:
        """Rounds of one repetition at one number of clients."""
        return 1 + len(self.ours)


SUBMIT = Bench(
    Side("floor", on_hub=False),
    {"submit_order": Side("submit_order"), "submit_order_guarded": Side("submit_order_guarded")},
    (1, 4, 16),
)
LONG = Bench(
    Side("floor_200_lines", on_hub=False), {"submit_order_200_lines": Side("submit_order_200_lines")}, (4,)
)
HOT = Bench(Side("submit_order"), {"hot_partner": Side("hot_partner")}, (16,))
LISTS = Bench(Side("newest_orders_unsecured"), {"newest_orders": Side("newest_orders")}, (4,))


def rounds(benches: Sequence[Bench], repetitions: int) -> int:
    """How many rounds all of it takes."""
    return sum(repetitions * len(bench.clients) * bench.sides for bench in benches)


def measure(bench: Bench, place: Place, seconds: float, repetitions: int, tick: Tick) -> list[Row]:
    """Alternate between the floor and ours, so that both meet the same noise."""
    rows: list[Row] = []
    for clients in bench.clients:
        named = {name: Row(name, clients) for name in bench.ours}
        for _ in range(repetitions):
            floor = _round(bench.floor, place, clients, seconds, tick)
            for name, side in bench.ours.items():
                named[name].add(floor, _round(side, place, clients, seconds, tick))
        rows += named.values()
    return sorted(rows, key=lambda row: list(bench.ours).index(row.name))


def _round(side: Side, place: Place, clients: int, seconds: float, tick: Tick) -> pgbench.Round:
    place.settle()
    done = side.run(place, clients, seconds)
    tick(f"{side.script}, {clients} clients: {done.tps:,.0f}/s")
    return done


def warm_up(bench: Bench, place: Place, seconds: float) -> None:
    """Fill caches and tables, then let the planner know what is there."""
    for side in (bench.floor, *bench.ours.values()):
        side.run(place, min(4, max(bench.clients)), seconds)
    place.settle(analyze=True)


def length(budget: float, started: float, count: int, *, pause: float = 0.6) -> float:
    """Seconds a round may take so that all of them end within the budget; whole ones, as pgbench counts."""
    left = budget - (time.monotonic() - started)
    return float(max(1, int(left / count - pause)))
