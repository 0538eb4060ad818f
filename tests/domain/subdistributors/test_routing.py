"""The routing of orders, and the responses of sub-distributors."""

import psycopg
import pytest

from tests.support.context import (
    Caller,
    Connection,
    Context,
    approve,
    call,
    items,
    other_subdist,
    refusal,
    routed_subdist,
    submit,
    value,
)
from tests.support.factories import make_subdist
from tests.support.queries import message_count


def submit_and_route(db: Connection, context: Context) -> str | None:
    """Submit an order; returns the id of its sub-distributor."""
    subdist = submit(db, context.partners[0], items(SKU_000=1))["routed_to_subdist_id"]
    return str(subdist) if subdist else None


def test_own_region_is_preferred_to_the_region_above(db: Connection, context: Context) -> None:
    assert submit_and_route(db, context) in [s.sub for s in context.subdists]
    own = make_subdist(db, context.regions["bandung"]).sub
    assert submit_and_route(db, context) == own


def test_nearest_region_above_is_preferred_even_when_busier(db: Connection, context: Context) -> None:
    idle = make_subdist(db, context.regions["id"]).sub
    for _ in range(5):
        assert submit_and_route(db, context) != idle
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id <> %s", [idle])
    assert submit_and_route(db, context) == idle


def test_order_without_a_region_goes_to_headquarters(db: Connection, context: Context) -> None:
    db.execute("update app.partners set region_id = null")
    assert submit_and_route(db, context) is None
    assert message_count(db, "order_unrouted") == 2


