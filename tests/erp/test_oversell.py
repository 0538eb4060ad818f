"""Buyers, acknowledgements and readings at once: what was promised never exceeds what there was."""

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


class PlayedErp:
    """Free stock of one product; a sale that is taken lowers it, however late the hub hears of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}

    def take(self, order: dict[str, Any]) -> str:
        with self._lock:
            self._taken[order["order_id"]] = order["items"][0]["quantity"]
        return f"SO-{order['order_number']}"

    def cancel(self, order: str) -> None:
        with self._lock:
            self._taken.pop(order, None)

    @property
    def free(self) -> int:
        with self._lock:
            return STOCK - sum(self._taken.values())


@pytest.mark.parametrize("seed", range(3))
def test_acknowledgements_readings_and_buyers_at_once_never_oversell(clone: Clone, seed: int) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, partners=8, products=1, stock=STOCK)
        erp, over, failures = PlayedErp(), threading.Event(), list[BaseException]()

        def forever(what: Any) -> threading.Thread:
            def run() -> None:
                chance = random.Random(f"{seed}{what}")  # noqa: S311
                try:
                    with connect(url) as mine:
                        while not over.is_set():
                            what(mine, chance)
                except BaseException as failure:
                    failures.append(failure)

            return threading.Thread(target=run, daemon=True)

        def read(mine: Connection, chance: random.Random) -> None:
            read_at = call(mine, context.erp, "erp_stream", stream="stock")["read_at"]
            levels = [{"sku": "SKU-000", "quantity": erp.free}]
            time.sleep(chance.random() / 50)  # on its way
            call(mine, context.erp, "erp_apply_stock", levels=levels, read_at=read_at)

        def hand_over(mine: Connection, chance: random.Random) -> None:
            for order in call(mine, context.erp, "erp_pending_orders", max=3):
                reference = erp.take(order)
                time.sleep(chance.random() / 100)
                call(mine, context.erp, "erp_ack_order", order_id=order["order_id"], erp_reference=reference)
            for dead in call(mine, context.erp, "erp_pending_cancellations", max=3):
                erp.cancel(dead["order_id"])
                call(
                    mine, context.erp, "erp_ack_cancellation", order_id=dead["order_id"], outcome="CANCELLED"
                )

        disturbers = [forever(read), forever(read), forever(hand_over)]
        buyers = [threading.Thread(target=_buy, args=(url, context, i, seed, failures)) for i in range(4)]
        for thread in disturbers + buyers:
            thread.start()
        for thread in buyers:
            thread.join(60)
        over.set()
        for thread in disturbers:
            thread.join(20)
        assert failures == []
        live = "status not in ('DRAFT', 'CANCELLED', 'REJECTED')"
        sold = value(
            conn,
            "select sum(i.quantity) from app.order_items i join app.orders o on o.id = i.order_id"
            f" where o.{live}",
        )
        assert sold <= STOCK
        assert sold > STOCK // 2, "and it was not for want of buyers"
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
