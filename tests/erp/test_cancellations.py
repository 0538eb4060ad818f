"""Orders that die after approval: undone in the ERP, or headquarters is told."""

from typing import Any

import pytest

from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    refusal,
    submit,
    value,
)


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def dead(db: Connection, context: Context, *, taken: bool = True) -> dict[str, Any]:
    order = submit(db, context.partners[0], items(SKU_000=4))
    approve(db, context, order)
    if taken:
        call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    call(db, context.admin, "reject_order", order_id=order["id"], reason="habis")
    return order


def pending(db: Connection, context: Context, most: int = 100) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(db, context.erp, "erp_pending_cancellations", max=most)
    return found


def settle(
    db: Connection, context: Context, order: dict[str, Any], outcome: str, note: str | None = None
) -> Any:
    return call(db, context.erp, "erp_ack_cancellation", order_id=order["id"], outcome=outcome, note=note)


def messages(db: Connection) -> int:
    count: int = value(db, "select count(*) from app.messages where template = 'erp_cancel_refused'")
    return count


def test_an_order_that_died_before_approval_is_not_the_erps_business(
    db: Connection, context: Context
) -> None:
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


@pytest.mark.parametrize("taken", [True, False])
def test_what_the_erp_has_or_may_have_waits_until_it_is_undone(
    db: Connection, context: Context, taken: bool
) -> None:
    """An adapter that was killed between the sale and the acknowledgement left the sale behind."""
    order = dead(db, context, taken=taken)
    [waiting] = pending(db, context)
    assert (waiting["order_id"], waiting["order_number"]) == (order["id"], order["order_number"])
    assert (waiting["erp_reference"], waiting["reason"]) == ("SO-1" if taken else None, "habis")
    assert [settle(db, context, order, "CANCELLED")["duplicate"] for _ in range(2)] == [False, True]
    assert pending(db, context) == []
    assert messages(db) == 0
    assert broken_invariants(db) == {}


def test_headquarters_is_told_once_that_the_erp_refuses(db: Connection, context: Context) -> None:
    order = dead(db, context)
    for _ in range(3):
        told = settle(db, context, order, "REFUSED", "goods are out")
        assert told["outcome"] == "REFUSED"
    assert messages(db) == 2, "one for each admin"
    assert (
        value(db, "select variables ->> 'reason' from app.messages order by position desc limit 1")
        == "goods are out"
    )
    assert settle(db, context, order, "CANCELLED")["outcome"] == "REFUSED", "the first answer stands"


def test_an_order_that_arrives_after_its_cancellation_is_undone_again(
    db: Connection, context: Context
) -> None:
    """The ERP had nothing to cancel; then the sale that was on its way came through."""
    order = dead(db, context, taken=False)
    settle(db, context, order, "CANCELLED", "no sale of it")
    call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-9")
    assert [p["erp_reference"] for p in pending(db, context)] == ["SO-9"]
    settle(db, context, order, "CANCELLED")
    assert call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-9")["duplicate"]
    assert pending(db, context) == [], "said again, it changes nothing"


def test_pages_and_answers_of_another_form_are_refused(db: Connection, context: Context) -> None:
    first, second = dead(db, context), dead(db, context)
    assert [p["order_id"] for p in pending(db, context, 1)] == [first["id"]]
    assert len(pending(db, context)) == 2
    for most in (0, 1001, None):
        assert refusal(db, context.erp, "erp_pending_cancellations", max=most) == "INVALID_ARGUMENT"
    for outcome in ("DONE", "", None):
        assert (
            refusal(db, context.erp, "erp_ack_cancellation", order_id=second["id"], outcome=outcome)
            == "INVALID_ARGUMENT"
        )
    assert (
        refusal(db, context.erp, "erp_ack_cancellation", order_id=context.admin.sub, outcome="REFUSED")
        == "NOT_FOUND"
    )
