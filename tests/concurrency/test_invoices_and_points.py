"""Payments, points and rewards when everybody comes at the same moment."""

import random
import uuid
from decimal import Decimal
from typing import Any

from tests.support.concurrency import (
    Operation,
    api_call,
    assert_invariants,
    run_concurrently,
    running_repeatedly,
)
from tests.support.context import (
    Caller,
    Connection,
    Context,
    approve,
    call,
    items,
    make_context,
    pay,
    submit,
    value,
)


def billed(conn: Connection, context: Context, who: Caller, quantity: int = 10) -> tuple[Any, Any]:
    order = submit(conn, who, items(SKU_000=quantity))
    return order, approve(conn, context, order)


def paying(context: Context, invoice: Any, amount: Any, reference: str | None = None) -> Operation:
    return lambda conn: pay(conn, context, invoice, amount, reference or str(uuid.uuid4()))


def test_thirty_payments_at_once_never_overshoot_the_invoice(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    _, invoice = billed(conn, context, context.partners[0])
    run = run_concurrently(url, [paying(context, invoice, invoice["amount"] * 7 / 100)] * 30)
    assert len(run.succeeded) == 14
    assert run.refusals == {"PAYMENT_EXCEEDS_DUE": 16}
    paid = value(conn, "select amount_paid from app.invoices")
    assert paid == invoice["amount"] * 98 / 100
    run = run_concurrently(url, [paying(context, invoice, invoice["amount"] * 2 / 100)] * 30)
    assert len(run.succeeded) == 1
    assert run.refusals == {"INVOICE_CLOSED": 29}
    assert value(conn, "select status::text from app.invoices") == "PAID"
    assert value(conn, "select count(*) from app.point_queue") == 1
    assert_invariants(conn)


def test_one_reference_recorded_by_twenty_people_counts_once(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    _, invoice = billed(conn, context, context.partners[0])
    bulk = [
        {
            "invoice_number": invoice["invoice_number"],
            "amount": float(invoice["amount"] / 2),
            "reference_number": "BCA-1",
        }
    ]
    operations = [paying(context, invoice, invoice["amount"] / 2, "BCA-1")] * 10
    operations += [api_call(context.erp, "erp_apply_payments", payments=bulk)] * 10
    run = run_concurrently(url, operations)
    assert not run.refusals
    fresh = [
        o
        for o in run.succeeded
        if (o[0]["result"] == "APPLIED" if isinstance(o, list) else not o["duplicate"])
    ]
    assert len(fresh) == 1
    assert value(conn, "select amount_paid from app.invoices") == invoice["amount"] / 2
    assert_invariants(conn)


def test_the_last_payment_and_a_cancellation_together(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    who = context.partners[0]
    paid = 0
    with running_repeatedly(url, lambda c: value(c, "select jobs.process_point_queue()")):
        for i in range(12):
            order, invoice = billed(conn, context, who)
            pay(conn, context, invoice, 1)
            operations: list[Operation] = [paying(context, invoice, invoice["amount"] - 1)]
            if i % 2:
                operations.append(
                    api_call(context.admin2, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
                )
            else:
                operations.append(api_call(who, "cancel_order", order_id=order["id"]))
            run = run_concurrently(url, operations)
            assert set(run.refusals) <= {"INVOICE_CLOSED"}
            paid += not run.refusals
            state = "select status::text, amount_paid from app.invoices where id = %s"
            status, amount = conn.execute(state, [invoice["id"]]).fetchone() or ("", 0)
            assert status == "CANCELLED", "it was cancelled before or after the payment"
            assert amount == (1 if run.refusals else invoice["amount"])
    value(conn, "select jobs.process_point_queue()")
    assert value(conn, "select point_balance from app.partners") == 0
    assert value(conn, "select credit_used from app.partners") == 0
    assert_invariants(conn)


def test_the_point_queue_run_by_several_while_invoices_are_cancelled(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=6, stock=10_000)
    invoices = [billed(conn, context, who)[1] for who in context.partners for _ in range(5)]
    for invoice in invoices:
        pay(conn, context, invoice)
    doomed = invoices[::3]
    operations: list[Operation] = [lambda c: value(c, "select jobs.process_point_queue(7)")] * 6
    operations += [
        api_call(context.admin, "cancel_invoice", invoice_id=v["id"], reason="retur") for v in doomed
    ]
    run_concurrently(url, operations)
    while value(conn, "select jobs.process_point_queue()"):
        pass
    earned = value(
        conn, "select count(*) from app.point_transactions where type = 'EARNED' and invoice_id is not null"
    )
    taken = value(
        conn, "select count(*) from app.point_transactions where type = 'ADJUSTED' and invoice_id is not null"
    )
    assert earned - taken == len(invoices) - len(doomed)
    assert_invariants(conn)


def test_the_last_reward_goes_to_one(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=20)
    for who in context.partners:
        call(conn, context.admin, "adjust_points", partner_id=who.sub, points=1000, reason="start")

    def redeeming(who: Caller, key: str) -> Operation:
        return api_call(who, "redeem_reward", reward_id=context.rewards[1], idempotency_key=key)

    run = run_concurrently(url, [redeeming(who, "k") for who in context.partners])
    assert len(run.succeeded) == 1
    assert run.refusals == {"REWARD_UNAVAILABLE": 19}
    assert value(conn, "select min(stock_available) from app.redemption_catalog") == 0
    assert_invariants(conn)


def test_points_for_one_reward_buy_one(url: str, conn: Connection) -> None:
    """Two redemptions, a negative balance: odoo/odoo PR 249775."""
    context = make_context(conn, partners=1)
    who = context.partners[0]
    call(conn, context.admin, "adjust_points", partner_id=who.sub, points=50, reason="start")
    keys = ["a", "a", "b", "c", "d", "e"]
    operations: list[Operation] = [
        api_call(who, "redeem_reward", reward_id=context.rewards[0], idempotency_key=k) for k in keys
    ]
    operations += [
        lambda c: submit(c, who, items(SKU_000=1), points=50),
        api_call(context.admin, "adjust_points", partner_id=who.sub, points=-50, reason="fix"),
    ]
    run = run_concurrently(url, operations)
    assert len({o["id"] for o in run.succeeded}) == 1
    assert set(run.refusals) == {"POINTS_INSUFFICIENT"}
    assert value(conn, "select point_balance from app.partners") == 0
    assert_invariants(conn)


def test_a_redemption_is_cancelled_once_by_many(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    who = context.partners[0]
    call(conn, context.admin, "adjust_points", partner_id=who.sub, points=50, reason="start")
    taken = call(conn, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="a")
    operations: list[Operation] = [
        api_call(context.admin, "advance_redemption", redemption_id=taken["id"], status=s)
        for s in ["CANCELLED"] * 8 + ["SHIPPED"] * 2
    ]
    run = run_concurrently(url, operations)
    assert len(run.succeeded) == 1
    assert run.refusals == {"ILLEGAL_TRANSITION": 9}
    assert_invariants(conn)


def test_the_trail_misses_nothing_and_doubles_nothing_while_it_is_flushed(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=8, stock=10_000)

    def busy(who: Caller) -> Operation:
        def operation(c: Connection) -> int:
            for i in range(12):
                order = submit(c, who, items(SKU_000=1 + i % 3, SKU_001=1))
                if i % 3 == 0:
                    call(c, who, "cancel_order", order_id=order["id"])
            return 12

        return operation

    flush: Operation = lambda c: value(c, "select app.flush_audit_buffer(5)")  # noqa: E731
    with running_repeatedly(url, flush) as first, running_repeatedly(url, flush) as second:
        run_concurrently(url, [busy(who) for who in context.partners])
    assert sum(first) > 0
    assert sum(second) > 0
    while value(conn, "select app.flush_audit_buffer(100000)"):
        pass
    for table in ("orders", "order_items", "partners"):
        told = conn.execute(
            "select count(*), count(distinct target_id) from app.audit_logs"
            " where target_type = %s and action = 'INSERT'",
            [table],
        ).fetchone()
        there = value(conn, f"select count(*) from app.{table}")
        assert told == (there, there), table
    changes = value(
        conn, "select count(*) from app.audit_logs where target_type = 'orders' and action = 'UPDATE'"
    )
    assert changes == 8 * 4, "each cancellation once"
    assert_invariants(conn)


def test_sets_of_payments_in_opposite_order_do_not_deadlock(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=10, stock=10_000)
    invoices = [billed(conn, context, who)[1] for who in context.partners for _ in range(3)]
    chance = random.Random(5)  # noqa: S311

    def bulk(name: str) -> Operation:
        payments = [
            {
                "invoice_number": v["invoice_number"],
                "amount": 1000,
                "reference_number": f"{name}-{v['invoice_number']}",
            }
            for v in chance.sample(invoices, len(invoices))
        ]
        return api_call(context.erp, "erp_apply_payments", payments=payments)

    run = run_concurrently(url, [bulk(f"B{i}") for i in range(8)])
    assert {r["result"] for answers in run.succeeded for r in answers} == {"APPLIED"}
    assert value(conn, "select sum(amount_paid) from app.invoices") == Decimal(1000 * 8 * 30)
    assert_invariants(conn)
