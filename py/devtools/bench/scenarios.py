"""The benchmarks: which scripts are compared, with how many clients, in which order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devtools.bench import pgbench
from devtools.bench.environment import Environment
from devtools.bench.results import Row

Tick = Callable[[str], None]


@dataclass(frozen=True)
class Side:
    """One pgbench script, and the database that it runs on: "hub", "floor" or "floor_c"."""

    script: str
    database: str = "hub"

    def run(self, environment: Environment, clients: int, seconds: float) -> pgbench.Round:
        """Run one round."""
        url: str = getattr(environment, f"{self.database}_login")
        return pgbench.run(self.script, url, clients=clients, seconds=seconds)


@dataclass(frozen=True)
class Bench:
    """A floor, and by name the scripts that are measured beside it in the same repetition."""

    floor: Side
    ours: dict[str, Side]
    clients: tuple[int, ...]

    @property
    def sides(self) -> int:
        """The number of rounds of one repetition at one number of clients."""
        return 1 + len(self.ours)


SUBMIT = Bench(
    Side("floor", "floor"),
    {
        "floor_c": Side("floor_c", "floor_c"),
        "submit_order": Side("submit_order"),
        "submit_order_guarded": Side("submit_order_guarded"),
    },
    (1, 4, 16),
)
LONG = Bench(
    Side("floor_200_lines", "floor"), {"submit_order_200_lines": Side("submit_order_200_lines")}, (4,)
)
HOT = Bench(Side("submit_order"), {"hot_partner": Side("hot_partner")}, (16,))
LISTS = Bench(Side("newest_orders_unsecured"), {"newest_orders": Side("newest_orders")}, (4,))


def rounds(benches: Sequence[Bench], repetitions: int) -> int:
    """The number of rounds of all benchmarks."""
    return sum(repetitions * len(bench.clients) * bench.sides for bench in benches)


def measure(
    bench: Bench, environment: Environment, seconds: float, repetitions: int, tick: Tick
) -> list[Row]:
    """Alternate between the floor and the hub, so that both meet the same load of the machine."""
    rows: list[Row] = []
    for clients in bench.clients:
        named = {name: Row(name, clients) for name in bench.ours}
        for _ in range(repetitions):
            floor = _round(bench.floor, environment, clients, seconds, tick)
            for name, side in bench.ours.items():
                named[name].add(floor, _round(side, environment, clients, seconds, tick))
        rows += named.values()
    return sorted(rows, key=lambda row: list(bench.ours).index(row.name))


def _round(side: Side, environment: Environment, clients: int, seconds: float, tick: Tick) -> pgbench.Round:
    environment.settle()
    done = side.run(environment, clients, seconds)
    tick(f"{side.script}, {clients} clients: {done.tps:,.0f}/s")
    return done


def warm_up(bench: Bench, environment: Environment, seconds: float) -> None:
    """Fill caches and tables, then analyze."""
    for side in (bench.floor, *bench.ours.values()):
        side.run(environment, min(4, max(bench.clients)), seconds)
    environment.settle(analyze=True)


def length(budget: float, count: int, *, pause: float = 0.6) -> float:
    """The seconds of a round so that all rounds take `budget` seconds; pgbench counts whole seconds."""
    return float(max(1, int(budget / count - pause)))
