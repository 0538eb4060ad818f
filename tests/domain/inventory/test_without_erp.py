"""Stock without an ERP (config erp.kind none): headquarters enters it, and shipping lowers it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.calls import refused, write
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    set_config,
    submit,
    value,
)


def stock(db: Connection, sku: str = "SKU-000") -> tuple[Any, ...]:
    """erp_stock, reserved, display_stock."""
    row = db.execute(
        "select s.erp_stock, s.reserved, s.display_stock from app.inventory s"
        " join app.products p on p.id = s.product_id where p.sku = %s",
        [sku],
    ).fetchone()
    assert row
    return tuple(row)


def enter(db: Connection, context: Context, change: str) -> int:
    return write(
        db,
        context.admin,
        f"update api.inventory set {change} where product_id = %s",
        context.products["SKU-000"],
    )


def shipped(db: Connection, context: Context, units: int) -> dict[str, Any]:
    order = submit(db, context.partners[0], items(SKU_000=units))
    approve(db, context, order)
    result: dict[str, Any] = call(db, context.admin, "ship_order", order_id=order["id"])
    return result


@pytest.mark.context(stock=10)
def test_shipping_lowers_stock_and_reservation_together(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    assert stock(db) == (10, 4, 6)
    call(db, context.admin, "ship_order", order_id=order["id"])
    assert stock(db) == (6, 0, 6)
    call(db, context.admin, "complete_order", order_id=order["id"])
    assert stock(db) == (6, 0, 6)
    assert broken_invariants(db) == {}


@pytest.mark.context(stock=10)
def test_with_an_erp_shipping_leaves_stock_to_it(db: Connection, context: Context) -> None:
    set_config(db, context, "erp.kind", "csv")
    shipped(db, context, 4)
    assert stock(db) == (10, 4, 6)


@pytest.mark.context(stock=10)
def test_order_shipped_without_an_erp_is_not_sent_to_a_later_one(db: Connection, context: Context) -> None:
    order = shipped(db, context, 4)
    waiting = submit(db, context.partners[0], items(SKU_000=1))
    approve(db, context, waiting)
    set_config(db, context, "erp.kind", "csv")
    pending = call(db, context.erp, "erp_pending_orders", max=10)
    assert [o["order_id"] for o in pending] == [waiting["id"]]
    with refused(db, "ERP_REFERENCE_CONFLICT"):
        call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    assert stock(db) == (6, 1, 5)


@pytest.mark.context(stock=10)
def test_order_that_an_erp_acknowledged_is_not_taken_from_stock_twice(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    call(db, context.admin, "ship_order", order_id=order["id"])
    assert stock(db) == (6, 0, 6)


def test_stock_that_headquarters_enters_is_never_stale(db: Connection, context: Context) -> None:
    assert enter(db, context, "erp_stock = 25") == 1
    assert stock(db)[0] == 25
    db.execute("update app.inventory set last_sync_at = now() - interval '90 days'")
    query = "select stock_stale from api.products where sku = 'SKU-000'"
    assert value(db, query) is False
    set_config(db, context, "erp.kind", "csv")
    assert value(db, query) is True


def test_entering_stock_notes_the_time(db: Connection, context: Context) -> None:
    db.execute("update app.inventory set last_sync_at = null")
    enter(db, context, "safety_buffer = 3")
    assert value(db, "select count(*) from app.inventory where last_sync_at is not null") == 0
    enter(db, context, "erp_stock = 25")
    assert value(db, "select count(*) from app.inventory where last_sync_at = now()") == 1


@pytest.mark.parametrize(
    ("kind", "event", "touches"),
    [
        ("none", "order", False),
        ("none", "ship", True),
        ("none", "enter", True),
        ("csv", "sync", False),
        ("csv", "buffer", True),
    ],
)
@pytest.mark.context(stock=10)
def test_only_what_headquarters_writes_touches_the_row(
    db: Connection, context: Context, kind: str, event: str, touches: bool
) -> None:
    set_config(db, context, "erp.kind", kind)
    order = submit(db, context.partners[0], items(SKU_000=1))
    approve(db, context, order)
    db.execute("alter table app.inventory disable trigger _900_touch")
    db.execute("update app.inventory set updated_at = now() - interval '1 day'")
    db.execute("alter table app.inventory enable trigger _900_touch")
    match event:
        case "order":
            submit(db, context.partners[0], items(SKU_000=1))
        case "ship":
            call(db, context.admin, "ship_order", order_id=order["id"])
        case "enter":
            enter(db, context, "erp_stock = 20")
        case "sync":
            call(db, context.erp, "erp_apply_stock", levels=[{"sku": "SKU-000", "quantity": 7}])
        case _:
            enter(db, context, "safety_buffer = 4")
    query = "select updated_at, now() from app.inventory where product_id = %s"
    row = db.execute(query, [context.products["SKU-000"]]).fetchone()
    assert row
    at: datetime
    at, now = row
    assert (now - at < timedelta(hours=1)) == touches
