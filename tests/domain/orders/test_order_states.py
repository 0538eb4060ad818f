"""The status machine of orders: every pair of statuses, for every caller, and what is frozen."""

import psycopg
import pytest

from tests.support.calls import refused
from tests.support.context import (
    Connection,
    Context,
    approve,
    as_owner,
    broken_invariants,
    call,
    items,
    refusal,
    routed_subdist,
    submit,
    value,
)

STATES = ["DRAFT", "SUBMITTED", "PROCESSING", "APPROVED", "SHIPPED", "COMPLETED", "REJECTED", "CANCELLED"]
VERBS = {
    "APPROVED": "approve",
    "SHIPPED": "ship",
    "COMPLETED": "complete",
    "REJECTED": "reject",
    "CANCELLED": "cancel",
}
LEGAL = {
    ("DRAFT", "SUBMITTED"),
    ("SUBMITTED", "PROCESSING"),
    ("PROCESSING", "APPROVED"),
    ("APPROVED", "SHIPPED"),
    ("SHIPPED", "COMPLETED"),
} | {(a, b) for a in ("DRAFT", "SUBMITTED", "PROCESSING", "APPROVED") for b in ("REJECTED", "CANCELLED")}


def order_in(db: Connection, context: Context, state: str) -> str:
    """The id of an order in a status, which it reached by calls of the API."""
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=5))
    if state in ("DRAFT",):
        return str(draft["id"])
    order = call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    if state in ("PROCESSING",):
        call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    if state in ("APPROVED", "SHIPPED", "COMPLETED"):
        approve(db, context, order)
    if state in ("SHIPPED", "COMPLETED"):
        call(db, context.admin, "ship_order", order_id=order["id"])
    if state == "COMPLETED":
        call(db, context.admin, "complete_order", order_id=order["id"])
    if state == "CANCELLED":
        call(db, who, "cancel_order", order_id=order["id"])
    if state == "REJECTED":
        call(db, context.admin, "reject_order", order_id=order["id"], reason="habis")
    assert value(db, "select status from app.orders where id = %s", order["id"]) == state
    return str(order["id"])


def can_move(db: Connection, order: str, target: str) -> bool:
    """Whether an UPDATE of the owner moves the order to a status; rolled back."""
    with db.transaction(force_rollback=True), as_owner(db):
        try:
            with db.transaction():
                db.execute(
                    "update app.orders set status = %s, submitted_at = coalesce(submitted_at, now())"
                    " where id = %s",
                    [target, order],
                )
        except psycopg.Error as error:
            if "ILLEGAL_TRANSITION" not in str(error):
                raise
            return False
    return True


@pytest.mark.parametrize("start", STATES)
def test_only_legal_transitions_succeed_even_for_the_owner(
    db: Connection, context: Context, start: str
) -> None:
    order = order_in(db, context, start)
    possible = {(start, target) for target in STATES if target != start and can_move(db, order, target)}
    assert possible == {pair for pair in LEGAL if pair[0] == start}


@pytest.mark.parametrize(("start", "target"), sorted(LEGAL))
def test_status_written_by_a_superuser_is_refused_with_the_name_of_the_function(
    db: Connection, context: Context, start: str, target: str
) -> None:
    order = order_in(db, context, start)
    with refused(db, "NOT_ALLOWED") as why:
        db.execute("update app.orders set status = %s where id = %s", [target, order])
    call_name = {"SUBMITTED": "submit_order", "PROCESSING": "respond_order"}.get(target)
    assert f"api.{call_name or f'{VERBS[target]}_order'}" in (why.hint or "")


@pytest.mark.parametrize(("status", "call_name"), [("DRAFT", "save_draft"), ("SUBMITTED", "submit_order")])
def test_order_inserted_by_a_superuser_is_refused_with_the_name_of_the_function(
    db: Connection, context: Context, status: str, call_name: str
) -> None:
    with refused(db, "NOT_ALLOWED") as why:
        db.execute(
            "insert into app.orders (partner_id, status, submitted_at) values (%s, %s, now())",
            [context.partners[0].sub, status],
        )
    assert f"api.{call_name}" in (why.hint or "")


@pytest.mark.parametrize("status", [s for s in STATES if s not in ("DRAFT", "SUBMITTED")])
def test_order_cannot_be_inserted_in_a_later_status(db: Connection, context: Context, status: str) -> None:
    with pytest.raises(psycopg.Error, match="ILLEGAL_TRANSITION"), db.transaction():
        db.execute(
            "insert into app.orders (partner_id, status, submitted_at) values (%s, %s, now())",
            [context.partners[0].sub, status],
        )


def test_order_cannot_be_deleted(db: Connection, context: Context) -> None:
    with pytest.raises(psycopg.Error, match="ORDER_FROZEN"), db.transaction():
        db.execute("delete from app.orders where id = %s", [order_in(db, context, "SUBMITTED")])