def test_accepted_order_counts_as_open(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    assert submit_and_route(db, context) != order["routed_to_subdist_id"]


def test_closed_order_does_not_count_as_open(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    first, other = order["routed_to_subdist_id"], submit_and_route(db, context)
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert first != other
    assert submit_and_route(db, context) == first


def test_suspended_sub_distributor_gets_no_order(db: Connection, context: Context) -> None:
    own = make_subdist(db, context.regions["bandung"]).sub
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [own])
    assert submit_and_route(db, context) in [s.sub for s in context.subdists]


def test_sub_distributor_with_the_fewest_open_orders_gets_the_next(db: Connection, context: Context) -> None:
    first, second, third = (submit_and_route(db, context) for _ in range(3))
    assert first != second
    assert third in (first, second)
    assert submit_and_route(db, context) == ({first, second} - {third}).pop()


def copy_open_order(db: Connection, order: str, subdist: str | None, count: int) -> None:
    """Give a sub-distributor so many open orders like this one."""
    columns = value(
        db,
        "select string_agg(quote_ident(column_name), ',') from information_schema.columns"
        " where table_schema = 'app' and table_name = 'orders' and is_generated = 'NEVER' and column_name"
        " not in ('id', 'order_number', 'idempotency_key', 'request_hash', 'routed_to_subdist_id')",
    )
    db.execute("set local session_replication_role = replica")
    db.execute(
        f"insert into app.orders (routed_to_subdist_id, {columns}) select %s, {columns}"
        " from app.orders, generate_series(1, %s) where id = %s",
        [subdist, count, order],
    )
    db.execute("set local session_replication_role = origin")


def test_from_a_thousand_open_orders_on_sub_distributors_count_alike(
    db: Connection, context: Context
) -> None:
    """Counting stops at a thousand, so that a long queue does not make routing slow."""
    first, second = sorted(str(subdist.sub) for subdist in context.subdists)
    order = str(submit(db, context.partners[0], items(SKU_000=1))["id"])
    call(db, context.admin, "reroute_order", order_id=order, subdist_id=first)
    copy_open_order(db, order, first, 1099)
    copy_open_order(db, order, second, 999)
    nearest = "select app.nearest_subdist(%s)::text"
    assert value(db, nearest, context.regions["bandung"]) == second
    copy_open_order(db, order, second, 1)
    assert value(db, nearest, context.regions["bandung"]) == first


def test_routing_among_several_is_not_planned_for_each_order(db: Connection, context: Context) -> None:
    order = str(submit(db, context.partners[0], items(SKU_000=1))["id"])
    for subdist in context.subdists:
        copy_open_order(db, order, subdist.sub, 1000)
    db.execute("analyze app.orders")
    for _ in range(7):  # The sixth may take the plan that is kept.
        submit_and_route(db, context)
    planned_for: list[str] = []

    def keep(notice: psycopg.errors.Diagnostic) -> None:
        if notice.message_primary == "PLANNER STATISTICS":
            planned_for.append(notice.context or "the test itself")

    db.add_notice_handler(keep)
    db.execute("set local log_planner_stats = on")
    db.execute("set local client_min_messages = log")
    submit_and_route(db, context)
    assert planned_for
    assert [text for text in planned_for if "_subdist(uuid" in text] == []


def test_sub_distributor_of_another_region_gets_no_order(db: Connection, context: Context) -> None:
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    make_subdist(db, context.regions["papua"])
    assert submit_and_route(db, context) is None


def test_headquarters_is_notified_of_an_unroutable_order(db: Connection, context: Context) -> None:
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    assert submit_and_route(db, context) is None
    assert message_count(db, "order_unrouted") == 2


def test_routed_order_notifies_the_sub_distributor_once(db: Connection, context: Context) -> None:
    submit_and_route(db, context)
    assert message_count(db, "order_routed") == 1


@pytest.mark.parametrize(
    ("decision", "status"), [("ACCEPT", "PROCESSING"), ("PROGRESS", "SUBMITTED"), ("DECLINE", "SUBMITTED")]
)
def test_response_restarts_the_clock(db: Connection, context: Context, decision: str, status: str) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    who = routed_subdist(db, order)
    db.execute("update app.orders set routed_at = now() - interval '20 hours' where id = %s", [order["id"]])
    db.execute("update app.orders set sla_reminder_sent = true where id = %s", [order["id"]])
    answered = call(db, who, "respond_order", order_id=order["id"], decision=decision, note="baik")
    assert answered["status"] == status
    assert answered["last_response_at"] is not None
    assert answered["sla_reminder_sent"] is False
    assert (answered["routed_to_subdist_id"] is None) == (decision == "DECLINE")
    assert message_count(db, "order_unrouted") == (2 if decision == "DECLINE" else 0)


def test_only_the_routed_sub_distributor_can_respond(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    other = other_subdist(db, context, order)
    assert refusal(db, other, "respond_order", order_id=order["id"], decision="ACCEPT") == "NOT_FOUND"


def test_repeated_acceptance_has_no_effect(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    for _ in range(2):
        answered = call(
            db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT"
        )
    assert answered["status"] == "PROCESSING"


@pytest.mark.parametrize(
    ("end", "decision"),
    [
        *(
            (end, decision)
            for end in ("cancelled", "shipped")
            for decision in ("ACCEPT", "PROGRESS", "DECLINE")
        ),
        ("approved", "ACCEPT"),
    ],
)
def test_response_to_a_closed_or_shipped_order_is_refused(
    db: Connection, context: Context, end: str, decision: str
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    who = routed_subdist(db, order)
    if end == "cancelled":
        call(db, context.partners[0], "cancel_order", order_id=order["id"])
    else:
        approve(db, context, order)
    if end == "shipped":
        call(db, context.admin, "ship_order", order_id=order["id"])
    code = refusal(db, who, "respond_order", order_id=order["id"], decision=decision)
    assert code == "ILLEGAL_TRANSITION"


def test_unknown_decision_is_refused(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    code = refusal(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="MAYBE")
    assert code == "INVALID_ARGUMENT"


def test_rerouting_notifies_both_sub_distributors_and_restarts_the_clock(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    other = other_subdist(db, context, order)
    db.execute("update app.orders set routed_at = now() - interval '20 hours' where id = %s", [order["id"]])
    moved = call(db, context.admin, "reroute_order", order_id=order["id"], subdist_id=other.sub)
    assert moved["routed_to_subdist_id"] == other.sub
    assert value(db, "select routed_at = now() from app.orders where id = %s", order["id"])
    assert (message_count(db, "order_routed"), message_count(db, "order_withdrawn")) == (2, 1)


def test_rerouting_to_a_suspended_or_unknown_sub_distributor_is_refused(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    new = make_subdist(db, context.regions["papua"]).sub
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [new])
    reroute = {"order_id": order["id"]}
    assert refusal(db, context.admin, "reroute_order", **reroute, subdist_id=new) == "SUBDIST_UNAVAILABLE"
    assert refusal(db, context.admin, "reroute_order", **reroute, subdist_id=order["id"]) == "NOT_FOUND"


def test_order_over_limit_is_routed_only_after_its_release(db: Connection, context: Context) -> None:
    who = context.partners[0]
    db.execute("update app.partners set credit_limit = 100000 where id = %s", [who.sub])
    order = submit(db, who, items(SKU_000=2))
    assert (order["is_over_limit"], order["routed_to_subdist_id"]) == (True, None)
    assert message_count(db, "order_over_limit") == 2
    held = {"order_id": order["id"]}
    assert refusal(db, context.admin, "approve_order", **held) == "ILLEGAL_TRANSITION"
    other = context.subdists[0].sub
    assert refusal(db, context.admin, "reroute_order", **held, subdist_id=other) == "NOT_ROUTABLE"
    assert refusal(db, context.admin, "release_order", **held, reason=" ") == "INVALID_ARGUMENT"
    released = call(db, context.admin, "release_order", **held, reason="pelanggan lama")
    assert released["routed_to_subdist_id"] is not None
    assert refusal(db, context.admin, "release_order", **held, reason="lagi") == "NOT_RELEASABLE"


def test_region_cannot_be_its_own_ancestor(db: Connection, context: Context) -> None:
    with pytest.raises(Exception, match="INVALID_REGION"), db.transaction():
        db.execute(
            "update app.regions set parent_region_id = %s where id = %s",
            [context.regions["bandung"], context.regions["id"]],
        )


def test_respond_with_a_foreign_account_as_sub_distributor_is_refused(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    other = Caller("subdist", context.partners[0].sub)
    with pytest.raises(Exception, match="ACCOUNT_INACTIVE"):
        call(db, other, "respond_order", order_id=order["id"], decision="ACCEPT")
