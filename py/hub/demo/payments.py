"""The steps about money: approval, invoice, payments, points."""

import time

from hub.demo.api import Caller, Row
from hub.demo.context import DemoContext
from hub.demo.narrator import day, expect, rupiah
from hub.errors import UserError

_JOB_SECONDS = 15


def approve(demo: DemoContext, admin: Caller, order: Row) -> Row:
    """Approve the order, which issues the invoice and notifies the partner."""
    demo.narrator.step("Headquarters approves the order, which issues the invoice")
    approved = admin.rpc("approve_order", order_id=order["id"])
    demo.api.narrate(f"{approved['order_number']}: {approved['status']}")
    invoice = admin.row("invoices", order_id=order["id"])
    demo.api.narrate(
        f"{invoice['invoice_number']}: {rupiah(invoice['amount'])}, {invoice['status']}, "
        f"due {day(invoice['due_date'])}"
    )
    expect(invoice["amount"] == order["grand_total"], "the invoice has the order's total")
    demo.deliver("invoice_issued", order_id=order["id"])
    return invoice


def pay_part(demo: DemoContext, admin: Caller, partner: Caller, invoice: Row) -> None:
    """A partial payment vests no points, and a repeated reference counts once."""
    part = round(invoice["amount"] * 0.4 / 100_000) * 100_000
    demo.narrator.step(f"{rupiah(part)} arrive: no points yet")
    payment = {
        "invoice_id": invoice["id"],
        "amount": part,
        "payment_method": "Transfer BCA",
        "reference_number": f"{invoice['invoice_number']}-1",
    }
    answer = admin.rpc("record_payment", **payment)
    paid = answer["invoice"]
    demo.api.narrate(f"{paid['status']}: {rupiah(paid['amount_paid'])} of {rupiah(paid['amount'])}")
    expect(paid["status"] == "PARTIAL" and not answer["duplicate"], "the invoice is PARTIAL")
    demo.run_job("point-queue")
    earned = partner.rows("point_transactions", "points", invoice_id=invoice["id"])
    demo.api.narrate(f"{earned}: the points job ran and vested nothing")
    expect(not earned, "a partial payment vests no points")

    demo.narrator.step("The bank reports the same transfer again: it counts once")
    answer = admin.rpc("record_payment", **payment)
    demo.api.narrate(
        f'"duplicate": {str(answer["duplicate"]).lower()}; paid is still '
        f"{rupiah(answer['invoice']['amount_paid'])}"
    )
    expect(answer["duplicate"], "the repeated reference is reported as a duplicate")
    expect(answer["invoice"]["amount_paid"] == part, "the repeated payment is not added")


def pay_rest(demo: DemoContext, admin: Caller, partner: Caller, order: Row, invoice: Row) -> None:
    """Pay the rest, which vests the points."""
    before = point_balance(partner)
    due = partner.row("invoices", "amount_due", id=invoice["id"])["amount_due"]
    demo.narrator.step(f"The remaining {rupiah(due)} arrive: the points vest")
    answer = admin.rpc(
        "record_payment",
        invoice_id=invoice["id"],
        amount=due,
        payment_method="Transfer BCA",
        reference_number=f"{invoice['invoice_number']}-2",
    )
    demo.api.narrate(f"{answer['invoice']['invoice_number']}: {answer['invoice']['status']}")
    expect(answer["invoice"]["status"] == "PAID", "the invoice is PAID")
    show_vested_points(demo, partner, order, invoice, before)


def show_vested_points(demo: DemoContext, partner: Caller, order: Row, invoice: Row, before: int) -> None:
    """The promised points are booked, and the partner is notified."""
    [earned] = _vested(demo, partner, invoice)
    demo.narrator.note("call jobs.process_point_queue();  the demo runs it now, pg_cron each minute")
    balance = point_balance(partner)
    partner.rows("point_transactions", "type,points,multiplier", invoice_id=invoice["id"])
    demo.api.narrate(
        f"{earned['type']} +{earned['points']} (x {earned['multiplier']} for GOLD): "
        f"balance {before} -> {balance}"
    )
    expect(earned["points"] == order["points_earned"], "the promised points vest")
    expect(balance == before + earned["points"], "the balance grows by these points")
    demo.deliver("points_vested", order_id=order["id"])


def _vested(demo: DemoContext, partner: Caller, invoice: Row) -> list[Row]:
    """Run the job until the points are booked: a run of pg_cron may hold the invoice at this moment."""
    deadline = time.monotonic() + _JOB_SECONDS
    while time.monotonic() < deadline:
        demo.run_job("point-queue")
        if found := partner.rows("point_transactions", "type,points,multiplier", invoice_id=invoice["id"]):
            return found
        time.sleep(0.2)
    raise UserError("the points of the paid invoice did not vest")


def point_balance(partner: Caller) -> int:
    """The partner's points."""
    return int(partner.row("me", "point_balance")["point_balance"])
