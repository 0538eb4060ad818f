"""A message that is no longer relevant is not sent, not repeated and not mailed."""

from typing import Any

import pytest

from tests.support.context import (
    Connection,
    Context,
    call,
    items,
    other_subdist,
    routed_subdist,
    submit,
    value,
)
from tests.support.messaging import (
    claim,
    end_backoff,
    expire_leases,
    mail_count,
    message_state,
    wait_for_report,
)

Order = dict[str, Any]


@pytest.fixture
def order(db: Connection, context: Context) -> Order:
    """An order that is offered to a sub-distributor with an e-mail address."""
    db.execute("update app.sub_distributors set email = 'a@b.test'")
    return submit(db, context.partners[0], items(SKU_000=1))


def fail(db: Connection, message: str, *, retry: bool) -> None:
    db.execute("select app.message_failed(%s, '131026', %s)", [message, retry])


def send_all(db: Connection, subdist: str | None) -> list[str]:
    """Send every message; returns the templates of those to a sub-distributor, in order."""
    templates = []
    for _ in range(4):
        for message in claim(db):
            template, recipient = db.execute(
                "select template, recipient_id::text from app.messages where id = %s", [message]
            ).fetchall()[0]
            db.execute("select app.message_sent(%s, %s)", [message, message])
            if recipient == subdist:
                templates.append(template)
        end_backoff(db)
    return templates


def withdraw_order(db: Connection, context: Context, order: Order, how: str) -> None:
    """Withdraw the order from its sub-distributor."""
    if how == "cancelled":
        call(db, context.partners[0], "cancel_order", order_id=order["id"])
    else:
        other = other_subdist(db, context, order)
        call(db, context.admin, "reroute_order", order_id=order["id"], subdist_id=other.sub)


@pytest.mark.parametrize("how", ["cancelled", "rerouted"])
@pytest.mark.parametrize(
    "state_before",
    ["waits for its next attempt", "claimed", "claimed and fails for good", "unknown", "sent and fails"],
)
def test_withdrawn_offer_is_never_sent_to_the_former_sub_distributor(
    db: Connection, context: Context, order: Order, state_before: str, how: str
) -> None:
    """Otherwise two sub-distributors would deliver the order."""
    first = routed_subdist(db, order).sub
    [offer] = claim(db)
    if state_before == "waits for its next attempt":
        fail(db, offer, retry=True)
    elif state_before == "unknown":
        expire_leases(db)
    elif state_before == "sent and fails":
        db.execute("select app.message_sent(%s, 'wamid.1')", [offer])
    withdraw_order(db, context, order, how)
    if state_before == "sent and fails":
        db.execute("select app.message_status('wamid.1', 'failed', now())")
    elif state_before.startswith("claimed"):
        fail(db, offer, retry=state_before == "claimed")
    wait_for_report(db)
    end_backoff(db)
    assert send_all(db, first) == ["order_withdrawn"]


def test_order_rerouted_back_is_offered_again(db: Connection, context: Context, order: Order) -> None:
    first = routed_subdist(db, order)
    withdraw_order(db, context, order, "rerouted")
    call(db, context.admin, "reroute_order", order_id=order["id"], subdist_id=first.sub)
    assert send_all(db, first.sub) == ["order_withdrawn", "order_routed"]


@pytest.mark.parametrize("sent", [False, True])
def test_reminder_that_fails_after_the_response_is_not_mailed(
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
    call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    if sent:
        db.execute("select app.message_status('wamid.1', 'failed', now())")
    else:
        fail(db, reminder, retry=False)
    assert message_state(db, reminder).status == "FAILED"
    assert mail_count(db) == 0


def test_mailed_sign_in_link_keeps_its_expiry_and_is_erased_elsewhere(
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
def test_report_of_a_messenger_with_an_expired_lease_is_ignored(
    db: Connection, order: Order, retry: bool
) -> None:
    """Its lease expired and another messenger sent the message, which would be sent twice."""
    [message] = claim(db)
    expire_leases(db)
    wait_for_report(db)
    assert claim(db) == [message]
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    fail(db, message, retry=retry)
    end_backoff(db)
    assert (claim(db), message_state(db, message).status) == ([], "SENT")
    assert value(db, "select count(*) from app.sla_escalation_logs") == 0
