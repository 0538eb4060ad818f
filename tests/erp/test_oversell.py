"""Concurrent buyers, acknowledgements and stock readings: no unit is sold twice."""

import random
import threading
import time
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.concurrency import Operation, run_concurrently, running_repeatedly
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
        context = make_context(conn, partners=8, products=1, stock=STOCK, erp="csv")
        erp = SimulatedErp()
        with (
            running_repeatedly(url, _read_stock(erp, context, random.Random(f"{seed} first"))),  # noqa: S311
            running_repeatedly(url, _read_stock(erp, context, random.Random(f"{seed} second"))),  # noqa: S311
            running_repeatedly(url, _export(erp, context, random.Random(f"{seed} export"))),  # noqa: S311
        ):
            run_concurrently(url, [_buy(context, buyer, seed) for buyer in range(4)])
        sold = value(
            conn,
            "select sum(i.quantity) from app.order_items i join app.orders o on o.id = i.order_id"
            " where o.status not in ('DRAFT', 'CANCELLED', 'REJECTED')",
        )
        assert sold <= STOCK
        assert sold > STOCK // 2, "too few orders: the test proves nothing"
        assert broken_invariants(conn) == {}


def _read_stock(erp: SimulatedErp, context: Context, chance: random.Random) -> Operation:
    """Read the ERP's free stock and apply it a moment later."""

    def operation(conn: Connection) -> None:
        read_at = call(conn, context.erp, "erp_stream", stream="stock")["read_at"]
        levels = [{"sku": "SKU-000", "quantity": erp.free}]
        time.sleep(chance.random() / 50)  # the reading is outdated when it arrives
        call(conn, context.erp, "erp_apply_stock", levels=levels, read_at=read_at)

    return operation


def _export(erp: SimulatedErp, context: Context, chance: random.Random) -> Operation:
    """Export a few orders and cancel in the ERP those that were cancelled since."""

    def operation(conn: Connection) -> None:
        for order in call(conn, context.erp, "erp_pending_orders", max=3):
            reference = erp.take(order)
            time.sleep(chance.random() / 100)
            call(conn, context.erp, "erp_ack_order", order_id=order["order_id"], erp_reference=reference)
        for cancelled in call(conn, context.erp, "erp_pending_cancellations", max=3):
            order_id = cancelled["order_id"]
            erp.cancel(order_id)
            call(conn, context.erp, "erp_ack_cancellation", order_id=order_id, outcome="CANCELLED")

    return operation


def _buy(context: Context, buyer: int, seed: int) -> Operation:
    """Submit orders as one partner; most are approved, some are cancelled."""
    chance = random.Random(seed * 100 + buyer)  # noqa: S311

    def operation(conn: Connection) -> None:
        for _ in range(18):
            try:
                order = submit(conn, context.partners[buyer], items(SKU_000=chance.randint(1, 3)))
                if chance.random() < 0.8:
                    approve(conn, context, order)
                if chance.random() < 0.2:
                    call(conn, context.partners[buyer], "cancel_order", order_id=order["id"])
            except RefusedError as refused:
                if refused.code != "OUT_OF_STOCK":
                    # run_concurrently takes a RefusedError for a normal outcome.
                    raise AssertionError(f"refused with {refused.code}") from refused
                time.sleep(0.02)

    return operation
