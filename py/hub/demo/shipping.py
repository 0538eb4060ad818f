"""The last steps: shipping, the ERP, the audit trail, the partner's view."""

import time

from hub.demo.api import Caller, Row
from hub.demo.context import ERP_ID, DemoContext
from hub.demo.narrator import expect, rupiah
from hub.demo.routing import ADMIN
from hub.errors import UserError

_FLUSH_SECONDS = 15


def ship(demo: DemoContext, admin: Caller, order: Row) -> None:
    """Ship and complete the order."""
    demo.narrator.step("The order is shipped and completed")
    for function, status in (("ship_order", "SHIPPED"), ("complete_order", "COMPLETED")):
        answer = admin.rpc(function, order_id=order["id"])
        demo.api.narrate(f"{answer['order_number']}: {answer['status']}")
        expect(answer["status"] == status, f"the status after {function} is {status}")


def acknowledge_export(demo: DemoContext, order: Row) -> None:
    """Report the sale as the ERP adapter does; from now on the ERP's stock level accounts for these units."""
    demo.narrator.step("The ERP acknowledges the order")
    answer = demo.service("erp", ERP_ID).rpc(
        "erp_ack_order", order_id=order["id"], erp_reference=f"SO-{order['order_number'][4:]}"
    )
    demo.api.narrate(f"as {answer['erp_reference']}; from now on its stock level accounts for the units")
    expect(not answer["duplicate"], "the order is new to the ERP")


def show_audit_trail(demo: DemoContext, admin: Caller, order: Row) -> None:
    """The last entry of the order's audit trail."""
    demo.narrator.step("Headquarters reads the audit trail")
    who = admin.row("me", "name")["name"]
    deadline = time.monotonic() + _FLUSH_SECONDS
    while True:
        demo.run_job("audit-flush")
        trail = admin.rows(
            "audit_logs",
            "created_at,actor_id,actor_role,action,new_value",
            order="-created_at",
            limit=20,
            target_id=order["id"],
            actor_role="admin",
        )
        # A run of pg_cron may hold the last entries at this moment.
        completed = [entry for entry in trail if entry["new_value"].get("status") == "COMPLETED"]
        if completed or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if not completed:
        raise UserError("the audit trail does not show the completed order")
    entry = completed[0]
    demo.api.narrate(
        f"{entry['created_at'][:19]}: {who} ({entry['actor_role']}) {entry['action']} to COMPLETED"
    )
    demo.narrator.note("(the demo flushes the buffer now, pg_cron each minute)")
    expect(entry["actor_id"] == demo.ids["admin"], f"the trail names {ADMIN}")


def show_order(demo: DemoContext, partner: Caller, order: Row) -> Row:
    """The order with its lines and its invoice, in one request."""
    demo.narrator.step("The partner reads the order in one request")
    seen = partner.row(
        "orders", "id,order_number,status,grand_total,order_items(*),invoices(*)", id=order["id"]
    )
    invoice = seen["invoices"][0]
    demo.api.narrate(
        f"{seen['order_number']}: {seen['status']}, {len(seen['order_items'])} lines, "
        f"{rupiah(seen['grand_total'])}; {invoice['invoice_number']} {invoice['status']}"
    )
    me = partner.row("me", "credit_used,credit_left")
    demo.api.narrate(f"credit used {rupiah(me['credit_used'])}, left {rupiah(me['credit_left'])}")
    expect((seen["status"], invoice["status"]) == ("COMPLETED", "PAID"), "the order is COMPLETED and PAID")
    return seen
