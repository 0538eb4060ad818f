"""Loyalty points: what went wrong in other systems, and in this one before it was tested so."""

from typing import Any

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
    submit,
    value,
)


def _two_invoices(db: Connection) -> tuple[Context, list[dict[str, Any]], int]:
    """An order billed in two unequal parts; returns its context, the invoices and the promise."""
    context = make_context(db)
    order = submit(db, context.partners[0], items(SKU_000=10))
    call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    call(db, context.admin, "approve_order", order_id=order["id"])
    first = value(db, "select id from app.invoices where order_id = %s", order["id"])
    call(db, context.admin, "cancel_invoice", invoice_id=first, reason="two deliveries")
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
    return context, invoices, order["points_earned"]


def test_the_first_of_two_paid_invoices_does_not_take_the_other_ones_points(db: Connection) -> None:
    """Found here: both paid before the queue ran, the first vested the whole promise, the second nothing.

    Cancelling the second then took nothing back.
    """
    context, invoices, promise = _two_invoices(db)
    for invoice in invoices:
        pay(db, context, invoice)
    value(db, "select jobs.process_point_queue()")
    vested = "select points from app.point_transactions where invoice_id = %s and type = 'EARNED'"
    assert [value(db, vested, i["id"]) for i in invoices] == [promise * 3 // 10, promise - promise * 3 // 10]
    assert broken_invariants(db) == {}


def test_a_promise_is_not_rounded_down_on_its_way(db: Connection) -> None:
    """Found here: 500,000 / 15,000 x 1.2 was 39.999... and promised 39 points instead of 40."""
    context = make_context(db)
    call(db, context.admin, "set_config", config_key="loyalty.rupiah_per_point", config_value=15000)
    assert submit(db, context.partners[1], items(SKU_000=5))["points_earned"] == 40
    assert broken_invariants(db) == {}


def test_a_promise_beyond_the_ledgers_columns_is_no_server_error(db: Connection) -> None:
    """Found here: one rupiah a point and a big order overflowed the column: a 500 for the partner."""
    context = make_context(db, credit=10**12, stock=100_000)
    call(db, context.admin, "set_config", config_key="loyalty.rupiah_per_point", config_value=1)
    assert submit(db, context.partners[0], items(SKU_000=100_000))["points_earned"] == 1_000_000_000
    assert broken_invariants(db) == {}


def _paid(db: Connection) -> tuple[Context, dict[str, Any], dict[str, Any]]:
    context = make_context(db)
    order = submit(db, context.partners[0], items(SKU_000=10))
    invoice = approve(db, context, order)
    pay(db, context, invoice, None, "BCA 1")
    value(db, "select jobs.process_point_queue()")
    return context, order, invoice


def _balance(db: Connection, context: Context) -> int:
    return int(value(db, "select point_balance from app.partners where id = %s", context.partners[0].sub))


def test_points_are_not_awarded_again_on_settlement_or_on_a_second_run(db: Connection) -> None:
    """Awarded at the order and again at settlement: odoo/odoo PR 214137."""
    context, order, _ = _paid(db)
    assert _balance(db, context) == 100
    for move in ("ship_order", "complete_order"):
        call(db, context.admin, move, order_id=order["id"])
        value(db, "select jobs.process_point_queue()")
    assert _balance(db, context) == 100


def test_a_payment_confirmed_again_after_a_network_fault_awards_nothing(db: Connection) -> None:
    """The confirmation came twice: odoo/odoo PR 222372."""
    context, _, invoice = _paid(db)
    assert pay(db, context, invoice, None, "BCA 1")["duplicate"]
    value(db, "select jobs.process_point_queue()")
    assert _balance(db, context) == 100
    assert broken_invariants(db) == {}


def test_points_of_returned_goods_go_back(db: Connection) -> None:
    """Buy, earn, return, keep the points, again: frappe/erpnext#32951, odoo/odoo PR 257854."""
    context, _, invoice = _paid(db)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert _balance(db, context) == 0
    value(db, "select jobs.process_point_queue()")
    assert _balance(db, context) == 0
    assert broken_invariants(db) == {}


def test_points_used_come_back_once_and_are_not_taken_again(db: Connection) -> None:
    """Taken a second time by the refund: odoo/odoo PR 212922, PR 221928; not given back: wpswings#112."""
    context = make_context(db)
    who = context.partners[0]
    call(db, context.admin, "adjust_points", partner_id=who.sub, points=500, reason="start")
    order = submit(db, who, items(SKU_000=10), points=300)
    invoice = approve(db, context, order)
    pay(db, context, invoice)
    value(db, "select jobs.process_point_queue()")
    assert _balance(db, context) == 500 - 300 + 97
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert _balance(db, context) == 200
    call(db, who, "cancel_order", order_id=order["id"])
    assert _balance(db, context) == 500
    assert broken_invariants(db) == {}


def test_points_buy_a_discount_only_when_they_are_taken(db: Connection) -> None:
    """The discount was given, the points were not taken: frappe/erpnext#59050."""
    context = make_context(db)
    who = context.partners[0]
    call(db, context.admin, "adjust_points", partner_id=who.sub, points=500, reason="start")
    order = submit(db, who, items(SKU_000=10), points=300)
    assert order["point_discount"] == 30_000
    assert _balance(db, context) == 200
    code = refusal(
        db, who, "submit_order", items=items(SKU_000=10), points=300, idempotency_key="beyond the balance"
    )
    assert code == "POINTS_INSUFFICIENT"
    draft = call(db, who, "save_draft", items=items(SKU_000=10))
    done = call(db, who, "submit_draft", order_id=draft["id"], points=200, idempotency_key="k")
    assert done["point_discount"] == 20_000
    assert _balance(db, context) == 0
    assert broken_invariants(db) == {}


def test_a_part_payment_vests_nothing(db: Connection) -> None:
    """Vesting hangs on the last rupiah, and a cancelled invoice never comes to it."""
    context = make_context(db)
    order = submit(db, context.partners[0], items(SKU_000=10))
    invoice = approve(db, context, order)
    pay(db, context, invoice, invoice["amount"] - 1)
    value(db, "select jobs.process_point_queue()")
    assert _balance(db, context) == 0
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    value(db, "select jobs.process_point_queue()")
    assert _balance(db, context) == 0
    assert broken_invariants(db) == {}


def test_spent_points_that_are_taken_back_leave_a_debt_not_an_error(db: Connection) -> None:
    """The design's answer to earn, spend, return: below zero, and nothing is bought until it is made good."""
    context, _, invoice = _paid(db)
    who = context.partners[0]
    call(db, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert _balance(db, context) == -50
    code = refusal(db, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="l")
    assert code == "POINTS_INSUFFICIENT"
    assert broken_invariants(db) == {}
