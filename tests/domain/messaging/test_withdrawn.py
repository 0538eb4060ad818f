"""What nobody need read any more is not sent, not tried again and not mailed."""

from typing import Any

import pytest

from tests.domain.messaging.conftest import claim, lapse, ready, state, wait_out
from tests.support.context import Connection, Context, call, items, serving, submit, value

Order = dict[str, Any]


@pytest.fixture
def order(db: Connection, context: Context) -> Order:
    """An order that is offered to a sub-distributor who has an e-mail address too."""
    db.execute("update app.sub_distributors set email = 'a@b.test'")
    return submit(db, context.partners[0], items(SKU_000=1))


def fail(db: Connection, message: str, *, retry: bool) -> None:
    db.execute("select app.message_failed(%s, '131026', %s)", [message, retry])


def take(db: Connection, subdist: str | None) -> list[str]:
    """Templates of all that goes out from now on to a sub-distributor, in that order."""
    told = []
    for _ in range(4):
        for message in claim(db):
            template, recipient = db.execute(
                "select template, recipient_id::text from app.messages where id = %s", [message]
            ).fetchall()[0]
            db.execute("select app.message_sent(%s, %s)", [message, message])
            if recipient == subdist:
                told.append(template)
        ready(db)
    return told


def drop(db: Connection, context: Context, order: Order, how: str) -> None:
    """Take the order away from who has it."""
    if how == "cancelled":
        call(db, context.partners[0], "cancel_order", order_id=order["id"])
    else:
        other = next(s for s in context.subdists if s.sub != serving(db, order).sub)
        call(db, context.admin, "reroute_order", order_id=order["id"], subdist_id=other.sub)


@pytest.mark.parametrize("how", ["cancelled", "rerouted"])
@pytest.mark.parametrize(
    "state_before", ["waits for another try", "held", "held and fails for good", "unknown", "sent and fails"]
)
def test_an_order_is_not_offered_to_who_was_told_that_it_is_not_his(
    db: Connection, context: Context, order: Order, state_before: str, how: str
) -> None:
    """Two sub-distributors would deliver it."""
    first = serving(db, order).sub
    [offer] = claim(db)
    if state_before == "waits for another try":
        fail(db, offer, retry=True)
    elif state_before == "unknown":
        lapse(db)
    elif state_before == "sent and fails":
        db.execute("select app.message_sent(%s, 'wamid.1')", [offer])
    drop(db, context, order, how)
    if state_before == "sent and fails":
        db.execute("select app.message_status('wamid.1', 'failed', now())")
    elif state_before.startswith("held"):
        fail(db, offer, retry=state_before == "held")
    wait_out(db)
    ready(db)
    assert take(db, first) == ["order_withdrawn"]


def test_an_order_that_comes_back_is_offered_again(db: Connection, context: Context, order: Order) -> None:
    first = serving(db, order)
    drop(db, context, order, "rerouted")
    call(db, context.admin, "reroute_order", order_id=order["id"], subdist_id=first.sub)
    assert take(db, first.sub) == ["order_withdrawn", "order_routed"]


@pytest.mark.parametrize("sent", [False, True])
def test_a_reminder_that_fails_after_the_answer_is_not_mailed(
    db: Connection, order: Order, sent: bool
) -> None:
    db.execute(
        "update app.messages set status = 'DELIVERED', provider_id = 'w' where template = 'order_routed'"
    )
    db.execute("update app.orders set routed_at = now() - interval '19 hours'")
    db.execute("select jobs.sweep_service_level()")
    [reminder] = claim(db)
    if sent:
        db.execute("select app.message_sent(%s, 'wamid.1')", [reminder])
    call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    if sent:
        db.execute("select app.message_status('wamid.1', 'failed', now())")
    else:
        fail(db, reminder, retry=False)
    assert state(db, reminder).status == "FAILED"
    assert value(db, "select count(*) from app.messages where channel = 'EMAIL'") == 0


def test_a_sign_in_link_that_goes_by_mail_dies_as_soon_and_is_nowhere_else(
    db: Connection, context: Context, order: Order
) -> None:
    claim(db)
    number = "select whatsapp_number from app.sub_distributors where id = %s"
    db.execute("select auth.request_link(%s)", [value(db, number, context.subdists[0].sub)])
    [link] = claim(db)
    fail(db, link, retry=False)
    rows = db.execute(
        "select channel::text, variables ? 'token', expires_at from app.messages"
        " where template = 'sign_in_link' order by 1"
    ).fetchall()
    assert [row[:2] for row in rows] == [("EMAIL", True), ("WHATSAPP", False)]
    assert rows[0][2] == rows[1][2] is not None


@pytest.mark.parametrize("retry", [True, False])
def test_a_messenger_whose_turn_is_over_takes_nothing_back(db: Connection, order: Order, retry: bool) -> None:
    """Its lease lapsed, another has sent the message since: it would go out twice."""
    [message] = claim(db)
    lapse(db)
    wait_out(db)
    assert claim(db) == [message]
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    fail(db, message, retry=retry)
    ready(db)
    assert (claim(db), state(db, message).status) == ([], "SENT")
    assert value(db, "select count(*) from app.sla_escalation_logs") == 0
