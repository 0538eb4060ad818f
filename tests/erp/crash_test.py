"""Crash test: kill the adapter and Tryton in turn while orders are exported and payments are imported.

python -m tests.erp.crash_test [--kills 20] [--orders 60] [--seed 1]
"""

import argparse
import random
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.erp import environment as environments
from tests.erp import sandbox
from tests.erp.environment import Environment
from tests.support.context import make_context
from tests.support.gateway import scratch_gateway

_SKUS = [f"TRY-{n:03}" for n in range(100, 200)]


@dataclass
class Report:
    """The result of a crash test."""

    kills: int
    """Kills of the adapter and of Tryton in turn."""
    orders: int
    exported: int
    paid: int
    seconds: float


def run(environment: Environment, *, kills: int, orders: int, seed: int = 1) -> Report:
    """Approve orders, kill at random moments, pay some; returns when all are exported and paid.

    Raises AssertionError if an order lacks its sale or has two, or if an invariant of the hub is broken.
    """
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    began = time.monotonic()
    approved: list[dict[str, Any]] = []
    environment.start()
    for number in range(kills):
        approved += approve_some(
            environment, orders * (number + 1) // kills - orders * number // kills, chance
        )
        _wait_until_exported(environment, approved, chance.randint(0, len(approved) - 1))
        time.sleep(chance.uniform(0, 0.6))
        kill_in_turn(environment, number, chance)
    for order in approved:
        environment.wait_until_exported(order, 180)
    paid = pay_some(environment, approved, chance)
    environment.assert_one_sale_per_order()
    return Report(
        kills=kills,
        orders=len(approved),
        exported=_exported(environment, approved),
        paid=paid,
        seconds=round(time.monotonic() - began, 1),
    )


def approve_some(environment: Environment, count: int, chance: random.Random) -> list[dict[str, Any]]:
    """Approve orders of partners in turn."""
    return [
        environment.order(chance.choice(_SKUS), chance.randint(1, 5), partner=n % 3) for n in range(count)
    ]


def kill_in_turn(environment: Environment, number: int, chance: random.Random) -> None:
    """Kill the adapter, or Tryton if the number is odd, and start it again."""
    if number % 2:
        environment.tryton.kill()
        time.sleep(chance.uniform(0, 0.5))
        environment.tryton.start()
        environment.tryton.wait_up()
    else:
        environment.kill()
        environment.start()


def _exported(environment: Environment, orders: list[dict[str, Any]]) -> int:
    return sum(1 for order in orders if environment.erp_reference(order))


def _wait_until_exported(environment: Environment, orders: list[dict[str, Any]], enough: int) -> None:
    """Wait until `enough` of the orders, fewer than all, are exported."""
    environment.wait_until(lambda: _exported(environment, orders) >= enough, 120)


def pay_some(environment: Environment, orders: list[dict[str, Any]], chance: random.Random) -> int:
    """Pay some of the invoices in Tryton while the adapter is killed once more; returns their number."""
    some = orders[:: max(1, len(orders) // 5)]
    killer = threading.Timer(chance.uniform(0.2, 1), environment.kill)
    killer.start()
    accounting = environment.accounting
    for order in some:
        accounting.pay(accounting.post(order["order_number"]), order["grand_total"])
    killer.join()
    environment.start()
    for order in some:
        environment.wait_until(lambda order=order: _is_paid(environment, order))  # type: ignore[misc]
    return len(some)


def _is_paid(environment: Environment, order: dict[str, Any]) -> bool:
    status = "select status from app.invoices where id = %s"
    return bool(environment.value(status, order["invoice"]["id"]) == "PAID")


def main() -> None:
    """Run the crash test on databases of its own and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.erp.crash_test",
        description="Kill the ERP adapter and Tryton; verify that each order has exactly one sale.",
    )
    parser.add_argument("--kills", type=int, default=20, help="kills, of adapter and Tryton in turn")
    parser.add_argument("--orders", type=int, default=60, help="orders to approve")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments and orders")
    options = parser.parse_args()
    with (
        scratch_gateway("crash") as (cluster, gateway),
        tempfile.TemporaryDirectory() as folder,
        sandbox.running(cluster, Path(folder)) as tryton,
    ):
        with psycopg.connect(gateway.database_url) as conn:
            context = make_context(conn, products=0, erp="tryton")
        with environments.running(gateway, tryton, context, Path(folder)) as environment:
            environment.once()
            print(run(environment, kills=options.kills, orders=options.orders, seed=options.seed))


if __name__ == "__main__":
    main()
