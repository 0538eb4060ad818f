"""What may be sold while orders are on their way to the ERP and readings are on their way from it.

Each test plays the ERP: what it tells is free there, less what the sales that it took will take away.
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
    """Each statement commits: moments differ."""
    with psycopg.connect(clone(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def context(conn: Connection) -> Context:
    return make_context(conn, products=2, stock=10)


def display(conn: Connection, sku: str = "SKU-000") -> int:
    left: int = value(conn, "select display_stock from api.products where sku = %s", sku)
    return left


def moment(conn: Connection, context: Context) -> str:
    asked: str = call(conn, context.erp, "erp_stream", stream="stock")["read_at"]
    return asked


def tell(
    conn: Connection, context: Context, read_at: str | None, quantity: float, **more: Any
) -> dict[str, Any]:
    levels = [{"sku": "SKU-000", "quantity": quantity}]
    told: dict[str, Any] = call(conn, context.erp, "erp_apply_stock", levels=levels, read_at=read_at, **more)
    return told


def ack(conn: Connection, context: Context, order: dict[str, Any]) -> None:
    call(conn, context.erp, "erp_ack_order", order_id=order["id"], erp_reference=f"SO-{order['id'][-6:]}")


def approved(conn: Connection, context: Context, units: int) -> dict[str, Any]:
    order = submit(conn, context.partners[0], items(SKU_000=units))
    approve(conn, context, order)
    return order


def test_units_that_the_erp_took_over_are_not_on_sale_until_its_next_reading(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 8)
    ack(conn, context, order)
    assert display(conn) == 2
    assert (
        refusal(conn, context.partners[1], "submit_order", items=items(SKU_000=3), idempotency_key="k")
        == "OUT_OF_STOCK"
    )
    tell(conn, context, moment(conn, context), 2)
    assert display(conn) == 2
    assert broken_invariants(conn) == {}


def test_a_reading_from_before_the_hand_over_resurrects_nothing(conn: Connection, context: Context) -> None:
    order = approved(conn, context, 8)
    before = moment(conn, context)
    ack(conn, context, order)
    for _ in range(2):
        assert tell(conn, context, before, 10)["applied"] == 1
        assert display(conn) == 2, "the reading of 10 does not count the 8"
    tell(conn, context, moment(conn, context), 2)
    assert display(conn) == 2


def test_a_reading_between_hand_over_and_acknowledgement_counts_low_and_heals(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 4)
    read_at = moment(conn, context)
    tell(conn, context, read_at, 6)  # the ERP has it already, and we do not know
    assert display(conn) == 2
    ack(conn, context, order)
    assert display(conn) == 2, "too low, never too high"
    tell(conn, context, moment(conn, context), 6)
    assert display(conn) == 6


def test_a_reading_that_comes_late_does_not_undo_a_newer_one(conn: Connection, context: Context) -> None:
    old = moment(conn, context)
    new = moment(conn, context)
    tell(conn, context, new, 3)
    told = tell(conn, context, old, 10)
    assert (told["applied"], told["outdated"], display(conn)) == (0, 1, 3)
    assert tell(conn, context, new, 3)["applied"] == 1, "the same one may be repeated"
    synced = value(conn, "select max(last_sync_at) from app.inventory")
    assert synced == value(conn, "select %s::timestamptz", new), "when it was read, not when it came"


def test_a_reading_of_the_future_is_refused(conn: Connection, context: Context) -> None:
    ahead = str(value(conn, "select now() + interval '1 minute'"))
    assert refusal(conn, context.erp, "erp_apply_stock", levels=[], read_at=ahead) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("end", ["cancel_order", "reject_order"])
def test_an_order_that_dies_on_its_way_is_taken_over_and_then_undone(
    conn: Connection, context: Context, end: str
) -> None:
    order = approved(conn, context, 8)
    reason = {"reason": "salah"}
    who = context.partners[0] if end == "cancel_order" else context.admin
    call(conn, who, end, order_id=order["id"], **reason)
    assert display(conn) == 10
    ack(conn, context, order)
    assert display(conn) == 2, "the ERP holds them until it has undone the sale"
    [waiting] = call(conn, context.erp, "erp_pending_cancellations")
    assert (waiting["order_id"], waiting["erp_reference"][:3]) == (order["id"], "SO-")
    call(conn, context.erp, "erp_ack_cancellation", order_id=order["id"], outcome="CANCELLED")
    tell(conn, context, moment(conn, context), 10)
    assert display(conn) == 10
    assert broken_invariants(conn) == {}


def test_what_was_sold_again_meanwhile_is_not_sold_a_third_time(conn: Connection, context: Context) -> None:
    order = approved(conn, context, 8)
    call(conn, context.partners[0], "cancel_order", order_id=order["id"])
    submit(conn, context.partners[1], items(SKU_000=9))
    ack(conn, context, order)
    assert value(conn, "select min(erp_stock - reserved) from app.inventory") == -7
    assert display(conn) == 0
    assert broken_invariants(conn) == {}


def test_a_cancellation_after_the_hand_over_waits_for_the_erps_next_reading(
    conn: Connection, context: Context
) -> None:
    order = approved(conn, context, 8)
    before = moment(conn, context)
    ack(conn, context, order)
    call(conn, context.partners[0], "cancel_order", order_id=order["id"])
    assert display(conn) == 2
    tell(conn, context, before, 10)
    assert display(conn) == 2, "whatever became of it, that reading does not count it"
    tell(conn, context, moment(conn, context), 10)
    assert display(conn) == 10


def test_negative_stock_is_kept_and_shown_as_none(conn: Connection, context: Context) -> None:
    tell(conn, context, moment(conn, context), -5)
    row = conn.execute("select erp_stock, display_stock from app.inventory order by erp_stock").fetchone()
    assert row == (-5, 0)


def test_only_what_was_taken_over_since_is_counted_again(conn: Connection, context: Context) -> None:
    first, second = approved(conn, context, 2), approved(conn, context, 3)
    ack(conn, context, first)
    read_at = moment(conn, context)
    ack(conn, context, second)
    tell(conn, context, read_at, 8)
    assert display(conn) == 5
    assert display(conn, "SKU-001") == 10
