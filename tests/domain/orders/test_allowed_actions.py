"""`allowed_actions` of an order equals the calls that succeed, for every role and situation."""

from typing import Any

import psycopg
import pytest

from tests.support.context import (
    Caller,
    Connection,
    Context,
    RefusedError,
    call,
    items,
    other_subdist,
    shadow,
    value,
)
from tests.support.factories import make_agent
from tests.support.situations import STATES, Order, order_in

# What the partner, the sub-distributor and headquarters may do in each situation, as the rules state it.
_ROUTED = ("cancel", "respond", "reroute reject")
_UNROUTED = ("cancel", None, "reroute approve reject")
_ANSWERED = ("cancel", "respond", "reroute approve reject")
_APPROVED = ("cancel", "respond ship", "reroute reject ship")
_CLOSED = ("", "", "")
EXPECTED: dict[str, tuple[str, str | None, str]] = {
    "DRAFT": ("update_draft submit_draft cancel", None, "reject"),
    "OVER_LIMIT": ("cancel", None, "release reject"),
    "UNROUTED": _UNROUTED,
    "DECLINED": _UNROUTED,
    "SUBMITTED": _ROUTED,
    "IN_PROGRESS": _ROUTED,
    "ACCEPTED": _ANSWERED,
    "ACCEPTED_IN_PROGRESS": _ANSWERED,
    "REROUTED": _ROUTED,
    "ANSWERED_AGAIN": _ANSWERED,
    "PROCESSING_DECLINED": _UNROUTED,
    "APPROVED": _APPROVED,
    "APPROVED_IN_PROGRESS": _APPROVED,
    "APPROVED_DECLINED": ("cancel", None, "reroute reject ship"),
    "APPROVED_UNROUTED": ("cancel", None, "reroute reject ship"),
    "SHIPPED": ("", "complete", "complete return_items"),
    "COMPLETED": ("", "", "return_items"),
    "CANCELLED": _CLOSED,
    "REJECTED": _CLOSED,
}

ROLES = ("partner", "agent", "agent in shadow mode", "subdist", "admin", "superadmin")


def caller(db: Connection, context: Context, order: Order, role: str) -> Caller | None:
    """The caller of this role who deals with the order; None if it is routed to no sub-distributor."""
    routed = value(db, "select routed_to_subdist_id from app.orders where id = %s", order["id"])
    callers = {
        "partner": context.partners[0],
        "agent": context.agents[0],
        "subdist": Caller("subdist", str(routed)) if routed else None,
        "admin": context.admin,
    }
    if role == "superadmin":
        return Caller("superadmin", make_agent(db, None, role="SUPERADMIN").sub)
    if role == "agent in shadow mode":
        return shadow(db, context.agents[0], context.partners[0])
    return callers[role]


def attempts(db: Connection, context: Context, order: Order) -> dict[str, dict[str, Any]]:
    """A call of each action with valid arguments."""
    lines = items(SKU_000=1)
    routed = value(db, "select routed_to_subdist_id from app.orders where id = %s", order["id"])
    another = other_subdist(db, context, order) if routed else context.subdists[0]
    return {
        "update_draft": {"items": lines},
        "submit_draft": {"idempotency_key": "allowed"},
        "cancel_order": {},
        "respond_order": {"decision": "PROGRESS"},
        "release_order": {"reason": "x"},
        "reroute_order": {"subdist_id": another.sub},
        "approve_order": {},
        "reject_order": {"reason": "x"},
        "ship_order": {},
        "complete_order": {},
        "return_items": {"items": lines, "reason": "x", "idempotency_key": "allowed"},
    }


def succeeds(db: Connection, who: Caller, action: str, order: Order, arguments: dict[str, Any]) -> bool:
    """Whether the call succeeds; rolled back."""
    try:
        with db.transaction(force_rollback=True):
            call(db, who, action, order_id=order["id"], **arguments)
    except (RefusedError, psycopg.errors.InsufficientPrivilege):
        return False
    return True


def listed(db: Connection, who: Caller, order: Order) -> list[str]:
    """The column as the caller reads it."""
    with db.transaction(force_rollback=True):
        db.execute("select set_config('request.jwt.claims', %s, true)", [who.claims])
        db.execute("select set_config('role', %s, true)", [who.role])
        actions: list[str] = value(db, "select allowed_actions from api.orders where id = %s", order["id"])
        return actions


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("state", STATES)
def test_allowed_actions_are_the_calls_that_succeed(
    db: Connection, context: Context, state: str, role: str
) -> None:
    order = order_in(db, context, state)
    who = caller(db, context, order, role)
    if who is None:
        return  # no sub-distributor sees the order
    possible = {
        action
        for action, arguments in attempts(db, context, order).items()
        if succeeds(db, who, action, order, arguments)
    }
    actions = listed(db, who, order)
    assert set(actions) == possible
    assert len(actions) == len(possible)


@pytest.mark.parametrize("state", STATES)
def test_allowed_actions_follow_the_rules(db: Connection, context: Context, state: str) -> None:
    """The calls share the predicate, so it is compared with the rules themselves, too."""
    order = order_in(db, context, state)
    for role, short in zip(("partner", "subdist", "admin"), EXPECTED[state], strict=True):
        who = caller(db, context, order, role)
        if short is None:
            assert who is None
            continue
        assert who is not None
        names = {word if "_" in word else f"{word}_order" for word in short.split()}
        assert set(listed(db, who, order)) == names, role


def test_each_action_is_possible_in_some_situation(db: Connection, context: Context) -> None:
    """Otherwise the test above would prove nothing about it."""
    order = order_in(db, context, "DRAFT")
    possible = {
        row[0]
        for row in db.execute(
            "select unnest(app.allowed_actions(s, a, h, r)) from"
            " unnest(enum_range(null::app.order_status_enum)) as s,"
            " unnest(enum_range(null::app.awaiting_enum)) as a, unnest(array[true, false]) as h,"
            " unnest(array['partner', 'agent', 'subdist', 'admin', 'superadmin', 'none']) as r"
        )
    }
    assert possible == set(attempts(db, context, order))


def test_call_returns_the_actions_that_are_possible_then(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = call(db, who, "submit_order", items=items(SKU_000=1), idempotency_key="k")
    assert order["allowed_actions"] == ["cancel_order"]
    assert call(db, who, "cancel_order", order_id=order["id"])["allowed_actions"] == []


def test_agent_outside_shadow_mode_is_offered_nothing(db: Connection, context: Context) -> None:
    """A frontend that shows Approve to them would be answered 403."""
    for state in ("DRAFT", "SUBMITTED", "ACCEPTED", "APPROVED"):
        assert listed(db, context.agents[0], order_in(db, context, state)) == []
