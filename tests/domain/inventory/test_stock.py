"""Reservations, stock levels of the ERP, and the stock that can be ordered."""

from typing import Any

import psycopg
import pytest

from tests.support.calls import refused
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    line,
    refusal,
    routed_subdist,
    set_config,
    submit,
    value,
)
from tests.support.factories import make_product
from tests.support.queries import stock

pytestmark = pytest.mark.context(stock=10)


def set_erp_stock(db: Connection, context: Context, quantity: float) -> Any:
    levels = [{"sku": "SKU-000", "quantity": quantity}]
    return call(db, context.erp, "erp_apply_stock", levels=levels)


def test_submitted_order_reserves_its_units(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=4, SKU_001=1))
    assert (stock(db), stock(db, "SKU-001"), stock(db, "SKU-002")) == ((4, 6), (1, 9), (0, 10))


@pytest.mark.parametrize("state", ["SUBMITTED", "PROCESSING", "APPROVED"])
@pytest.mark.parametrize("end", ["CANCELLED", "REJECTED"])
def test_cancelled_or_rejected_order_releases_its_units(
    db: Connection, context: Context, state: str, end: str
) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=4))
    if state == "PROCESSING":
        call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    elif state == "APPROVED":
        approve(db, context, order)
    assert stock(db) == (4, 6)
    if end == "CANCELLED":
        call(db, who, "cancel_order", order_id=order["id"])
    else:
        call(db, context.admin, "reject_order", order_id=order["id"], reason="habis")
    assert stock(db) == (0, 10)


@pytest.mark.parametrize(
    ("erp_stock", "left"), [(10, 6), (4, 0), (3, 0), (0, 0), (-5, 0), (100, 96), (7.9, 3)]
)
def test_stock_sync_keeps_reservations(db: Connection, context: Context, erp_stock: float, left: int) -> None:
    submit(db, context.partners[0], items(SKU_000=4))
    for _ in range(2):
        assert set_erp_stock(db, context, erp_stock)["applied"] == 1
        assert stock(db) == (4, left)


def test_cancellation_with_negative_erp_stock_leaves_nothing_to_sell(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    set_erp_stock(db, context, -5)
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert stock(db) == (0, 0)
    with refused(db, "OUT_OF_STOCK"):
        submit(db, context.partners[0], items(SKU_000=1))


def test_safety_buffer_is_never_sold(db: Connection, context: Context) -> None:
    db.execute("update app.inventory set safety_buffer = 3")
    with refused(db, "OUT_OF_STOCK") as why:
        submit(db, context.partners[0], items(SKU_000=8))
    assert why.details == "SKU-000: 7 left"
    submit(db, context.partners[0], items(SKU_000=7))
    assert stock(db) == (7, 0)


@pytest.mark.parametrize("transitions", [[], ["ship_order"], ["ship_order", "complete_order"]])
def test_acknowledged_units_stay_unavailable_until_the_next_erp_level(
    db: Connection, context: Context, transitions: list[str]
) -> None:
    set_config(db, context, "erp.kind", "csv")
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    for transition in transitions:
        call(db, context.admin, transition, order_id=order["id"])
    assert stock(db) == (4, 6), "in every status, until the ERP acknowledges the order"
    for _ in range(2):
        call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
        assert stock(db) == (0, 6), "the ERP's last level does not contain the order yet"
    set_erp_stock(db, context, 6)
    assert stock(db) == (0, 6), "the new level contains it"


def test_cancellation_after_acknowledgement_leaves_stock_to_the_erp(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    set_erp_stock(db, context, 6)
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert stock(db) == (0, 6)


def test_out_of_stock_refusal_names_units_left_of_each_short_product(
    db: Connection, context: Context
) -> None:
    make_product(db, "SKU-NEW", stock=None)
    submit(db, context.partners[0], items(SKU_001=7))
    with refused(db, "OUT_OF_STOCK") as why:
        submit(db, context.partners[1], items(SKU_000=10, SKU_001=4, SKU_002=11, SKU_NEW=1))
    assert why.details == "SKU-001: 3 left, SKU-002: 10 left, SKU-NEW: 0 left"
    assert (stock(db), stock(db, "SKU-001"), stock(db, "SKU-002")) == ((0, 10), (7, 3), (0, 10))
    assert value(db, "select count(*) from app.orders") == 1


def test_draft_is_checked_for_stock_when_submitted(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=[line("SKU-000", 6), line("SKU-000", 6)])
    with refused(db, "OUT_OF_STOCK") as why:
        call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert why.details == "SKU-000: 10 left"
    assert value(db, "select status::text from app.orders where id = %s", draft["id"]) == "DRAFT"


def test_quote_reports_short_stock_without_refusal(db: Connection, context: Context) -> None:
    quote = call(db, context.partners[0], "quote_order", items=items(SKU_000=10, SKU_001=11))
    assert [(x["in_stock"], x["display_stock"]) for x in quote["lines"]] == [(True, 10), (False, 10)]


@pytest.mark.parametrize(("minutes", "interval", "stale"), [(29, 15, False), (31, 15, True), (31, 60, False)])
def test_stock_is_stale_when_two_syncs_were_missed(
    db: Connection, context: Context, minutes: int, interval: int, stale: bool
) -> None:
    set_config(db, context, "erp.kind", "csv")
    set_config(db, context, "stock.sync_interval_minutes", interval)
    db.execute("update app.inventory set last_sync_at = now() - make_interval(mins => %s)", [minutes])
    assert value(db, "select bool_and(stock_stale) from api.products") is stale
    assert value(db, "select bool_or(stock_stale) from api.products") is stale


@pytest.mark.regression("medusajs/medusa#16502")
@pytest.mark.context(stock=10)
def test_lines_of_one_product_are_checked_against_stock_together(db: Connection, context: Context) -> None:
    """Each line was checked alone against the whole stock."""
    lines = [line("SKU-000", 6), line("SKU-000", 6)]
    code = refusal(db, context.partners[0], "submit_order", items=lines, idempotency_key="k")
    assert code == "OUT_OF_STOCK"
    order = submit(db, context.partners[0], [line("SKU-000", 5), line("SKU-000", 5)])
    assert value(db, "select quantity from app.order_items where order_id = %s", order["id"]) == 10
    assert stock(db)[1] == 0


@pytest.mark.regression("medusajs/medusa#5198")
@pytest.mark.context(stock=10)
def test_draft_reserves_nothing_and_its_submission_reserves_once(db: Connection, context: Context) -> None:
    """Units were reserved for the draft and again for the order that it became."""
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=4))
    assert stock(db)[1] == 10
    call(db, context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert stock(db)[1] == 6
    assert broken_invariants(db) == {}


@pytest.mark.regression("vendurehq/vendure#1557")
@pytest.mark.regression("medusajs/medusa#11131")
@pytest.mark.context(stock=10)
def test_cancelled_draft_releases_nothing(db: Connection, context: Context) -> None:
    """Cancelling an order without an allocation made the reservation negative."""
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=4))
    call(db, context.partners[0], "cancel_order", order_id=draft["id"])
    assert stock(db)[1] == 10
    assert value(db, "select sum(reserved) from app.inventory") == 0
    assert broken_invariants(db) == {}


