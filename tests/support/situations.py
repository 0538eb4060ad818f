"""Situations in which an order can be, reached by calls alone."""

from typing import Any

from tests.support.context import (
    Caller,
    Connection,
    Context,
    call,
    items,
    other_subdist,
    routed_subdist,
    submit,
)

Order = dict[str, Any]

STATES = {
    "DRAFT": "PARTNER",
    "OVER_LIMIT": "HEADQUARTERS",
    "UNROUTED": "HEADQUARTERS",
    "DECLINED": "HEADQUARTERS",
    "SUBMITTED": "SUBDIST",
    "IN_PROGRESS": "SUBDIST",
    "ACCEPTED": "HEADQUARTERS",
    "ACCEPTED_IN_PROGRESS": "HEADQUARTERS",
    "REROUTED": "SUBDIST",
    "ANSWERED_AGAIN": "HEADQUARTERS",
    "PROCESSING_DECLINED": "HEADQUARTERS",
    "APPROVED": "SUBDIST",
    "APPROVED_IN_PROGRESS": "SUBDIST",
    "APPROVED_DECLINED": "HEADQUARTERS",
    "APPROVED_UNROUTED": "HEADQUARTERS",
    "SHIPPED": "NONE",
    "COMPLETED": "NONE",
    "CANCELLED": "NONE",
    "REJECTED": "NONE",
}
"""Situations of an order, and who must act."""


def suspend(db: Connection, *subdists: Caller) -> None:
    """Suspend sub-distributors in one statement; without any, all."""
    ids = [subdist.sub for subdist in subdists]
    db.execute(
        "update app.sub_distributors set status = 'SUSPENDED'"
        " where %(ids)s::uuid[] = '{}' or id = any (%(ids)s::uuid[])",
        {"ids": ids},
    )


def activate(db: Connection) -> None:
    db.execute("update app.sub_distributors set status = 'ACTIVE'")


def respond(db: Connection, order: Order, decision: str) -> Order:
    """Answer the order as its present sub-distributor."""
    answered: Order = call(
        db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision=decision
    )
    return answered


def order_in(db: Connection, context: Context, state: str) -> Order:  # noqa: PLR0912 - one branch a situation
    """Bring an order into this situation by calls alone."""
    who, admin = context.partners[0], context.admin
    if state == "DRAFT":
        draft: Order = call(db, who, "save_draft", items=items(SKU_000=1))
        return draft
    if state == "OVER_LIMIT":
        db.execute("update app.partners set credit_limit = 1 where id = %s", [who.sub])
        order = submit(db, who, items(SKU_000=1))
        db.execute("update app.partners set credit_limit = 100000000 where id = %s", [who.sub])
        return order
    if state in ("UNROUTED", "APPROVED_UNROUTED"):
        suspend(db)
        order = submit(db, who, items(SKU_000=1))
        activate(db)
        if state == "APPROVED_UNROUTED":
            call(db, admin, "approve_order", order_id=order["id"])
        return order
    order = submit(db, who, items(SKU_000=1))
    arguments = {"order_id": order["id"]}
    if state in ("CANCELLED", "REJECTED"):
        verb, caller = ("cancel_order", who) if state == "CANCELLED" else ("reject_order", admin)
        call(db, caller, verb, **arguments, reason="x")
    elif state in ("DECLINED", "IN_PROGRESS"):
        respond(db, order, "DECLINE" if state == "DECLINED" else "PROGRESS")
    elif state != "SUBMITTED":
        respond(db, order, "ACCEPT")
        if state in ("REROUTED", "ANSWERED_AGAIN"):
            call(db, admin, "reroute_order", **arguments, subdist_id=other_subdist(db, context, order).sub)
        if state in ("SHIPPED", "COMPLETED") or state.startswith("APPROVED"):
            call(db, admin, "approve_order", **arguments)
        for decision, states in {
            "ACCEPT": ["ANSWERED_AGAIN"],
            "PROGRESS": ["ACCEPTED_IN_PROGRESS", "APPROVED_IN_PROGRESS"],
            "DECLINE": ["PROCESSING_DECLINED", "APPROVED_DECLINED"],
        }.items():
            if state in states:
                respond(db, order, decision)
        if state in ("SHIPPED", "COMPLETED"):
            call(db, admin, "ship_order", **arguments)
        if state == "COMPLETED":
            call(db, admin, "complete_order", **arguments)
    return order