@pytest.mark.parametrize(
    "change",
    [
        "subtotal = subtotal + 1, grand_total = grand_total + 1",
        "points_earned = 9999",
        "is_over_limit = true, routed_to_subdist_id = null, routed_at = null",
        "over_limit_reason = 'OVERDUE'",
        "order_number = 'ORD-000000-000000'",
        "submitted_at = now() - interval '1 day'",
    ],
)
def test_submitted_order_is_frozen(db: Connection, context: Context, change: str) -> None:
    order = order_in(db, context, "SUBMITTED")
    with pytest.raises(psycopg.Error, match="ORDER_FROZEN"), db.transaction():
        db.execute(f"update app.orders set {change} where id = %s".encode(), [order])


@pytest.mark.parametrize(
    "statement",
    [
        "update app.order_items set quantity = 1, line_total = unit_price where order_id = %s",
        "delete from app.order_items where order_id = %s",
        "insert into app.order_items"
        " (order_id, partner_id, product_id, quantity, list_price, unit_price, line_total)"
        " select order_id, partner_id, (select id from app.products where sku = 'SKU-004'), 1, 0, 0, 0"
        " from app.order_items where order_id = %s",
    ],
)
def test_lines_of_a_submitted_order_are_frozen(db: Connection, context: Context, statement: str) -> None:
    order = order_in(db, context, "SUBMITTED")
    with pytest.raises(psycopg.Error, match="ORDER_FROZEN"), db.transaction():
        db.execute(statement.encode(), [order])


def test_order_number_contains_the_date_in_jakarta(db: Connection, context: Context) -> None:
    number = submit(db, context.partners[0], items(SKU_000=1))["order_number"]
    day = value(db, "select to_char(now() at time zone 'Asia/Jakarta', 'YYMMDD')")
    assert number.startswith(f"ORD-{day}-")
    assert len(number) == len("ORD-YYMMDD-NNNNNN")


def test_only_an_unrouted_order_is_approved_from_submitted(db: Connection, context: Context) -> None:
    routed = submit(db, context.partners[0], items(SKU_000=1))
    assert refusal(db, context.admin, "approve_order", order_id=routed["id"]) == "ILLEGAL_TRANSITION"
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    unrouted = submit(db, context.partners[0], items(SKU_000=1))
    assert unrouted["routed_to_subdist_id"] is None
    assert call(db, context.admin, "approve_order", order_id=unrouted["id"])["status"] == "APPROVED"


def test_every_status_change_is_in_the_history(db: Connection, context: Context) -> None:
    order = order_in(db, context, "COMPLETED")
    path = db.execute(
        "select from_status::text, to_status::text from app.order_events"
        " where order_id = %s and event = 'STATUS' order by id",
        [order],
    ).fetchall()
    states = ["DRAFT", "SUBMITTED", "PROCESSING", "APPROVED", "SHIPPED", "COMPLETED"]
    assert path == list(zip([None, *states], states, strict=False))


def test_every_answer_of_a_sub_distributor_is_in_the_history(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    subdist = routed_subdist(db, order)
    for decision, note in (("PROGRESS", "stok dicek"), ("ACCEPT", None), ("DECLINE", "gudang tutup")):
        call(db, subdist, "respond_order", order_id=order["id"], decision=decision, note=note)
    answers = db.execute(
        "select from_status::text, to_status::text, note, actor_id::text from app.order_events"
        " where event = 'RESPONSE' order by id"
    ).fetchall()
    assert answers == [
        ("SUBMITTED", "SUBMITTED", "PROGRESS: stok dicek", subdist.sub),
        ("SUBMITTED", "PROCESSING", "ACCEPT", subdist.sub),
        ("PROCESSING", "PROCESSING", "DECLINE: gudang tutup", subdist.sub),
    ]


def test_draft_can_be_rejected(db: Connection, context: Context) -> None:
    """The status machine allows it, so no constraint may refuse it."""
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=1))
    rejected = call(db, context.admin, "reject_order", order_id=draft["id"], reason="stale")
    assert rejected["status"] == "REJECTED"
    assert broken_invariants(db) == {}


@pytest.mark.parametrize("status", [s for s in STATES if s not in ("DRAFT", "SUBMITTED")])
def test_partner_is_notified_of_each_status(db: Connection, context: Context, status: str) -> None:
    order = order_in(db, context, status)
    newest = db.execute(
        "select variables ->> 'status_text', recipient_id::text from app.messages"
        " where order_id = %s and template = 'order_status' order by position desc limit 1",
        [order],
    ).fetchall()
    wanted = value(db, "select app.status_text(%s)", status) + (": habis" if status == "REJECTED" else "")
    assert newest == [(wanted, context.partners[0].sub)]


def test_partner_is_not_notified_of_a_draft_that_is_closed(db: Connection, context: Context) -> None:
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=1))
    call(db, context.partners[0], "cancel_order", order_id=draft["id"])
    assert value(db, "select count(*) from app.messages") == 0
