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


@dataclass
class Report:
    """The result of a crash test."""

    kills: int
    adapter: int
    """Kills of the adapter."""
    tryton: int
    """Kills of Tryton."""
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
    skus = [f"TRY-{n:03}" for n in range(100, 200)]
    approved: list[dict[str, Any]] = []
    killed = {"adapter": 0, "tryton": 0}
    environment.start()
    for number in range(kills):
        approved += [
            environment.order(chance.choice(skus), chance.randint(1, 5), partner=n % 3)
            for n in range(orders * (number + 1) // kills - orders * number // kills)
        ]
        _wait_until_exported(environment, approved, chance.randint(0, len(approved) - 1))
        time.sleep(chance.uniform(0, 0.6))
        if number % 2:
            environment.tryton.kill()
            killed["tryton"] += 1
            time.sleep(chance.uniform(0, 0.5))
            environment.tryton.start()
            environment.tryton.wait_up()
        else:
            environment.kill()
            killed["adapter"] += 1
            environment.start()
    for order in approved:
        environment.wait_until_exported(order, 180)
    paid = pay_some(environment, approved, chance)
    environment.assert_one_sale_per_order()
    return Report(
        kills=kills,
        adapter=killed["adapter"],
        tryton=killed["tryton"],
        orders=len(approved),
        exported=_exported(environment, approved),
        paid=paid,
        seconds=round(time.monotonic() - began, 1),
    )


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
