"""Loyalty points: what went wrong in other systems, and in this one before it was tested so."""

from typing import Any

from tests.world import Connection, World, broken, call, items, make_world, pay, serving, submit, value


def _two_invoices(db: Connection) -> tuple[World, list[dict[str, Any]], int]:
    """An order billed in two unequal parts; returns its world, the invoices and the promise."""
    world = make_world(db)
    order = submit(db, world.partners[0], items(SKU_000=10))
    call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    call(db, world.admin, "approve_order", order_id=order["id"])
    first = value(db, "select id from app.invoices where order_id = %s", order["id"])
    call(db, world.admin, "cancel_invoice", invoice_id=first, reason="two deliveries")
    amounts = [order["grand_total"] * 3 / 10, order["grand_total"] * 7 / 10]
    invoices: list[dict[str, Any]] = [
        {
            "id": value(
                db, "select app.issue_invoice(o, %s) from app.orders o where id = %s", amount, order["id"]
            ),
            "amount": amount,
        }
        for amount in amounts
    ]
    return world, invoices, order["points_earned"]


def test_the_first_of_two_paid_invoices_does_not_take_the_other_ones_points(db: Connection) -> None:
    """Found here: both paid before the queue ran, the first vested the whole promise, the second nothing.

    Cancelling the second then took nothing back.
    """
    world, invoices, promise = _two_invoices(db)
    for invoice in invoices:
        pay(db, world, invoice)
    value(db, "select jobs.process_point_queue()")
    vested = "select points from app.point_transactions where invoice_id = %s and type = 'EARNED'"
    assert [value(db, vested, i["id"]) for i in invoices] == [promise * 3 // 10, promise - promise * 3 // 10]
    assert broken(db) == {}


def test_a_promise_is_not_rounded_down_on_its_way(db: Connection) -> None:
    """Found here: 500,000 / 15,000 x 1.2 was 39.999... and promised 39 points instead of 40."""
    world = make_world(db)
    call(db, world.admin, "set_config", config_key="loyalty.rupiah_per_point", config_value=15000)
    assert submit(db, world.partners[1], items(SKU_000=5))["points_earned"] == 40
    assert broken(db) == {}


def test_a_promise_beyond_the_ledgers_columns_is_no_server_error(db: Connection) -> None:
    """Found here: one rupiah a point and a big order overflowed the column: a 500 for the partner."""
    world = make_world(db, credit=10**12, stock=100_000)
    call(db, world.admin, "set_config", config_key="loyalty.rupiah_per_point", config_value=1)
    assert submit(db, world.partners[0], items(SKU_000=100_000))["points_earned"] == 1_000_000_000
    assert broken(db) == {}
