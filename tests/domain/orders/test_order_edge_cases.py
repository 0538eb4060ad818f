"""Orders whose lives nobody planned: after each every promise holds."""

from decimal import Decimal

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
    serving,
    shadow,
    submit,
    value,
)


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db, stock=10)


@pytest.mark.parametrize("blank", ["\t", "\n", "\u00a0"])
def test_a_reference_of_nothing_visible_counts_once(db: Connection, context: Context, blank: str) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    row = {"invoice_number": invoice["invoice_number"], "amount": 1, "reference_number": blank}
    for _ in "ab":
        call(db, context.erp, "erp_apply_payments", payments=[row])
    assert value(db, "select count(*) from app.invoice_payments") <= 1


def test_fractions_of_rupiah_and_points_add_up_through_payments_and_cancellations(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    for key, number in (
        ("loyalty.point_value_rupiah", 0.015),
        ("order.minimum_threshold", 0),
        ("loyalty.rupiah_per_point", 1.37),
        ("loyalty.multiplier.silver", 0.333),
    ):
        call(db, context.admin, "set_config", config_key=key, config_value=number)
    call(db, context.admin, "adjust_points", partner_id=who.sub, points=1000, reason="x")
    goods = [
        {"sku": "SKU-000", "name": "a sen", "base_price": 0.01},
        {"sku": "SKU-001", "name": "nothing", "base_price": 0},
    ]
    call(db, context.erp, "erp_apply_products", products=goods)
    sen = submit(db, who, items(SKU_000=3), points=1)
    free = submit(db, who, items(SKU_001=3))
    dear = submit(db, who, items(SKU_002=3, SKU_000=1), points=7)
    assert broken_invariants(db) == {}
    bills = {order["id"]: approve(db, context, order) for order in (sen, free, dear)}
    pay(db, context, bills[dear["id"]], Decimal("0.01"))
    pay(db, context, bills[dear["id"]], Decimal(bills[dear["id"]]["amount"]) - Decimal("0.01"))
    db.execute("select jobs.process_point_queue()")
    assert broken_invariants(db) == {}
    for order in (free, dear):
        call(db, context.admin, "cancel_invoice", invoice_id=bills[order["id"]]["id"], reason="x")
    db.execute("select jobs.process_point_queue()")
    call(db, context.erp, "erp_ack_order", order_id=dear["id"], erp_reference="C")
    for order in (dear, free):
        call(db, who, "cancel_order", order_id=order["id"])
    call(db, context.erp, "erp_ack_order", order_id=free["id"], erp_reference="B")
    call(db, context.erp, "erp_ack_cancellation", order_id=free["id"], outcome="REFUSED")
    call(db, context.admin, "cancel_invoice", invoice_id=bills[sen["id"]]["id"], reason="x")
    call(db, context.admin, "ship_order", order_id=sen["id"])
    call(db, context.admin, "complete_order", order_id=sen["id"])
    assert broken_invariants(db) == {}


def test_released_to_nobody_declined_after_acceptance_suspended_and_approved_all_the_same(
    db: Connection,
) -> None:
    context = make_context(db, credit=50_000)
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


def test_a_cancelled_redemption_is_what_its_key_tells_again(db: Connection, context: Context) -> None:
    who = context.partners[0]
    call(db, context.admin, "adjust_points", partner_id=who.sub, points=100, reason="x")
    asked = {"reward_id": context.rewards[0], "idempotency_key": "k"}
    taken = call(db, who, "redeem_reward", **asked)
    cancel = {"redemption_id": taken["id"], "status": "CANCELLED"}
    call(db, context.admin, "advance_redemption", **cancel)
    again = call(db, who, "redeem_reward", **asked)
    assert (again["id"], again["status"]) == (taken["id"], "CANCELLED")
    assert refusal(db, context.admin, "advance_redemption", **cancel) == "ILLEGAL_TRANSITION"
    assert broken_invariants(db) == {}


def test_a_draft_costs_what_tier_and_list_say_when_it_is_submitted(db: Connection, context: Context) -> None:
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
    # The tier of the submission counts for its points, whatever he is when he pays.
    db.execute("update app.partners set tier = 'PLATINUM' where id = %s", [who.sub])
    pay(db, context, approve(db, context, order))
    db.execute("select jobs.process_point_queue()")
    assert value(db, "select points from app.point_transactions where type = 'EARNED'") == 111
    assert broken_invariants(db) == {}


def test_units_of_a_dead_order_that_the_erp_took_over_late_are_counted_once(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    dead = submit(db, who, items(SKU_000=4))
    approve(db, context, dead)
    call(db, who, "cancel_order", order_id=dead["id"])
    resold = submit(db, who, items(SKU_000=10))
    call(db, context.erp, "erp_ack_order", order_id=dead["id"], erp_reference="A")
    stock = (
        "select erp_stock, reserved, display_stock from app.inventory s"
        " join app.products p on p.id = s.product_id where sku = 'SKU-000'"
    )
    assert db.execute(stock).fetchall() == [(6, 10, 0)]
    call(db, who, "cancel_order", order_id=resold["id"])
    assert db.execute(stock).fetchall() == [(6, 0, 6)]
    assert broken_invariants(db) == {}


def test_a_key_that_the_partner_used_is_his_order_for_his_agent_too(db: Connection, context: Context) -> None:
    who = context.partners[0]
    asked = {"items": items(SKU_000=1), "idempotency_key": "k"}
    order = call(db, who, "submit_order", **asked)
    again = call(db, shadow(db, context.agents[0], who), "submit_order", **asked)
    assert (again["id"], again["submission_type"]) == (order["id"], "SELF")
    assert value(db, "select count(*) from app.impersonation_notifications") == 0
    assert broken_invariants(db) == {}


@pytest.mark.parametrize("gone", ["is_active = false", "deleted_at = now()"])
def test_the_order_of_an_account_that_is_closed_is_still_delivered_and_paid(
    db: Connection, context: Context, gone: str
) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=1))
    db.execute(f"update app.partners set {gone} where id = %s".encode(), [who.sub])
    assert refusal(db, who, "cancel_order", order_id=order["id"]) == "ACCOUNT_INACTIVE"
    call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    pay(db, context, approve(db, context, order))
    db.execute("select jobs.process_point_queue()")
    assert broken_invariants(db) == {}
