"""Payments, points, rewards and the audit log under concurrent calls."""

import random
import uuid
from decimal import Decimal
from typing import Any

import pytest

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
    adjust_points,
    approve,
    call,
    items,
    make_context,
    pay,
    submit,
    value,
)
from tests.support.queries import run_job


def invoiced_order(
    conn: Connection, context: Context, partner: Caller, quantity: int = 10
) -> tuple[Any, Any]:
    order = submit(conn, partner, items(SKU_000=quantity))
    return order, approve(conn, context, order)


def payment_operation(context: Context, invoice: Any, amount: Any, reference: str | None = None) -> Operation:
    return lambda conn: pay(conn, context, invoice, amount, reference or str(uuid.uuid4()))


def test_concurrent_payments_never_exceed_the_invoice_amount(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    _, invoice = invoiced_order(conn, context, context.partners[0])
    run = run_concurrently(url, [payment_operation(context, invoice, invoice["amount"] * 7 / 100)] * 30)
    assert len(run.succeeded) == 14
    assert run.refusals == {"PAYMENT_EXCEEDS_DUE": 16}
    paid = value(conn, "select amount_paid from app.invoices")
    assert paid == invoice["amount"] * 98 / 100
    run = run_concurrently(url, [payment_operation(context, invoice, invoice["amount"] * 2 / 100)] * 30)
    assert len(run.succeeded) == 1
    assert run.refusals == {"INVOICE_CLOSED": 29}
    assert value(conn, "select status::text from app.invoices") == "PAID"
    assert value(conn, "select count(*) from app.point_queue") == 1
    assert_invariants(conn)


def test_payment_reference_recorded_concurrently_counts_once(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    _, invoice = invoiced_order(conn, context, context.partners[0])
    payments = [
        {
            "invoice_number": invoice["invoice_number"],
            "amount": float(invoice["amount"] / 2),
            "reference_number": "BCA-1",
        }
    ]
    operations = [payment_operation(context, invoice, invoice["amount"] / 2, "BCA-1")] * 10
    operations += [api_call(context.erp, "erp_apply_payments", payments=payments)] * 10
    run = run_concurrently(url, operations)
    assert not run.refusals
    applied = [
        o
        for o in run.succeeded
        if (o[0]["result"] == "APPLIED" if isinstance(o, list) else not o["duplicate"])
    ]
    assert len(applied) == 1
    assert value(conn, "select amount_paid from app.invoices") == invoice["amount"] / 2
    assert_invariants(conn)


def test_concurrent_last_payment_and_cancellation_leave_no_points_and_no_used_credit(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    with running_repeatedly(url, lambda c: run_job(c, "point-queue")):
        for i in range(12):
            order, invoice = invoiced_order(conn, context, partner)
            pay(conn, context, invoice, 1)
            operations: list[Operation] = [payment_operation(context, invoice, invoice["amount"] - 1)]
            if i % 2:
                operations.append(
                    api_call(context.admin2, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
                )
            else:
                operations.append(api_call(partner, "cancel_order", order_id=order["id"]))
            run = run_concurrently(url, operations)
            assert set(run.refusals) <= {"INVOICE_CLOSED"}
            state = "select status::text, amount_paid from app.invoices where id = %s"
            status, amount = conn.execute(state, [invoice["id"]]).fetchone() or ("", 0)
            assert status == "CANCELLED", "it is cancelled, whether before or after the payment"
            assert amount == (1 if run.refusals else invoice["amount"])
            if i % 2:  # otherwise the order is to be billed again
                call(conn, partner, "cancel_order", order_id=order["id"])
    run_job(conn, "point-queue")
    assert value(conn, "select point_balance from app.partners") == 0
    assert value(conn, "select credit_used from app.partners") == 0
    assert_invariants(conn)


def test_concurrent_point_queue_runs_leave_points_only_for_invoices_not_cancelled(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=6, stock=10_000)
    invoices = [invoiced_order(conn, context, partner)[1] for partner in context.partners for _ in range(5)]
    for invoice in invoices:
        pay(conn, context, invoice)
    cancelled = invoices[::3]
    operations: list[Operation] = [lambda c: c.execute("call jobs.process_point_queue(7)")] * 6
    operations += [
        api_call(context.admin, "cancel_invoice", invoice_id=v["id"], reason="retur") for v in cancelled
    ]
    run_concurrently(url, operations)
    run_job(conn, "point-queue")
    earned = value(
        conn, "select count(*) from app.point_transactions where type = 'EARNED' and invoice_id is not null"
    )
    reversed_points = value(
        conn, "select count(*) from app.point_transactions where type = 'ADJUSTED' and invoice_id is not null"
    )
    assert earned - reversed_points == len(invoices) - len(cancelled)
    assert_invariants(conn)


def test_last_reward_unit_goes_to_one_of_concurrent_redemptions(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=20)
    for partner in context.partners:
        adjust_points(conn, context.admin, partner, 1000, "start")

    run = run_concurrently(
        url,
        [
            api_call(partner, "redeem_reward", reward_id=context.rewards[1], idempotency_key="k")
            for partner in context.partners
        ],
    )
    assert len(run.succeeded) == 1
    assert run.refusals == {"REWARD_UNAVAILABLE": 19}
    assert value(conn, "select min(stock_available) from app.redemption_catalog") == 0
    assert_invariants(conn)


@pytest.mark.regression("odoo/odoo#249775")
def test_concurrent_redemptions_never_overdraw_the_point_balance(url: str, conn: Connection) -> None:
    """In odoo/odoo#249775 two redemptions that are checked against the same balance make it negative."""
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    adjust_points(conn, context.admin, partner, 50, "start")
    keys = ["a", "a", "b", "c", "d", "e"]
    operations: list[Operation] = [
        api_call(partner, "redeem_reward", reward_id=context.rewards[0], idempotency_key=k) for k in keys
    ]
    operations += [
        lambda c: submit(c, partner, items(SKU_000=1), points=50),
        api_call(
            context.admin,
            "adjust_points",
            partner_id=partner.sub,
            points=-50,
            reason="fix",
            idempotency_key="fix",
        ),
    ]
    run = run_concurrently(url, operations)
    assert len({o["id"] for o in run.succeeded}) == 1
    assert set(run.refusals) == {"POINTS_INSUFFICIENT"}
    assert value(conn, "select point_balance from app.partners") == 0
    assert_invariants(conn)


def test_redemption_advanced_concurrently_changes_status_once(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    adjust_points(conn, context.admin, partner, 50, "start")
    redemption = call(conn, partner, "redeem_reward", reward_id=context.rewards[0], idempotency_key="a")
    operations: list[Operation] = [
        api_call(context.admin, "advance_redemption", redemption_id=redemption["id"], status=s)
        for s in ["CANCELLED"] * 8 + ["SHIPPED"] * 2
    ]
    run = run_concurrently(url, operations)
    assert len(run.succeeded) == 1
    assert run.refusals == {"ILLEGAL_TRANSITION": 9}
    assert_invariants(conn)


def test_concurrent_audit_flushes_lose_and_duplicate_nothing(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=8, stock=10_000)

    def submit_and_cancel(partner: Caller) -> Operation:
        def operation(c: Connection) -> int:
            for i in range(12):
                order = submit(c, partner, items(SKU_000=1 + i % 3, SKU_001=1))
                if i % 3 == 0:
                    call(c, partner, "cancel_order", order_id=order["id"])
            return 12

        return operation

    flush: Operation = lambda c: value(c, "select app.flush_audit_buffer(5)")  # noqa: E731
    with running_repeatedly(url, flush) as first, running_repeatedly(url, flush) as second:
        run_concurrently(url, [submit_and_cancel(partner) for partner in context.partners])
    assert sum(first) > 0
    assert sum(second) > 0
    while value(conn, "select app.flush_audit_buffer(100000)"):
        pass
    for table in ("orders", "order_items", "partners"):
        logged = conn.execute(
            "select count(*), count(distinct target_id) from app.audit_logs"
            " where target_type = %s and action = 'INSERT'",
            [table],
        ).fetchone()
        rows = value(conn, f"select count(*) from app.{table}")
        assert logged == (rows, rows), table
    changes = value(
        conn, "select count(*) from app.audit_logs where target_type = 'orders' and action = 'UPDATE'"
    )
    assert changes == 8 * 4, "each cancellation is logged once"
    assert_invariants(conn)


def test_concurrent_payment_batches_in_different_orders_never_deadlock(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=10, stock=10_000)
    invoices = [invoiced_order(conn, context, partner)[1] for partner in context.partners for _ in range(3)]
    rng = random.Random(5)  # noqa: S311

    def payment_batch(name: str) -> Operation:
        payments = [
            {
                "invoice_number": v["invoice_number"],
                "amount": 1000,
                "reference_number": f"{name}-{v['invoice_number']}",
            }
            for v in rng.sample(invoices, len(invoices))
        ]
        return api_call(context.erp, "erp_apply_payments", payments=payments)

    run = run_concurrently(url, [payment_batch(f"B{i}") for i in range(8)])
    assert {r["result"] for answers in run.succeeded for r in answers} == {"APPLIED"}
    assert value(conn, "select sum(amount_paid) from app.invoices") == Decimal(1000 * 8 * 30)
    assert_invariants(conn)


# --- corrections ----------------------------------------------------------------------------------


def shipped_order(conn: Connection, context: Context, partner: Caller) -> tuple[Any, Any]:
    order, invoice = invoiced_order(conn, context, partner)
    call(conn, context.admin, "ship_order", order_id=order["id"])
    return order, invoice


def return_operation(context: Context, order: Any, units: int, key: str | None = None) -> Operation:
    """A return with its own key, or with this one."""
    arguments = {"order_id": order["id"], "items": items(SKU_000=units), "reason": "rusak"}
    return lambda conn: call(
        conn, context.admin, "return_items", **arguments, idempotency_key=key or str(uuid.uuid4())
    )


def test_concurrent_returns_never_exceed_what_was_shipped(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    order, invoice = shipped_order(conn, context, context.partners[0])
    run = run_concurrently(url, [return_operation(context, order, 3)] * 12)
    assert len(run.succeeded) == 3
    assert run.refusals == {"RETURN_EXCEEDS_SHIPPED": 9}
    assert value(conn, "select amount_credited from app.invoices") == invoice["amount"] * 9 / 10
    assert_invariants(conn)


def test_concurrent_repeats_of_a_key_book_one_correction(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    order, invoice = shipped_order(conn, context, partner)
    cash = {"invoice_id": invoice["id"], "amount": 1000, "idempotency_key": "k"}
    points = {"partner_id": partner.sub, "points": 5, "reason": "x", "idempotency_key": "k"}
    run = run_concurrently(
        url,
        [return_operation(context, order, 2, "k")] * 6
        + [api_call(context.admin, "record_payment", **cash)] * 6
        + [api_call(context.admin2, "adjust_points", **points)] * 6,
    )
    assert not run.refusals
    counts = "select (select count(*) from app.credit_notes), (select count(*) from app.invoice_payments)"
    assert conn.execute(counts).fetchone() == (1, 1)
    assert value(conn, "select point_balance from app.partners") == 5
    assert_invariants(conn)


def test_concurrent_invoices_never_exceed_the_order(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    order, invoice = invoiced_order(conn, context, context.partners[0])
    call(conn, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")

    def issue(connection: Connection) -> Any:
        arguments = {"order_id": order["id"], "amount": 300_000, "reason": "bagian"}
        return call(
            connection, context.admin, "issue_invoice", **arguments, idempotency_key=str(uuid.uuid4())
        )

    run = run_concurrently(url, [issue] * 10)
    assert len(run.succeeded) == 3
    assert run.refusals == {"INVOICE_EXCEEDS_ORDER": 7}
    assert_invariants(conn)


def test_concurrent_corrections_and_the_queue_leave_amounts_and_points_right(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=3)
    for partner in context.partners:
        adjust_points(conn, context.admin, partner, 500, "start")
    with running_repeatedly(url, lambda c: run_job(c, "point-queue")):
        for _ in range(4):
            operations: list[Operation] = []
            for partner in context.partners:
                order = submit(conn, partner, items(SKU_000=10), points=30)
                invoice = approve(conn, context, order)
                call(conn, context.admin, "ship_order", order_id=order["id"])
                paid = pay(conn, context, invoice, invoice["amount"] - 2500)["payment_id"]
                operations += [
                    api_call(context.admin, "write_off", invoice_id=invoice["id"], reason="biaya bank"),
                    api_call(context.admin2, "reverse_payment", payment_id=paid, reason="salah"),
                    api_call(context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah"),
                    return_operation(context, order, 3),
                    return_operation(context, order, 7),
                    payment_operation(context, invoice, 1500),
                ]
            run_concurrently(url, operations)
    run_job(conn, "point-queue")
    assert_invariants(conn)
