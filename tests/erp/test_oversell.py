"""Concurrent buyers, acknowledgements and stock readings: no unit is sold twice."""

import random
import threading
import time
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.concurrency import connect
from tests.support.context import (
    Connection,
    Context,
    RefusedError,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    submit,
    value,
)

STOCK = 60


class SimulatedErp:
    """The free stock of one product; an exported order lowers it before the hub gets the acknowledgement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sold: dict[str, int] = {}

    def take(self, order: dict[str, Any]) -> str:
        with self._lock:
            self._sold[order["order_id"]] = order["items"][0]["quantity"]
        return f"SO-{order['order_number']}"

    def cancel(self, order: str) -> None:
        with self._lock:
            self._sold.pop(order, None)

    @property
    def free(self) -> int:
        with self._lock:
            return STOCK - sum(self._sold.values())


@pytest.mark.parametrize("seed", range(3))
def test_concurrent_buyers_exports_and_stock_readings_never_oversell(clone: Clone, seed: int) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, partners=8, products=1, stock=STOCK)
        erp, over, failures = SimulatedErp(), threading.Event(), list[BaseException]()

        def repeating(operation: Any) -> threading.Thread:
            def run() -> None:
                chance = random.Random(f"{seed}{operation}")  # noqa: S311
                try:
                    with connect(url) as connection:
                        while not over.is_set():
                            operation(connection, chance)
                except BaseException as failure:
                    failures.append(failure)

            return threading.Thread(target=run, daemon=True)

        def read(connection: Connection, chance: random.Random) -> None:
            read_at = call(connection, context.erp, "erp_stream", stream="stock")["read_at"]
            levels = [{"sku": "SKU-000", "quantity": erp.free}]
            time.sleep(chance.random() / 50)  # the reading is outdated when it arrives
            call(connection, context.erp, "erp_apply_stock", levels=levels, read_at=read_at)

        def export(connection: Connection, chance: random.Random) -> None:
            for order in call(connection, context.erp, "erp_pending_orders", max=3):
                reference = erp.take(order)
                time.sleep(chance.random() / 100)
                call(
                    connection,
                    context.erp,
                    "erp_ack_order",
                    order_id=order["order_id"],
                    erp_reference=reference,
                )
            for cancelled in call(connection, context.erp, "erp_pending_cancellations", max=3):
                erp.cancel(cancelled["order_id"])
                call(
                    connection,
                    context.erp,
                    "erp_ack_cancellation",
                    order_id=cancelled["order_id"],
                    outcome="CANCELLED",
                )

        erp_threads = [repeating(read), repeating(read), repeating(export)]
        buyers = [threading.Thread(target=_buy, args=(url, context, i, seed, failures)) for i in range(4)]
        for thread in erp_threads + buyers:
            thread.start()
        for thread in buyers:
            thread.join(60)
        over.set()
        for thread in erp_threads:
            thread.join(20)
        assert failures == []
        live = "status not in ('DRAFT', 'CANCELLED', 'REJECTED')"
        sold = value(
            conn,
            "select sum(i.quantity) from app.order_items i join app.orders o on o.id = i.order_id"
            f" where o.{live}",
        )
        assert sold <= STOCK
        assert sold > STOCK // 2, "too few orders: the test proves nothing"
        assert broken_invariants(conn) == {}


def _buy(url: str, context: Context, buyer: int, seed: int, failures: list[BaseException]) -> None:
    chance = random.Random(seed * 100 + buyer)  # noqa: S311
    try:
        with connect(url) as conn:
            for _ in range(18):
                try:
                    order = submit(conn, context.partners[buyer], items(SKU_000=chance.randint(1, 3)))
                    if chance.random() < 0.8:
                        approve(conn, context, order)
                    if chance.random() < 0.2:
                        call(conn, context.partners[buyer], "cancel_order", order_id=order["id"])
                except RefusedError as refused:
                    if refused.code != "OUT_OF_STOCK":
                        raise
                    time.sleep(0.02)
    except BaseException as failure:
        failures.append(failure)