@pytest.mark.regression("vendurehq/vendure#2874")
@pytest.mark.context(stock=10)
def test_cancelled_order_is_not_reserved_again(db: Connection, context: Context) -> None:
    """Cancelling an order added an allocation."""
    order = submit(db, context.partners[0], items(SKU_000=4))
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert stock(db)[1] == 10
    assert broken_invariants(db) == {}


@pytest.mark.regression("saleor/apps#1175")
@pytest.mark.context(stock=10)
def test_open_order_leaves_the_rest_of_the_stock_for_sale(db: Connection, context: Context) -> None:
    """An unfulfilled order made the next one fail although stock was left."""
    submit(db, context.partners[0], items(SKU_000=4))
    submit(db, context.partners[1], items(SKU_000=6))
    assert stock(db)[1] == 0


@pytest.mark.regression("medusajs/medusa#6500")
@pytest.mark.context(stock=10)
def test_order_that_reserves_all_stock_can_be_shipped(db: Connection, context: Context) -> None:
    """Orders that reserved all stock could not be fulfilled, as none was "available"."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    approve(db, context, order)
    assert call(db, context.admin, "ship_order", order_id=order["id"])["status"] == "SHIPPED"
    assert call(db, context.admin, "complete_order", order_id=order["id"])["status"] == "COMPLETED"
    assert broken_invariants(db) == {}


@pytest.mark.regression("vendurehq/vendure#1210")
@pytest.mark.context(stock=10)
def test_lines_of_a_submitted_order_cannot_be_edited_past_the_stock(db: Connection, context: Context) -> None:
    """Items added to a placed order were never allocated."""
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


@pytest.mark.regression("saleor/saleor#5334")
@pytest.mark.regression("saleor/saleor#9308")
@pytest.mark.context(stock=1000)
def test_reservations_match_orders_after_many_transitions(db: Connection, context: Context) -> None:
    """Some orders were left without an allocation."""
    for i in range(20):
        order = submit(db, context.partners[i % 2], items(SKU_000=1 + i % 4, SKU_001=1))
        if i % 3 == 0:
            call(db, context.partners[i % 2], "cancel_order", order_id=order["id"])
        elif i % 3 == 1:
            approve(db, context, order)
            call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference=f"S{i}")
    assert broken_invariants(db) == {}
