"""Headquarters and the money: approval, invoice, payments, points."""

import time

from hub.demo.api import Caller, Row
from hub.demo.context import Stage
from hub.demo.narrator import day, expect, rupiah
from hub.errors import UserError

_JOB_SECONDS = 15


def approve(stage: Stage, admin: Caller, order: Row) -> Row:
    """Approval makes the invoice, and the partner is told."""
    stage.narrator.step("Headquarters approves: the invoice is made")
    approved = admin.rpc("approve_order", order_id=order["id"])
    stage.api.tell(f"{approved['order_number']}: {approved['status']}")
    invoice = admin.row("invoices", order_id=order["id"])
    stage.api.tell(
        f"{invoice['invoice_number']}: {rupiah(invoice['amount'])}, {invoice['status']}, "
        f"due {day(invoice['due_date'])}"
    )
    expect(invoice["amount"] == order["grand_total"], "the invoice is over the order's total")
    stage.deliver("invoice_issued", order_id=order["id"])
    return invoice


def pay_in_part(stage: Stage, admin: Caller, partner: Caller, invoice: Row) -> None:
    """A part gives no points, and the same reference counts once."""
    part = round(invoice["amount"] * 0.4 / 100_000) * 100_000
    stage.narrator.step(f"{rupiah(part)} come in: no points yet")
    payment = {
        "invoice_id": invoice["id"],
        "amount": part,
        "payment_method": "Transfer BCA",
        "reference_number": f"{invoice['invoice_number']}-1",
    }
    answer = admin.rpc("record_payment", **payment)
    paid = answer["invoice"]
    stage.api.tell(f"{paid['status']}: {rupiah(paid['amount_paid'])} of {rupiah(paid['amount'])}")
    expect(paid["status"] == "PARTIAL" and not answer["duplicate"], "the invoice is PARTIAL")
    stage.run_job("process_point_queue")
    earned = partner.rows("point_transactions", "points", invoice_id=invoice["id"])
    stage.api.tell(f"{earned}: the point job has run, and found nothing to vest")
    expect(not earned, "a partial payment gives no points")

    stage.narrator.step("The bank reports the same transfer again: it counts once")
    answer = admin.rpc("record_payment", **payment)
    stage.api.tell(
        f'"duplicate": {str(answer["duplicate"]).lower()}; paid is still '
        f"{rupiah(answer['invoice']['amount_paid'])}"
    )
    expect(answer["duplicate"], "the repeated reference is called a duplicate")
    expect(answer["invoice"]["amount_paid"] == part, "the repeated payment was not added")


def pay_the_rest(stage: Stage, admin: Caller, partner: Caller, order: Row, invoice: Row) -> None:
    """The last rupiah lets the points vest."""
    before = point_balance(partner)
    due = partner.row("invoices", "amount_due", id=invoice["id"])["amount_due"]
    stage.narrator.step(f"The remaining {rupiah(due)} come in: the points vest")
    answer = admin.rpc(
        "record_payment",
        invoice_id=invoice["id"],
        amount=due,
        payment_method="Transfer BCA",
        reference_number=f"{invoice['invoice_number']}-2",
    )
    stage.api.tell(f"{answer['invoice']['invoice_number']}: {answer['invoice']['status']}")
    expect(answer["invoice"]["status"] == "PAID", "the invoice is PAID")
    points_vest(stage, partner, order, invoice, before)


def points_vest(stage: Stage, partner: Caller, order: Row, invoice: Row, before: int) -> None:
    """What was promised is his, and he is told."""
    [earned] = _vested(stage, partner, invoice)
    stage.narrator.note("select jobs.process_point_queue();  run at once; pg_cron does it each minute")
    balance = point_balance(partner)
    partner.rows("point_transactions", "type,points,multiplier", invoice_id=invoice["id"])
    stage.api.tell(
        f"{earned['type']} +{earned['points']} (x {earned['multiplier']} for GOLD): "
        f"balance {before} -> {balance}"
    )
    expect(earned["points"] == order["points_earned"], "what vests is what was promised")
    expect(balance == before + earned["points"], "the balance grows by it")
    stage.deliver("points_vested", order_id=order["id"])


def _vested(stage: Stage, partner: Caller, invoice: Row) -> list[Row]:
    """Run the job until the points are there: pg_cron's own run may hold the invoice just now."""
    deadline = time.monotonic() + _JOB_SECONDS
    while time.monotonic() < deadline:
        stage.run_job("process_point_queue")
        if found := partner.rows("point_transactions", "type,points,multiplier", invoice_id=invoice["id"]):
            return found
        time.sleep(0.2)
    raise UserError("the points of the paid invoice did not vest")


def point_balance(partner: Caller) -> int:
    """His points."""
    return int(partner.row("me", "point_balance")["point_balance"])
