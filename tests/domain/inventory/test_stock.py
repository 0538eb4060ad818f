"""Reservations, what the ERP says, and what is left to order."""

from typing import Any

import pytest

from tests.support.context import (
    Connection,
    Context,
    approve,
    call,
    items,
    line,
    make_context,
    serving,
    submit,
    value,
)
from tests.support.factories import make_product, refused


@pytest.fixture
def context(db: Connection) -> Context:
    """Ten units of everything."""
    return make_context(db, stock=10)


def stock(db: Connection, sku: str = "SKU-000") -> tuple[int, int]:
    """What is reserved and what is left."""
    row = db.execute(
        "select s.reserved, s.display_stock from app.inventory s join app.products p on p.id = s.product_id"
        " where p.sku = %s",
        [sku],
    ).fetchone()
    assert row
    return row[0], row[1]


def erp_says(db: Connection, context: Context, quantity: float) -> Any:
    levels = [{"sku": "SKU-000", "quantity": quantity}]
    return call(db, context.erp, "erp_apply_stock", levels=levels)


def test_an_order_reserves_its_units(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=4, SKU_001=1))
    assert (stock(db), stock(db, "SKU-001"), stock(db, "SKU-002")) == ((4, 6), (1, 9), (0, 10))


@pytest.mark.parametrize("state", ["SUBMITTED", "PROCESSING", "APPROVED"])
@pytest.mark.parametrize("end", ["CANCELLED", "REJECTED"])
def test_a_dead_order_gives_its_units_back(db: Connection, context: Context, state: str, end: str) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=4))
    if state == "PROCESSING":
        call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    elif state == "APPROVED":
        approve(db, context, order)
    assert stock(db) == (4, 6)
    if end == "CANCELLED":
        call(db, who, "cancel_order", order_id=order["id"])
    else:
        call(db, context.admin, "reject_order", order_id=order["id"], reason="habis")
    assert stock(db) == (0, 10)


@pytest.mark.parametrize(("says", "left"), [(10, 6), (4, 0), (3, 0), (0, 0), (-5, 0), (100, 96), (7.9, 3)])
def test_a_sync_keeps_reservations_and_resurrects_nothing(
    db: Connection, context: Context, says: float, left: int
) -> None:
    submit(db, context.partners[0], items(SKU_000=4))
    for _ in range(2):
        assert erp_says(db, context, says)["applied"] == 1
        assert stock(db) == (4, left)


def test_units_that_the_erp_owes_are_not_given_back_by_a_cancellation(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    erp_says(db, context, -5)
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert stock(db) == (0, 0)
    with refused(db, "OUT_OF_STOCK"):
        submit(db, context.partners[0], items(SKU_000=1))


def test_the_safety_buffer_is_never_sold(db: Connection, context: Context) -> None:
    db.execute("update app.inventory set safety_buffer = 3")
    with refused(db, "OUT_OF_STOCK") as why:
        submit(db, context.partners[0], items(SKU_000=8))
    assert why.details == "SKU-000: 7 left"
    submit(db, context.partners[0], items(SKU_000=7))
    assert stock(db) == (7, 0)


@pytest.mark.parametrize("moves", [[], ["ship_order"], ["ship_order", "complete_order"]])
def test_what_the_erp_takes_over_is_not_on_sale_until_the_erp_says_so(
    db: Connection, context: Context, moves: list[str]
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    for move in moves:
        call(db, context.admin, move, order_id=order["id"])
    assert stock(db) == (4, 6), "however far it is, until the ERP knows"
    for _ in range(2):
        call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
        assert stock(db) == (0, 6), "the ERP's last figure does not count it yet"
    erp_says(db, context, 6)
    assert stock(db) == (0, 6), "now it does"


def test_a_cancellation_after_the_hand_over_leaves_the_units_to_the_erp(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    erp_says(db, context, 6)
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert stock(db) == (0, 6)


def test_a_refusal_names_what_is_left_of_each_product_that_is_short(db: Connection, context: Context) -> None:
    make_product(db, "SKU-NEW", stock=None)
    submit(db, context.partners[0], items(SKU_001=7))
    with refused(db, "OUT_OF_STOCK") as why:
        submit(db, context.partners[1], items(SKU_000=10, SKU_001=4, SKU_002=11, SKU_NEW=1))
    assert why.details == "SKU-001: 3 left, SKU-002: 10 left, SKU-NEW: 0 left"
    assert (stock(db), stock(db, "SKU-001"), stock(db, "SKU-002")) == ((0, 10), (7, 3), (0, 10))
    assert value(db, "select count(*) from app.orders") == 1


def test_a_draft_is_checked_when_it_is_submitted(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=[line("SKU-000", 6), line("SKU-000", 6)])
    with refused(db, "OUT_OF_STOCK") as why:
        call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert why.details == "SKU-000: 10 left"
    assert value(db, "select status::text from app.orders where id = %s", draft["id"]) == "DRAFT"


def test_a_quote_tells_what_is_short_and_refuses_nothing(db: Connection, context: Context) -> None:
    told = call(db, context.partners[0], "quote_order", items=items(SKU_000=10, SKU_001=11))
    assert [(x["in_stock"], x["display_stock"]) for x in told["lines"]] == [(True, 10), (False, 10)]


@pytest.mark.parametrize(("minutes", "interval", "stale"), [(29, 15, False), (31, 15, True), (31, 60, False)])
def test_stock_is_stale_when_two_syncs_were_missed(
    db: Connection, context: Context, minutes: int, interval: int, stale: bool
) -> None:
    call(db, context.admin, "set_config", config_key="stock.sync_interval_minutes", config_value=interval)
    db.execute("update app.inventory set last_sync_at = now() - make_interval(mins => %s)", [minutes])
    assert value(db, "select bool_and(stock_stale) from api.products") is stale
    assert value(db, "select bool_or(stock_stale) from api.products") is stale


def test_an_order_made_by_hand_reserves_too(db: Connection, context: Context) -> None:
    """The reservation is the table's, not the call's."""
    order = value(
        db,
        "insert into app.orders (partner_id, status, subtotal, grand_total)"
        " values (%s, 'SUBMITTED', 400000, 400000) returning id",
        context.partners[0].sub,
    )
    db.execute(
        "insert into app.order_items (order_id, partner_id, product_id, quantity, list_price, unit_price,"
        " line_total) values (%s, %s, %s, 4, 100000, 100000, 400000)",
        [order, context.partners[0].sub, context.products["SKU-000"]],
    )
    assert stock(db) == (4, 6)
