"""A day without Tryton or the drop folder, then recovery: count lost, doubled and misplaced orders.

python -m tests.erp.outage {tryton,csv} [--orders 300] [--kills 50] [--seed 1]
"""

import argparse
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from hub.ports import next_free
from tests.erp import environment as environments
from tests.erp import sandbox
from tests.erp.crash_test import approve_some, kill_in_turn, pay_some
from tests.erp.environment import Environment
from tests.support.adapter_process import AdapterProcess
from tests.support.client import RunningGateway
from tests.support.context import Context, approve, broken_invariants, line, make_context, submit
from tests.support.gateway import scratch_gateway
from tests.support.waiting import wait_until

_CREDIT = "update app.partners set credit_limit = 1000000000000"


@dataclass
class Report:
    """The result of an outage."""

    orders: int
    exported: int
    exported_meanwhile: int
    """Orders that left during the outage."""
    kills: int
    """Kills of the adapter and, during the recovery, of Tryton, one half of them during the outage."""
    doubles: int
    """Orders that reached the ERP twice; of Tryton, duplicates that were deleted as drafts."""
    out_of_order: int
    """Orders that came after one that was approved later."""
    paid: int
    """Invoices that were paid in the ERP and are paid in the hub."""
    notices: int
    """Streams of which headquarters was notified during the outage."""
    seconds: float


def pass_a_day(conn: psycopg.Connection[Any]) -> None:
    """Make waiting orders and the reports of the streams a day older, and run the job that watches them."""
    conn.execute("alter table app.orders disable trigger _100_guard")
    conn.execute(
        "update app.orders set approved_at = approved_at - interval '1 day' where erp_reference is null"
    )
    conn.execute("alter table app.orders enable trigger _100_guard")
    columns = ("updated_at", "last_succeeded_at", "last_failed_at", "failing_since")
    moved = ", ".join(f"{column} = {column} - interval '1 day'" for column in columns)
    conn.execute(f"update app.erp_streams set {moved}".encode())
    conn.execute("select jobs.check_erp_streams()")


def _exported(conn: psycopg.Connection[Any]) -> list[str]:
    """The ERP's numbers of the exported orders, in the order of their approval."""
    rows = conn.execute(
        "select erp_reference from app.orders where erp_reference is not null order by approved_at, id"
    ).fetchall()
    return [row[0] for row in rows]


def _notices(conn: psycopg.Connection[Any]) -> int:
    query = "select count(distinct variables ->> 'stream') from app.messages where template = 'erp_trouble'"
    return int(conn.execute(query).fetchall()[0][0])


def _failing(conn: psycopg.Connection[Any]) -> bool:
    """Whether the adapter has reported that the orders cannot leave."""
    query = (
        "select exists (select from app.erp_streams where stream = 'orders' and failing_since is not null)"
    )
    return bool(conn.execute(query).fetchall()[0][0])


def _inversions(numbers: list[int]) -> int:
    """How many numbers follow a greater one."""
    greatest, count = -1, 0
    for number in numbers:
        count += number < greatest
        greatest = max(greatest, number)
    return count


def run_tryton(
    environment: Environment, *, orders: int, kills: int, seconds: float = 15, seed: int = 1
) -> Report:
    """Approve orders while Tryton is away for a day, then let the adapter recover; kill both at random.

    Raises AssertionError if an order lacks its sale or has two, or if an invariant of the hub is broken.
    """
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    began = time.monotonic()
    environment.conn.execute(_CREDIT)
    environment.extra["HUB_ERP_INTERVAL_SECONDS"] = "5"  # reading twice a second would delay orders
    environment.start()
    environment.wait_until(lambda: (h := environment.health()) and h["status"] == "ok")
    environment.tryton.kill()
    before, approved = len(_exported(environment.conn)), list[dict[str, Any]]()
    parts = max(1, kills - kills // 2)
    for number in range(parts):
        approved += approve_some(
            environment, orders * (number + 1) // parts - orders * number // parts, chance
        )
        if kills:
            time.sleep(chance.uniform(0, 0.5))
            environment.kill()
            environment.start()
    if not kills:
        time.sleep(seconds)
    meanwhile = len(_exported(environment.conn)) - before
    pass_a_day(environment.conn)
    notices = _notices(environment.conn)
    environment.tryton.start()
    environment.tryton.wait_up()
    for number in range(kills // 2):
        enough = before + orders * number // (kills // 2 + 1)
        environment.wait_until(lambda enough=enough: len(_exported(environment.conn)) >= enough, 300)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.6))
        kill_in_turn(environment, number, chance)
    for order in approved:
        environment.wait_until_exported(order, 300)
    numbers = [int(environment.erp_reference(order) or 0) for order in approved]
    paid = pay_some(environment, approved, chance)
    environment.assert_one_sale_per_order()
    return Report(
        orders=len(approved),
        exported=len(set(numbers)),
        exported_meanwhile=meanwhile,
        kills=kills,
        doubles=environment.log.read_text().count("a duplicate sale was deleted"),
        out_of_order=_inversions(numbers),
        paid=paid,
        notices=notices,
        seconds=round(time.monotonic() - began, 1),
    )


