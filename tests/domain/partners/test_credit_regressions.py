"""Credit limits: what went wrong in other systems."""

import pytest

from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    pay,
    refusal,
    shadow,
    submit,
    value,
)


@pytest.fixture
def context(db: Connection) -> Context:
    """A limit of one million; a unit of SKU-000 costs 100,000."""
    made = make_context(db, credit=1_000_000)
    call(db, made.admin, "set_config", config_key="credit.over_limit_policy", config_value="BLOCK")
    return made


def used(db: Connection, context: Context) -> int:
    return int(value(db, "select credit_used from app.partners where id = %s", context.partners[0].sub))


def blocked(db: Connection, context: Context, units: int) -> bool:
    who = context.partners[0]
    lines = items(SKU_000=units)
    code = refusal(db, who, "submit_order", items=lines, idempotency_key=f"try {units}")
    assert code in ("", "CREDIT_LIMIT_EXCEEDED")
    return bool(code)


def test_a_closed_order_cannot_be_reopened_past_the_limit(db: Connection, context: Context) -> None:
    """Close an order, place another, reopen the first: frappe/erpnext#33967. Here nothing dead reopens."""
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=8))
    call(db, who, "cancel_order", order_id=order["id"])
    submit(db, who, items(SKU_000=8))
    for function in ("approve_order", "ship_order"):
        assert refusal(db, context.admin, function, order_id=order["id"]) == "ILLEGAL_TRANSITION"
    code = refusal(db, who, "submit_draft", order_id=order["id"], idempotency_key="again")
    assert code == "ILLEGAL_TRANSITION"
    assert used(db, context) == 800_000
    assert broken_invariants(db) == {}


def test_no_path_to_an_order_skips_the_check(db: Connection, context: Context) -> None:
    """The check stood on one path only: Vauxoo/addons-vauxoo#1081."""
    who = context.partners[0]
    submit(db, who, items(SKU_000=9))
    draft = call(db, who, "save_draft", items=items(SKU_000=2))
    acting = shadow(db, context.agents[0], who)
    ways = [
        (who, "submit_order", {"items": items(SKU_000=2)}),
        (who, "submit_draft", {"order_id": draft["id"]}),
        (acting, "submit_order", {"items": items(SKU_000=2)}),
        (acting, "submit_draft", {"order_id": draft["id"]}),
    ]
    for caller, function, arguments in ways:
        code = refusal(db, caller, function, idempotency_key="k", **arguments)
        assert code == "CREDIT_LIMIT_EXCEEDED", function
    assert used(db, context) == 900_000


def test_orders_that_are_not_yet_delivered_or_billed_count(db: Connection, context: Context) -> None:
    """Confirmed but undelivered orders were not counted: odoo/odoo PR 285578."""
    order = submit(db, context.partners[0], items(SKU_000=6))
    assert blocked(db, context, 5)
    invoice = approve(db, context, order)
    assert blocked(db, context, 5), "billed now"
    call(db, context.admin, "ship_order", order_id=order["id"])
    assert blocked(db, context, 5), "shipped now"
    pay(db, context, invoice, 100_000)
    assert not blocked(db, context, 5), "what is paid is free again"
    assert used(db, context) == 1_000_000


def test_the_sum_of_orders_is_checked_not_each_alone(db: Connection, context: Context) -> None:
    """Only the current order was counted: medusajs/b2b-starter-medusa#144."""
    submit(db, context.partners[0], items(SKU_000=6))
    submit(db, context.partners[0], items(SKU_000=4))
    assert blocked(db, context, 1)


def test_a_limit_of_zero_is_no_credit_not_endless_credit(db: Connection, context: Context) -> None:
    """Zero meant unlimited: medusajs/b2b-starter-medusa#144."""
    db.execute("update app.partners set credit_limit = 0 where id = %s", [context.partners[0].sub])
    assert blocked(db, context, 1)


def test_an_order_is_not_counted_twice_against_the_limit_it_just_fits(
    db: Connection, context: Context
) -> None:
    """The document being submitted was added to an outstanding that held it already: frappe/erpnext#47279."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    assert not order["is_over_limit"]
    approve(db, context, order)
    assert used(db, context) == 1_000_000


def test_credit_is_given_back_once(db: Connection, context: Context) -> None:
    """Given back at cancellation and again at the refund: magento/magento2#38815, #39744."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    invoice = approve(db, context, order)
    pay(db, context, invoice, 400_000)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert used(db, context) == 0
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    code = refusal(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="again")
    assert code == "INVOICE_CLOSED"
    assert used(db, context) == 0
    assert broken_invariants(db) == {}


def test_the_promise_to_a_blocked_buyer_is_the_same_in_the_quote(db: Connection, context: Context) -> None:
    """A check at confirmation that the shopper never sees coming: frappe/erpnext#10861."""
    told = call(db, context.partners[0], "quote_order", items=items(SKU_000=11))
    assert told["is_over_limit"]
    assert blocked(db, context, 11)


def test_a_lowered_limit_stops_new_orders_and_keeps_old_ones(db: Connection, context: Context) -> None:
    """Changing the limit was refused or ignored because of what was open: frappe/erpnext PR 30110."""
    order = submit(db, context.partners[0], items(SKU_000=8))
    db.execute("update app.partners set credit_limit = 100000 where id = %s", [context.partners[0].sub])
    assert blocked(db, context, 1)
    assert approve(db, context, order)["amount"] == 800_000
    assert broken_invariants(db) == {}
