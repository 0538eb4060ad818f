"""Stock that can be sold while orders are exported to the ERP and readings arrive from it.

Each test simulates the ERP: a reading is its free stock, less the units of the sales that it has accepted.
"""

from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    refusal,
    submit,
    value,
)


@pytest.fixture
def conn(clone: Clone) -> Any:
    """A connection on which each statement commits, so that their times differ."""
    with psycopg.connect(clone(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def context(conn: Connection) -> Context:
    """The small context with two products of ten units."""
    return make_context(conn, products=2, stock=10, erp="csv")


def display(conn: Connection, sku: str = "SKU-000") -> int:
    left: int = value(conn, "select display_stock from api.products where sku = %s", sku)
    return left


def start_reading(conn: Connection, context: Context) -> str:
    read_at: str = call(conn, context.erp, "erp_stream", stream="stock")["read_at"]
    return read_at


def apply_reading(
    conn: Connection, context: Context, read_at: str | None, quantity: float, **more: Any
) -> dict[str, Any]:
    levels = [{"sku": "SKU-000", "quantity": quantity}]
    answer: dict[str, Any] = call(
        conn, context.erp, "erp_apply_stock", levels=levels, read_at=read_at, **more
    )
    return answer


def ack(conn: Connection, context: Context, order: dict[str, Any]) -> None:
    call(conn, context.erp, "erp_ack_order", order_id=order["id"], erp_reference=f"SO-{order['id'][-6:]}")


def approved(conn: Connection, context: Context, units: int) -> dict[str, Any]:
    order = submit(conn, context.partners[0], items(SKU_000=units))
    approve(conn, context, order)
    return order


def test_units_of_an_exported_order_stay_unavailable_until_the_next_reading(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 8)
    ack(conn, context, order)
    assert display(conn) == 2
    assert (
        refusal(conn, context.partners[1], "submit_order", items=items(SKU_000=3), idempotency_key="k")
        == "OUT_OF_STOCK"
    )
    apply_reading(conn, context, start_reading(conn, context), 2)
    assert display(conn) == 2
    assert broken_invariants(conn) == {}


def test_reading_from_before_the_export_does_not_restore_its_units(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 8)
    before = start_reading(conn, context)
    ack(conn, context, order)
    for _ in range(2):
        assert apply_reading(conn, context, before, 10)["applied"] == 1
        assert display(conn) == 2, "the reading of 10 still contains the 8 exported units"
    apply_reading(conn, context, start_reading(conn, context), 2)
    assert display(conn) == 2


def test_reading_between_export_and_acknowledgement_is_low_until_the_next_one(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 4)
    read_at = start_reading(conn, context)
    apply_reading(conn, context, read_at, 6)  # the ERP has the order, the hub does not know yet
    assert display(conn) == 2
    ack(conn, context, order)
    assert display(conn) == 2, "too low until the next reading, never too high"
    apply_reading(conn, context, start_reading(conn, context), 6)
    assert display(conn) == 6


def test_late_reading_does_not_replace_a_newer_one(conn: Connection, context: Context) -> None:
    old = start_reading(conn, context)
    new = start_reading(conn, context)
    apply_reading(conn, context, new, 3)
    answer = apply_reading(conn, context, old, 10)
    assert (answer["applied"], answer["outdated"], display(conn)) == (0, 1, 3)
    assert apply_reading(conn, context, new, 3)["applied"] == 1, "the same reading may be repeated"
    synced = value(conn, "select max(last_sync_at) from app.inventory")
    assert synced == value(conn, "select %s::timestamptz", new), "the time of reading, not of arrival"


def test_reading_from_the_future_is_refused(conn: Connection, context: Context) -> None:
    ahead = str(value(conn, "select now() + interval '1 minute'"))
    assert refusal(conn, context.erp, "erp_apply_stock", levels=[], read_at=ahead) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("end", ["cancel_order", "reject_order"])
def test_order_cancelled_during_its_export_is_acknowledged_then_cancelled_in_the_erp(
    conn: Connection, context: Context, end: str
) -> None:
    order = approved(conn, context, 8)
    reason = {"reason": "salah"}
    who = context.partners[0] if end == "cancel_order" else context.admin
    call(conn, who, end, order_id=order["id"], **reason)
    assert display(conn) == 10
    ack(conn, context, order)
    assert display(conn) == 2, "the ERP reserves them until it has cancelled the sale"
    [waiting] = call(conn, context.erp, "erp_pending_cancellations")
    assert (waiting["order_id"], waiting["erp_reference"][:3]) == (order["id"], "SO-")
    call(conn, context.erp, "erp_ack_cancellation", order_id=order["id"], outcome="CANCELLED")
    apply_reading(conn, context, start_reading(conn, context), 10)
    assert display(conn) == 10
    assert broken_invariants(conn) == {}


def test_display_stock_is_zero_when_units_of_an_exported_order_were_sold_again(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 8)
    call(conn, context.partners[0], "cancel_order", order_id=order["id"])
    submit(conn, context.partners[1], items(SKU_000=9))
    ack(conn, context, order)
    assert value(conn, "select min(erp_stock - reserved) from app.inventory") == -7
    assert display(conn) == 0
    assert broken_invariants(conn) == {}


def test_units_cancelled_after_export_return_with_the_next_reading(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 8)
    before = start_reading(conn, context)
    ack(conn, context, order)
    call(conn, context.partners[0], "cancel_order", order_id=order["id"])
    assert display(conn) == 2
    apply_reading(conn, context, before, 10)
    assert display(conn) == 2, "the reading is from before the export"
    apply_reading(conn, context, start_reading(conn, context), 10)
    assert display(conn) == 10


def test_negative_stock_is_kept_and_shown_as_zero(conn: Connection, context: Context) -> None:
    apply_reading(conn, context, start_reading(conn, context), -5)
    row = conn.execute("select erp_stock, display_stock from app.inventory order by erp_stock").fetchone()
    assert row == (-5, 0)


def test_reading_subtracts_only_orders_exported_after_it(conn: Connection, context: Context) -> None:
    first, second = approved(conn, context, 2), approved(conn, context, 3)
    ack(conn, context, first)
    read_at = start_reading(conn, context)
    ack(conn, context, second)
    apply_reading(conn, context, read_at, 8)
    assert display(conn) == 5
    assert display(conn, "SKU-001") == 10
