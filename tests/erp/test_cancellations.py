"""Orders that end after approval: cancelled in the ERP, or headquarters is notified."""

from typing import Any

import pytest

from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    refusal,
    submit,
    value,
)
from tests.support.queries import message_count


def rejected_order(db: Connection, context: Context, *, exported: bool = True) -> dict[str, Any]:
    """An approved order that was rejected, after its export or before the acknowledgement."""
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    if exported:
        call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    call(db, context.admin, "reject_order", order_id=order["id"], reason="habis")
    return order


def pending(db: Connection, context: Context, limit: int = 100) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(db, context.erp, "erp_pending_cancellations", max=limit)
    return found


def acknowledge(
    db: Connection, context: Context, order: dict[str, Any], outcome: str, note: str | None = None
) -> Any:
    return call(db, context.erp, "erp_ack_cancellation", order_id=order["id"], outcome=outcome, note=note)


def test_order_cancelled_before_approval_is_hidden_from_the_erp(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=4))
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert pending(db, context) == []
    assert (
        refusal(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="S")
        == "ILLEGAL_TRANSITION"
    )
    assert (
        refusal(db, context.erp, "erp_ack_cancellation", order_id=order["id"], outcome="CANCELLED")
        == "ILLEGAL_TRANSITION"
    )


@pytest.mark.parametrize("exported", [True, False])
def test_cancellation_is_pending_until_the_erp_acknowledges_it(
    db: Connection, context: Context, exported: bool
) -> None:
    """An adapter that was killed before the acknowledgement may have left a sale."""
    order = rejected_order(db, context, exported=exported)
    [waiting] = pending(db, context)
    assert (waiting["order_id"], waiting["order_number"]) == (order["id"], order["order_number"])
    assert (waiting["erp_reference"], waiting["reason"]) == ("SO-1" if exported else None, "habis")
    assert [acknowledge(db, context, order, "CANCELLED")["duplicate"] for _ in range(2)] == [False, True]
    assert pending(db, context) == []
    assert message_count(db, "erp_cancel_refused") == 0
    assert broken_invariants(db) == {}


def test_headquarters_is_notified_once_of_a_refused_cancellation(db: Connection, context: Context) -> None:
    order = rejected_order(db, context)
    for _ in range(3):
        answer = acknowledge(db, context, order, "REFUSED", "already shipped")
        assert answer["outcome"] == "REFUSED"
    assert message_count(db, "erp_cancel_refused") == 2, "one message for each admin"
    assert (
        value(db, "select variables ->> 'reason' from app.messages order by position desc limit 1")
        == "already shipped"
    )
    assert acknowledge(db, context, order, "CANCELLED")["outcome"] == "REFUSED", "the first answer is final"


def test_order_exported_after_its_cancellation_is_cancelled_again(db: Connection, context: Context) -> None:
    """The ERP had no sale to cancel; then an abandoned request created it."""
    order = rejected_order(db, context, exported=False)
    acknowledge(db, context, order, "CANCELLED", "no sale for it")
    call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-9")
    assert [p["erp_reference"] for p in pending(db, context)] == ["SO-9"]
    acknowledge(db, context, order, "CANCELLED")
    assert call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-9")["duplicate"]
    assert pending(db, context) == [], "a repetition changes nothing"


def test_pending_cancellations_are_limited_and_the_oldest_come_first(
    db: Connection, context: Context
) -> None:
    first, _ = rejected_order(db, context), rejected_order(db, context)
    assert [p["order_id"] for p in pending(db, context, 1)] == [first["id"]]
    assert len(pending(db, context)) == 2


@pytest.mark.parametrize("limit", [0, 1001, None])
def test_invalid_limit_is_refused(db: Connection, context: Context, limit: int | None) -> None:
    assert refusal(db, context.erp, "erp_pending_cancellations", max=limit) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("outcome", ["DONE", "", None])
def test_invalid_outcome_is_refused(db: Connection, context: Context, outcome: str | None) -> None:
    order = rejected_order(db, context)
    assert (
        refusal(db, context.erp, "erp_ack_cancellation", order_id=order["id"], outcome=outcome)
        == "INVALID_ARGUMENT"
    )


def test_acknowledgement_of_an_unknown_order_is_refused(db: Connection, context: Context) -> None:
    assert (
        refusal(db, context.erp, "erp_ack_cancellation", order_id=context.admin.sub, outcome="REFUSED")
        == "NOT_FOUND"
    )
