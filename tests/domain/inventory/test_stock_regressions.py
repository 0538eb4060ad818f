"""Stock and reservations: what went wrong in other systems."""

import psycopg
import pytest

from tests.support.context import (
    Connection,
    approve,
    broken_invariants,
    call,
    items,
    line,
    make_context,
    refusal,
    submit,
    value,
)


def left(db: Connection) -> int:
    query = "select display_stock from app.inventory s join app.products p on p.id = s.product_id"
    return int(value(db, query + " where p.sku = 'SKU-000'"))


def test_two_lines_of_one_product_are_checked_together(db: Connection) -> None:
    """Each line was checked alone against the whole stock: medusajs/medusa#16502."""
    context = make_context(db, stock=10)
    lines = [line("SKU-000", 6), line("SKU-000", 6)]
    code = refusal(db, context.partners[0], "submit_order", items=lines, idempotency_key="k")
    assert code == "OUT_OF_STOCK"
    order = submit(db, context.partners[0], [line("SKU-000", 5), line("SKU-000", 5)])
    assert value(db, "select quantity from app.order_items where order_id = %s", order["id"]) == 10
    assert left(db) == 0


def test_a_draft_reserves_nothing_and_its_order_reserves_once(db: Connection) -> None:
    """Reserved for the draft and again for the order made of it: medusajs/medusa#5198."""
    context = make_context(db, stock=10)
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=4))
    assert left(db) == 10
    call(db, context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert left(db) == 6
    assert broken_invariants(db) == {}


def test_cancelling_what_reserved_nothing_releases_nothing(db: Connection) -> None:
    """Cancelled before anything was allocated, it went negative: vendurehq/vendure#1557, medusa#11131."""
    context = make_context(db, stock=10)
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=4))
    call(db, context.partners[0], "cancel_order", order_id=draft["id"])
    assert left(db) == 10
    assert value(db, "select sum(reserved) from app.inventory") == 0
    assert broken_invariants(db) == {}


def test_a_cancelled_order_is_not_allocated_anew(db: Connection) -> None:
    """Cancelling added an allocation: vendurehq/vendure#2874."""
    context = make_context(db, stock=10)
    order = submit(db, context.partners[0], items(SKU_000=4))
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert left(db) == 10
    assert broken_invariants(db) == {}


def test_an_open_order_does_not_hide_the_rest_of_the_stock(db: Connection) -> None:
    """An unfulfilled order made the next one fail though stock was left: saleor/apps#1175."""
    context = make_context(db, stock=10)
    submit(db, context.partners[0], items(SKU_000=4))
    submit(db, context.partners[1], items(SKU_000=6))
    assert left(db) == 0


def test_the_last_reserved_units_can_be_delivered(db: Connection) -> None:
    """All stock reserved, none "available": the orders could not be fulfilled: medusajs/medusa#6500."""
    context = make_context(db, stock=10)
    order = submit(db, context.partners[0], items(SKU_000=10))
    approve(db, context, order)
    assert call(db, context.admin, "ship_order", order_id=order["id"])["status"] == "SHIPPED"
    assert call(db, context.admin, "complete_order", order_id=order["id"])["status"] == "COMPLETED"
    assert broken_invariants(db) == {}


def test_the_lines_of_a_placed_order_cannot_be_edited_past_the_stock(db: Connection) -> None:
    """Items added to a placed order were never allocated: vendurehq/vendure#1210."""
    context = make_context(db, stock=10)
    order = submit(db, context.partners[0], items(SKU_000=1))
    for statement in (
        "insert into app.order_items"
        " (order_id, partner_id, product_id, quantity, list_price, unit_price, line_total)"
        " select id, partner_id, %(product)s, 50, 1, 1, 50 from app.orders where id = %(order)s",
        "update app.order_items set quantity = 50, line_total = 50 * unit_price where order_id = %(order)s",
        "delete from app.order_items where order_id = %(order)s",
    ):
        ids = {"order": order["id"], "product": context.products["SKU-001"]}
        with pytest.raises(psycopg.Error, match="ORDER_FROZEN"), db.transaction():
            db.execute(statement, ids)
    assert broken_invariants(db) == {}


def test_every_order_has_its_reservation_also_after_a_hundred_moves(db: Connection) -> None:
    """Now and then an order without an allocation: saleor/saleor#5334, PR 9308."""
    context = make_context(db, stock=1000)
    for i in range(20):
        order = submit(db, context.partners[i % 2], items(SKU_000=1 + i % 4, SKU_001=1))
        if i % 3 == 0:
            call(db, context.partners[i % 2], "cancel_order", order_id=order["id"])
        elif i % 3 == 1:
            approve(db, context, order)
            call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference=f"S{i}")
    assert broken_invariants(db) == {}
