"""One hot partner and hot products beside orders spread over all partners: throughput, and deadlocks."""

from collections.abc import Callable

from devtools.bench import pgbench
from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError
from devtools.bench.results import Row

ORDERS = 4_000
CLIENTS = 16

ROUNDS = 10
SCRIPTS = ("hot_partner", "contention")

_SPREAD = "submit_order"

Tick = Callable[[str], None]


def measure(environment: Environment, orders: int, tick: Tick) -> list[Row]:
    """Submit so many orders in each form, in turn with spread ones.

    Raises BenchError if PostgreSQL ended a transaction because of a deadlock.
    """
    rows = [Row(script, CLIENTS) for script in SCRIPTS]
    each = max(1, orders // ROUNDS // CLIENTS)
    pgbench.run(_SPREAD, environment.hub_login, clients=CLIENTS, transactions=min(100, each))
    environment.settle(analyze=True)
    before = _counts(environment)
    for number in range(ROUNDS):
        for row in rows:
            # The spread orders are only the measure: a quarter of the number is enough.
            spread = pgbench.run(
                _SPREAD, environment.hub_login, clients=CLIENTS, transactions=max(1, each // 4)
            )
            row.add(spread, pgbench.run(row.name, environment.hub_login, clients=CLIENTS, transactions=each))
            tick(f"{row.name}, {(number + 1) * each * CLIENTS:,} orders: {row.ours[-1].tps:,.0f}/s")
        environment.settle()
    deadlocks, submitted = (after - count for after, count in zip(_counts(environment), before, strict=True))
    if deadlocks:
        raise BenchError(f"{deadlocks} deadlocks in {submitted} orders")
    for row in rows:
        row.more = {"orders": each * CLIENTS * ROUNDS, "deadlocks": deadlocks}
    return rows


def _counts(environment: Environment) -> tuple[int, int]:
    """Deadlocks of the hub's database so far, and orders in it."""
    with environment.admin(environment.hub) as conn:
        deadlocks, orders = conn.execute(
            "select d.deadlocks, (select count(*) from app.orders) from pg_stat_database as d"
            " where d.datname = current_database()"
        ).fetchall()[0]
        return int(deadlocks), int(orders)
