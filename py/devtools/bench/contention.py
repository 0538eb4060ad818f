"""One hot partner and hot products beside orders spread over all partners: throughput, and deadlocks."""

from collections.abc import Callable

from devtools.bench import pgbench
from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError
from devtools.bench.results import Row

ORDERS = 4_000
CLIENTS = 16
HOT, CONTENTION = "hot_partner", "contention"

ROUNDS = 10
SCRIPTS = (HOT, CONTENTION)

_SPREAD = "submit_order"
_COMPARED = 60
"""Orders of a client and round that suffice to compare throughputs; only contention needs all orders."""

Tick = Callable[[str], None]


def measure(environment: Environment, orders: int, tick: Tick) -> list[Row]:
    """Submit so many orders for hot products, and some of one partner, each in turn with spread ones.

    Raises BenchError if PostgreSQL ended a transaction because of a deadlock.
    """
    rows = [Row(script, CLIENTS) for script in SCRIPTS]
    each = max(1, orders // ROUNDS // CLIENTS)
    compared = min(each, _COMPARED)

    def submit(script: str, transactions: int) -> pgbench.Round:
        return pgbench.run(script, environment.hub_login, clients=CLIENTS, transactions=transactions)

    submit(_SPREAD, compared)
    environment.settle(analyze=True)
    before = _counts(environment)
    for number in range(ROUNDS):
        for row in rows:
            spread = submit(_SPREAD, compared)
            row.add(spread, submit(row.name, each if row.name == CONTENTION else compared))
            tick(f"{row.name}, {number + 1} of {ROUNDS} rounds: {row.ours[-1].tps:,.0f}/s")
        environment.settle()
    deadlocks, submitted = (after - count for after, count in zip(_counts(environment), before, strict=True))
    if deadlocks:
        raise BenchError(f"{deadlocks} deadlocks in {submitted} orders")
    for row in rows:
        row.more = {"deadlocks": deadlocks}
    rows[-1].more["orders"] = each * CLIENTS * ROUNDS
    return rows


def _counts(environment: Environment) -> tuple[int, int]:
    """Deadlocks of the hub's database so far, and orders in it."""
    with environment.admin(environment.hub) as conn:
        deadlocks, orders = conn.execute(
            "select d.deadlocks, (select count(*) from app.orders) from pg_stat_database as d"
            " where d.datname = current_database()"
        ).fetchall()[0]
        return int(deadlocks), int(orders)
