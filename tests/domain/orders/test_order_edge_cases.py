"""Unusual sequences of transitions, after which every invariant holds."""

from decimal import Decimal

import pytest

from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    grant_points,
    items,
    pay,
    refusal,
    routed_subdist,
    set_config,
    shadow,
    submit,
    value,
)
from tests.support.queries import vest_points

pytestmark = pytest.mark.context(stock=10)


@pytest.mark.parametrize("blank", ["\t", "\n", "\u00a0"])
def test_invisible_payment_reference_is_booked_at_most_once(
    db: Connection, context: Context, blank: str
) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    row = {"invoice_number": invoice["invoice_number"], "amount": 1, "reference_number": blank}
    for _ in "ab":
        call(db, context.erp, "erp_apply_payments", payments=[row])
    assert value(db, "select count(*) from app.invoice_payments") <= 1


def test_invariants_hold_with_fractions_of_rupiah_and_points(db: Connection, context: Context) -> None:
    who = context.partners[0]
    for key, number in (
        ("loyalty.point_value_rupiah", 0.015),
        ("order.minimum_threshold", 0),
        ("loyalty.rupiah_per_point", 1.37),
        ("loyalty.multiplier.silver", 0.333),
    ):
        set_config(db, context, key, number)
    grant_points(db, context, who, 1000)
    products = [
        {"sku": "SKU-000", "name": "a sen", "base_price": 0.01},
        {"sku": "SKU-001", "name": "nothing", "base_price": 0},
    ]
    call(db, context.erp, "erp_apply_products", products=products)
    sen = submit(db, who, items(SKU_000=3), points=1)
    free = submit(db, who, items(SKU_001=3))
    costly = submit(db, who, items(SKU_002=3, SKU_000=1), points=7)
    assert broken_invariants(db) == {}
    invoices = {order["id"]: approve(db, context, order) for order in (sen, costly)}
    call(db, routed_subdist(db, free), "respond_order", order_id=free["id"], decision="ACCEPT")
    call(db, context.admin, "approve_order", order_id=free["id"])  # without an invoice
    pay(db, context, invoices[costly["id"]], Decimal("0.01"))
    pay(db, context, invoices[costly["id"]], Decimal(invoices[costly["id"]]["amount"]) - Decimal("0.01"))
    vest_points(db)
    assert broken_invariants(db) == {}
    call(db, context.admin, "cancel_invoice", invoice_id=invoices[costly["id"]]["id"], reason="x")
    vest_points(db)
    call(db, context.erp, "erp_ack_order", order_id=costly["id"], erp_reference="C")
    for order in (costly, free):
        call(db, who, "cancel_order", order_id=order["id"])
    call(db, context.erp, "erp_ack_order", order_id=free["id"], erp_reference="B")
    call(db, context.erp, "erp_ack_cancellation", order_id=free["id"], outcome="REFUSED")
    call(db, context.admin, "cancel_invoice", invoice_id=invoices[sen["id"]]["id"], reason="x")
    again = {"order_id": sen["id"], "amount": invoices[sen["id"]]["amount"], "reason": "x"}
    call(db, context.admin, "issue_invoice", **again, idempotency_key="k")
    call(db, context.admin, "ship_order", order_id=sen["id"])
    call(db, context.admin, "complete_order", order_id=sen["id"])
    assert broken_invariants(db) == {}


@pytest.mark.context(credit=50_000)
def test_invariants_hold_when_an_unroutable_order_is_released_declined_and_approved(
    db: Connection,
    context: Context,
) -> None:
    first = context.subdists[0]
    order = submit(db, context.partners[0], items(SKU_000=1))
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    call(db, context.admin, "release_order", order_id=order["id"], reason="x")
    assert broken_invariants(db) == {}
    db.execute("update app.sub_distributors set status = 'ACTIVE'")
    for decision in ("ACCEPT", "DECLINE"):
        if decision == "ACCEPT":
            call(db, context.admin, "reroute_order", order_id=order["id"], subdist_id=first.sub)
        call(db, first, "respond_order", order_id=order["id"], decision=decision)
    call(db, context.admin, "reroute_order", order_id=order["id"], subdist_id=first.sub)
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    assert broken_invariants(db) == {}
    call(db, context.admin, "approve_order", order_id=order["id"])
    assert broken_invariants(db) == {}


def test_key_of_a_cancelled_redemption_returns_that_redemption(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 100)
    request = {"reward_id": context.rewards[0], "idempotency_key": "k"}
    taken = call(db, who, "redeem_reward", **request)
    cancel = {"redemption_id": taken["id"], "status": "CANCELLED"}
    call(db, context.admin, "advance_redemption", **cancel)
    again = call(db, who, "redeem_reward", **request)
    assert (again["id"], again["status"]) == (taken["id"], "CANCELLED")
    assert refusal(db, context.admin, "advance_redemption", **cancel) == "ILLEGAL_TRANSITION"
    assert broken_invariants(db) == {}


def test_draft_is_priced_by_tier_and_prices_at_submission(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=10, SKU_001=1))
    db.execute(
        "insert into app.tier_prices (product_id, tier, price, min_qty_discount, discount_price)"
        " values (%s, 'GOLD', 90000, 10, 80000.50)",
        [context.products["SKU-000"]],
    )
    db.execute("update app.partners set tier = 'GOLD' where id = %s", [who.sub])
    order = call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert order["grand_total"] == 800_005 + 125_000
    # The points follow the tier at submission, not the tier at payment.
    db.execute("update app.partners set tier = 'PLATINUM' where id = %s", [who.sub])
    pay(db, context, approve(db, context, order))
    vest_points(db)
    assert value(db, "select points from app.point_transactions where type = 'EARNED'") == 111
    assert broken_invariants(db) == {}


def test_units_of_a_cancelled_order_acknowledged_late_are_subtracted_once(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    cancelled = submit(db, who, items(SKU_000=4))
    approve(db, context, cancelled)
    call(db, who, "cancel_order", order_id=cancelled["id"])
    resold = submit(db, who, items(SKU_000=10))
    call(db, context.erp, "erp_ack_order", order_id=cancelled["id"], erp_reference="A")
    levels = (
        "select erp_stock, reserved, display_stock from app.inventory s"
        " join app.products p on p.id = s.product_id where sku = 'SKU-000'"
    )
    assert db.execute(levels).fetchall() == [(6, 10, 0)]
    call(db, who, "cancel_order", order_id=resold["id"])
    assert db.execute(levels).fetchall() == [(6, 0, 6)]
    assert broken_invariants(db) == {}


def test_key_used_by_the_partner_returns_that_order_to_the_agent(db: Connection, context: Context) -> None:
    who = context.partners[0]
    request = {"items": items(SKU_000=1), "idempotency_key": "k"}
    order = call(db, who, "submit_order", **request)
    again = call(db, shadow(db, context.agents[0], who), "submit_order", **request)
    assert (again["id"], again["submission_type"]) == (order["id"], "SELF")
    assert value(db, "select count(*) from app.impersonation_notifications") == 0
    assert broken_invariants(db) == {}


def test_order_of_an_inactive_account_can_be_delivered_and_paid(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=1))
    db.execute("update app.partners set is_active = false where id = %s", [who.sub])
    assert refusal(db, who, "cancel_order", order_id=order["id"]) == "ACCOUNT_INACTIVE"
    call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    pay(db, context, approve(db, context, order))
    vest_points(db)
    assert broken_invariants(db) == {}
