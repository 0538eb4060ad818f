"""Orders that die after approval: undone in the ERP, or headquarters is told."""

from typing import Any

import pytest

from tests.world import Connection, World, approve, broken, call, items, make_world, refusal, submit, value


@pytest.fixture
def world(db: Connection) -> World:
    return make_world(db)


def dead(db: Connection, world: World, *, taken: bool = True) -> dict[str, Any]:
    order = submit(db, world.partners[0], items(SKU_000=4))
    approve(db, world, order)
    if taken:
        call(db, world.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    call(db, world.admin, "reject_order", order_id=order["id"], reason="habis")
    return order


def pending(db: Connection, world: World, most: int = 100) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(db, world.erp, "erp_pending_cancellations", max=most)
    return found


def settle(db: Connection, world: World, order: dict[str, Any], outcome: str, note: str | None = None) -> Any:
    return call(db, world.erp, "erp_ack_cancellation", order_id=order["id"], outcome=outcome, note=note)


def messages(db: Connection) -> int:
    count: int = value(db, "select count(*) from app.messages where template = 'erp_cancel_refused'")
    return count


def test_an_order_that_died_before_approval_is_not_the_erps_business(db: Connection, world: World) -> None:
    order = submit(db, world.partners[0], items(SKU_000=4))
    call(db, world.partners[0], "cancel_order", order_id=order["id"])
    assert pending(db, world) == []
    assert (
        refusal(db, world.erp, "erp_ack_order", order_id=order["id"], erp_reference="S")
        == "ILLEGAL_TRANSITION"
    )
    assert (
        refusal(db, world.erp, "erp_ack_cancellation", order_id=order["id"], outcome="CANCELLED")
        == "ILLEGAL_TRANSITION"
    )


@pytest.mark.parametrize("taken", [True, False])
def test_what_the_erp_has_or_may_have_waits_until_it_is_undone(
    db: Connection, world: World, taken: bool
) -> None:
    """An adapter that was killed between the sale and the acknowledgement left the sale behind."""
    order = dead(db, world, taken=taken)
    [waiting] = pending(db, world)
    assert (waiting["order_id"], waiting["order_number"]) == (order["id"], order["order_number"])
    assert (waiting["erp_reference"], waiting["reason"]) == ("SO-1" if taken else None, "habis")
    assert [settle(db, world, order, "CANCELLED")["duplicate"] for _ in range(2)] == [False, True]
    assert pending(db, world) == []
    assert messages(db) == 0
    assert broken(db) == {}


def test_headquarters_is_told_once_that_the_erp_refuses(db: Connection, world: World) -> None:
    order = dead(db, world)
    for _ in range(3):
        told = settle(db, world, order, "REFUSED", "goods are out")
        assert told["outcome"] == "REFUSED"
    assert messages(db) == 2, "one for each admin"
    assert (
        value(db, "select variables ->> 'reason' from app.messages order by position desc limit 1")
        == "goods are out"
    )
    assert settle(db, world, order, "CANCELLED")["outcome"] == "REFUSED", "the first answer stands"


def test_an_order_that_arrives_after_its_cancellation_is_undone_again(db: Connection, world: World) -> None:
    """The ERP had nothing to cancel; then the sale that was on its way came through."""
    order = dead(db, world, taken=False)
    settle(db, world, order, "CANCELLED", "no sale of it")
    call(db, world.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-9")
    assert [p["erp_reference"] for p in pending(db, world)] == ["SO-9"]
    settle(db, world, order, "CANCELLED")
    assert call(db, world.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-9")["duplicate"]
    assert pending(db, world) == [], "said again, it changes nothing"


def test_pages_and_answers_of_another_form_are_refused(db: Connection, world: World) -> None:
    first, second = dead(db, world), dead(db, world)
    assert [p["order_id"] for p in pending(db, world, 1)] == [first["id"]]
    assert len(pending(db, world)) == 2
    for most in (0, 1001, None):
        assert refusal(db, world.erp, "erp_pending_cancellations", max=most) == "INVALID_ARGUMENT"
    for outcome in ("DONE", "", None):
        assert (
            refusal(db, world.erp, "erp_ack_cancellation", order_id=second["id"], outcome=outcome)
            == "INVALID_ARGUMENT"
        )
    assert (
        refusal(db, world.erp, "erp_ack_cancellation", order_id=world.admin.sub, outcome="REFUSED")
        == "NOT_FOUND"
    )
