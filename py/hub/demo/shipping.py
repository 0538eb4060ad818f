"""The goods, the ERP, and what is left on record."""

import time

from hub.demo.api import Caller, Row
from hub.demo.context import ERP_ID, Stage
from hub.demo.narrator import expect, rupiah
from hub.demo.serving import ADMIN
from hub.errors import UserError

_FLUSH_SECONDS = 15


def ship(stage: Stage, admin: Caller, order: Row) -> None:
    """On its way, and there."""
    stage.narrator.step("The goods are shipped, and arrive")
    for function, status in (("ship_order", "SHIPPED"), ("complete_order", "COMPLETED")):
        answer = admin.rpc(function, order_id=order["id"])
        stage.api.tell(f"{answer['order_number']}: {answer['status']}")
        expect(answer["status"] == status, f"{function} makes it {status}")


def erp_takes_over(stage: Stage, order: Row) -> None:
    """From here the ERP's own stock figure counts these units."""
    stage.narrator.step("The ERP takes the order over")
    answer = stage.service("erp", ERP_ID).rpc(
        "erp_ack_order", order_id=order["id"], erp_reference=f"SO-{order['order_number'][4:]}"
    )
    stage.api.tell(f"as {answer['erp_reference']}; its stock figure counts the units from now on")
    expect(not answer["duplicate"], "the order is new to the ERP")


def audit_trail(stage: Stage, admin: Caller, order: Row) -> None:
    """The last line of the order's trail."""
    stage.narrator.step("Headquarters reads the audit trail")
    who = admin.row("me", "name")["name"]
    deadline = time.monotonic() + _FLUSH_SECONDS
    while True:
        stage.run_job("flush_audit")
        trail = admin.rows(
            "audit_logs",
            "created_at,actor_id,actor_role,action,new_value",
            order="-created_at",
            limit=20,
            target_id=order["id"],
            actor_role="admin",
        )
        # pg_cron's own run may hold the last lines just now.
        completed = [line for line in trail if line["new_value"].get("status") == "COMPLETED"]
        if completed or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if not completed:
        raise UserError("the audit trail does not tell of the completed order")
    line = completed[0]
    stage.api.tell(f"{line['created_at'][:19]}: {who} ({line['actor_role']}) {line['action']} to COMPLETED")
    stage.narrator.note("(the buffer was moved at once; pg_cron does it each minute)")
    expect(line["actor_id"] == stage.ids["admin"], f"the trail names {ADMIN}")


def what_the_partner_sees(stage: Stage, partner: Caller, order: Row) -> Row:
    """The order with its lines and its invoice, in one request."""
    stage.narrator.step("What the partner sees, in one request")
    seen = partner.row(
        "orders", "id,order_number,status,grand_total,order_items(*),invoices(*)", id=order["id"]
    )
    invoice = seen["invoices"][0]
    stage.api.tell(
        f"{seen['order_number']}: {seen['status']}, {len(seen['order_items'])} lines, "
        f"{rupiah(seen['grand_total'])}; {invoice['invoice_number']} {invoice['status']}"
    )
    me = partner.row("me", "credit_used,credit_left")
    stage.api.tell(f"credit used {rupiah(me['credit_used'])}, left {rupiah(me['credit_left'])}")
    expect((seen["status"], invoice["status"]) == ("COMPLETED", "PAID"), "the order is COMPLETED and PAID")
    return seen