@dataclass
class Accountant:
    """Takes the order files from the drop folder as they come; `taken` are their names in that order."""

    folder: Path
    taken: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Take files until `stop`."""
        while not self._stop.wait(0.02):
            self.take()

    def take(self) -> None:
        """Take the files that are there; a file that is there has every line of its order."""
        for path in sorted((self.folder / "orders").glob("*.csv")):
            assert path.read_text("utf-8-sig").count("\n") == 2, path
            path.unlink()
            self.taken.append(path.stem)

    def stop(self) -> None:
        """End the work."""
        self._stop.set()


@dataclass
class CsvEnvironment(AdapterProcess):
    """The hub's gateway, a drop folder, and the adapter as a process to be killed."""

    NAME: ClassVar[str] = "erp"

    gateway: RunningGateway
    context: Context
    conn: psycopg.Connection[Any]
    share: Path
    """Contains the drop folder; without it the share is away."""

    @property
    def folder(self) -> Path:
        """The drop folder."""
        return self.share / "drop"

    @property
    def log(self) -> Path:
        """The adapter's log."""
        return self.share / "adapter.log"

    def settings(self) -> dict[str, str]:
        """The adapter's settings, as environment variables."""
        return {
            "HUB_GATEWAY_URL": self.gateway.url,
            "HUB_JWT_SECRET": self.gateway.jwt_secret,
            "HUB_LISTEN_URL": self.gateway.database_url,
            "HUB_ERP_KIND": "csv",
            "HUB_ERP_FOLDER": str(self.folder),
            "HUB_ERP_PORT": str(next_free(27400 + os.getpid() % 400)),
            "HUB_ERP_POLL_SECONDS": "0.2",
            "HUB_ERP_INTERVAL_SECONDS": "1",
        }

    def kill_at_random(self, chance: random.Random) -> None:
        """Kill the adapter within its first rounds, and start it again."""
        time.sleep(chance.uniform(0, 2))
        self.kill()
        self.start()


@contextmanager
def running_csv(gateway: RunningGateway, context: Context, share: Path) -> Iterator[CsvEnvironment]:
    """An environment whose adapter is not started yet."""
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        environment = CsvEnvironment(gateway, context, conn, share)
        environment.folder.mkdir()
        try:
            yield environment
        finally:
            environment.kill()


def run_csv(
    environment: CsvEnvironment, *, orders: int, kills: int, seconds: float = 15, seed: int = 1
) -> Report:
    """Approve orders while the share is away for a day, then let the adapter recover; kill it at random."""
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    began = time.monotonic()
    conn, context = environment.conn, environment.context
    conn.execute(_CREDIT)
    away = environment.folder.rename(environment.folder.with_name("away"))
    environment.start()
    approved: list[dict[str, Any]] = []
    parts = max(1, kills - kills // 2)
    for number in range(parts):
        for _ in range(orders * (number + 1) // parts - orders * number // parts):
            order = submit(conn, context.partners[len(approved) % 3], [line("SKU-000", 1)])
            approve(conn, context, order)
            approved.append(order)
        if kills:
            environment.kill_at_random(chance)
    if not kills:
        time.sleep(seconds)
    # Each kill may come before the adapter has started up: leave the last one alive until it has reported.
    wait_until(lambda: _failing(conn), 60, interval=0.1)
    meanwhile = len(_exported(conn))
    pass_a_day(conn)
    notices = _notices(conn)
    away.rename(environment.folder)
    accountant = Accountant(environment.folder)
    work = threading.Thread(target=accountant.work)
    work.start()
    try:
        for _ in range(kills // 2):
            environment.kill_at_random(chance)
        wait_until(lambda: len(_exported(conn)) >= orders, 120 + orders / 5, interval=0.2)
    finally:
        accountant.stop()
        work.join()
    accountant.take()
    times = Counter(accountant.taken)
    first = {name: place for place, name in reversed([*enumerate(accountant.taken)])}
    names = [order["order_number"] for order in approved]
    assert broken_invariants(conn) == {}
    return Report(
        orders=len(approved),
        exported=len({name for name in names if times[name]}),
        exported_meanwhile=meanwhile,
        kills=kills,
        doubles=sum(1 for count in times.values() if count > 1),
        out_of_order=_inversions([first[name] for name in names if name in first]),
        paid=0,
        notices=notices,
        seconds=round(time.monotonic() - began, 1),
    )


def main() -> None:
    """Run the outage on a database of its own and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.erp.outage",
        description="Take the ERP away for a day, let the adapter recover, and kill it at random.",
    )
    parser.add_argument("erp", choices=["tryton", "csv"])
    parser.add_argument("--orders", type=int, default=300, help="orders to approve (default: 300)")
    parser.add_argument("--kills", type=int, default=50, help="kills (default: 50)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments")
    options = parser.parse_args()
    sizes = {"orders": options.orders, "kills": options.kills, "seed": options.seed}
    with (
        scratch_gateway("outage") as (cluster, gateway),
        tempfile.TemporaryDirectory() as folder,
    ):
        with psycopg.connect(gateway.database_url) as conn:
            context = make_context(conn, products=int(options.erp == "csv"), erp=options.erp)
        if options.erp == "csv":
            with running_csv(gateway, context, Path(folder)) as files:
                print(run_csv(files, **sizes))
            return
        with (
            sandbox.running(cluster, Path(folder)) as tryton,
            environments.running(gateway, tryton, context, Path(folder)) as environment,
        ):
            environment.once()
            print(run_tryton(environment, **sizes))


if __name__ == "__main__":
    main()
