"""Killing the adapter and Tryton again and again while orders go out and payments come in.

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

from hub import paths, settings
from hub.stack import gateway as gateways
from tests.erp import accounting, environment
from tests.erp.environment import House
from tests.support import test_cluster
from tests.support.client import RunningGateway
from tests.support.context import make_context


@dataclass
class Toll:
    """What came of it; `run` raises where a sale is missing or there twice, or a promise is broken."""

    kills: int
    adapter: int
    tryton: int
    orders: int
    taken: int
    paid: int
    seconds: float


def run(house: House, *, kills: int, orders: int, seed: int = 1) -> Toll:
    """Order, kill at random moments, pay what got through; returns when all is taken over and paid."""
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    began = time.monotonic()
    skus = [f"TRY-{n:03}" for n in range(100, 200)]
    made: list[dict[str, Any]] = []
    killed = {"adapter": 0, "tryton": 0}
    house.start()
    for number in range(kills):
        made += [
            house.order(chance.choice(skus), chance.randint(1, 5), partner=n % 3)
            for n in range(orders * (number + 1) // kills - orders * number // kills)
        ]
        _await_progress(house, made, chance.randint(0, len(made) - 1))
        time.sleep(chance.uniform(0, 0.6))
        if number % 2:
            house.tryton.kill()
            killed["tryton"] += 1
            time.sleep(chance.uniform(0, 0.5))
            house.tryton.start()
            house.tryton.wait_up()
        else:
            house.kill()
            killed["adapter"] += 1
            house.start()
    for order in made:
        house.until(lambda order=order: house.taken(order), 180)  # type: ignore[misc]
    paid = _pay(house, made, chance)
    house.each_sale_once()
    return Toll(
        kills=kills,
        adapter=killed["adapter"],
        tryton=killed["tryton"],
        orders=len(made),
        taken=sum(1 for order in made if house.taken(order)),
        paid=paid,
        seconds=round(time.monotonic() - began, 1),
    )


def _await_progress(house: House, made: list[dict[str, Any]], enough: int) -> None:
    """Until so many orders are taken over, and one at least is not."""
    house.until(lambda: sum(1 for order in made if house.taken(order)) >= enough, 120)


def _pay(house: House, made: list[dict[str, Any]], chance: random.Random) -> int:
    """Pay some of the invoices in Tryton while the adapter is killed once more."""
    some = made[:: max(1, len(made) // 5)]
    killing = threading.Timer(chance.uniform(0.2, 1), house.kill)
    killing.start()
    for order in some:
        house.books.pay(house.books.post(order["order_number"]), order["grand_total"])
    killing.join()
    house.start()
    status = "select status from app.invoices where id = %s"
    for order in some:
        house.until(lambda order=order: house.value(status, order["invoice"]["id"]) == "PAID")  # type: ignore[misc]
    return len(some)


def main() -> None:
    """Run it on databases of its own and print the toll."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--orders", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    choice = gateways.choose(settings.read().gateway, paths.root() / ".cache" / "postgrest")
    with test_cluster.running_cluster() as cluster, test_cluster.scratch_folder() as folder:
        template = test_cluster.ensure_template(cluster)
        name = test_cluster.fresh_name("killing")
        with psycopg.connect(cluster.url(), autocommit=True) as conn:
            conn.execute(f'create database "{name}" template "{template}"')
        with psycopg.connect(cluster.url(name)) as conn:
            context = make_context(conn, products=0)
        url = cluster.url(name, "authenticator", test_cluster.AUTHENTICATOR_PASSWORD)
        ports = test_cluster.free_port(28000), test_cluster.free_port(29000)
        config = gateways.GatewayConfig(url, url, test_cluster.JWT_SECRET, *ports, pooled=False)
        file, log = folder / "gateway.conf", folder / "gateway.log"
        config.write(file, choice.kind, gateways.account_for(choice))
        process = gateways.start(choice, file, log)
        try:
            base = f"http://{cluster.host}:{ports[0]}"
            gateways.wait_ready(base, log, lambda: gateways.check_running(process, log))
            gateway = RunningGateway(base, cluster.url(name), test_cluster.JWT_SECRET, choice.kind)
            with (
                tempfile.TemporaryDirectory() as kept,
                accounting.running(cluster, Path(kept)) as tryton,
                environment.running(gateway, tryton, context, Path(kept)) as house,
            ):
                house.once()
                print(run(house, kills=asked.kills, orders=asked.orders, seed=asked.seed))
        finally:
            process.terminate()
            process.wait(10)
            with psycopg.connect(cluster.url(), autocommit=True) as conn:
                conn.execute(f'drop database "{name}" with (force)')


if __name__ == "__main__":
    main()
