"""Whose turn it is: the column, the notices and the clocks of both sides."""

import psycopg
import pytest

from tests.support.calls import refused
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    grant_points,
    items,
    other_subdist,
    refusal,
    routed_subdist,
    submit,
    value,
)
from tests.support.factories import make_agent
from tests.support.messaging import message_text
from tests.support.queries import message_count
from tests.support.service_level import (
    age_turn,
    escalation_log,
    sla_flags,
    sla_messages,
    start_clock,
    sweep,
)
from tests.support.situations import STATES, Order, order_in, respond, suspend


def turn(db: Connection, order: Order) -> str:
    """Who must act on the order."""
    return str(value(db, "select awaiting from api.orders where id = %s", order["id"]))


@pytest.mark.parametrize(("state", "awaiting"), STATES.items())
def test_each_situation_awaits_one_party(db: Connection, context: Context, state: str, awaiting: str) -> None:
    order = order_in(db, context, state)
    assert turn(db, order) == awaiting
    since = value(db, "select awaiting_since from api.orders where id = %s", order["id"])
    assert (since is not None) == (awaiting in ("SUBDIST", "HEADQUARTERS"))
    assert broken_invariants(db) == {}


def test_turn_cannot_be_written_past_its_rule(db: Connection, context: Context) -> None:
    order = order_in(db, context, "SUBMITTED")
    for change in ("awaiting = 'NONE'", "awaiting_since = null"):
        with pytest.raises(psycopg.errors.CheckViolation, match="orders_awaiting_check"), db.transaction():
            db.execute(f"update app.orders set {change} where id = %s".encode(), [order["id"]])


def test_clock_of_a_sub_distributor_starts_at_the_latest_of_routing_answer_and_approval(
    db: Connection, context: Context
) -> None:
    order = order_in(db, context, "APPROVED")
    db.execute(
        "update app.orders set routed_at = now() - interval '9 h', last_response_at = now() - interval '5 h',"
        " approved_at = now() - interval '7 h' where id = %s",
        [order["id"]],
    )
    since = "select extract(epoch from now() - awaiting_since) / 3600 from app.orders where id = %s"
    assert value(db, since, order["id"]) == 5
    db.execute(
        "update app.orders set approved_at = now() - interval '2 h' where id = %s",
        [order["id"]],
    )
    assert value(db, since, order["id"]) == 2


@pytest.mark.parametrize("state", ["OVER_LIMIT", "UNROUTED", "DECLINED", "ACCEPTED", "APPROVED_UNROUTED"])
def test_headquarters_is_reminded_and_superadmins_reached(
    db: Connection, context: Context, state: str
) -> None:
    """Admins after sla.approval_hours, superadmins after sla.escalation_hours, each once."""
    boss = make_agent(db, None, role="SUPERADMIN")
    order = order_in(db, context, state)
    age_turn(db, order, 3.99)
    assert sweep(db) == 0
    age_turn(db, order, 23.99)
    assert [sweep(db), sweep(db)] == [1, 0]
    assert escalation_log(db, order) == [("REMINDER", "ADMIN", 4.0)] * 2
    db.execute("update app.sla_escalation_logs set clock_started_at = now() - interval '24 h'")
    age_turn(db, order, 24)
    assert [sweep(db), sweep(db)] == [1, 0]
    reached = "select notified_to::text from app.sla_escalation_logs where escalation_level = %s order by 1"
    assert db.execute(reached, ["HQ_INTERVENTION"]).fetchall() == [(boss.sub,)]
    assert sorted(row[0] for row in db.execute(reached, ["REMINDER"])) == sorted(
        str(admin.sub) for admin in (context.admin, context.admin2)
    )
    assert sla_messages(db, order) == {"sla_hq_reminder": 2, "sla_hq_escalation": 1}


def test_only_superadmins_left_are_reminded_and_only_admins_left_are_escalated_to(
    db: Connection, context: Context
) -> None:
    order = order_in(db, context, "ACCEPTED")
    age_turn(db, order, 25)
    sweep(db)
    assert sla_messages(db, order) == {"sla_hq_reminder": 2, "sla_hq_escalation": 2}
    db.execute("update app.agents set role = 'SUPERADMIN' where role = 'ADMIN'")
    other = order_in(db, context, "ACCEPTED")
    age_turn(db, other, 25)
    sweep(db)
    assert sla_messages(db, other) == {"sla_hq_reminder": 2, "sla_hq_escalation": 2}


def test_new_turn_begins_with_no_level_reached(db: Connection, context: Context) -> None:
    order = order_in(db, context, "SUBMITTED")
    start_clock(db, order, 25)
    sweep(db)
    assert sla_flags(db, order) == (True, True, True)
    respond(db, order, "ACCEPT")
    assert sla_flags(db, order) == (False, False, False)
    age_turn(db, order, 25)
    sweep(db)
    assert sla_flags(db, order) == (True, False, True)
    call(db, context.admin, "approve_order", order_id=order["id"])
    assert sla_flags(db, order) == (False, False, False)


def test_turn_of_headquarters_begins_again_only_when_they_acted(db: Connection, context: Context) -> None:
    hours = "select round(extract(epoch from now() - awaiting_since) / 3600) from app.orders where id = %s"
    accepted, over = order_in(db, context, "ACCEPTED"), order_in(db, context, "OVER_LIMIT")
    for order in (accepted, over):
        age_turn(db, order, 5)
    respond(db, accepted, "PROGRESS")
    respond(db, accepted, "DECLINE")
    assert value(db, hours, accepted["id"]) == 5
    suspend(db)
    call(db, context.admin, "release_order", order_id=over["id"], reason="langganan")
    assert (turn(db, over), value(db, hours, over["id"])) == ("HEADQUARTERS", 0)
    call(db, context.admin, "approve_order", order_id=accepted["id"])
    assert (turn(db, accepted), value(db, hours, accepted["id"])) == ("HEADQUARTERS", 0)


def test_acceptance_notifies_headquarters_and_approval_the_sub_distributor(
    db: Connection, context: Context
) -> None:
    order = order_in(db, context, "ACCEPTED")
    assert message_count(db, "order_approval_due") == 2
    respond(db, order, "PROGRESS")
    assert message_count(db, "order_approval_due") == 2  # their turn already
    call(db, context.admin, "approve_order", order_id=order["id"])
    assert message_count(db, "order_delivery_due", routed_subdist(db, order)) == 1
    assert f"Pesanan {order['order_number']} dari Salon 0 sudah disetujui" in message_text(
        db, "order_delivery_due"
    )
    state = "select status from app.messages where template = 'order_approval_due'"
    assert {row[0] for row in db.execute(state)} == {"WITHDRAWN"}


@pytest.mark.parametrize("state", ["ACCEPTED", "IN_PROGRESS"])
def test_answer_of_headquarters_turn_keeps_their_reminders(
    db: Connection, context: Context, state: str
) -> None:
    """PROGRESS during headquarters' turn neither restarts nor silences their clock."""
    order = order_in(db, context, state)
    if state == "IN_PROGRESS":
        start_clock(db, order, 18)
    else:
        age_turn(db, order, 5)
    sweep(db)
    assert sum(sla_messages(db, order).values()) > 0
    respond(db, order, "PROGRESS")
    assert (sla_messages(db, order) == {}) == (state == "IN_PROGRESS")


def test_redemption_notifies_headquarters_and_each_step_the_partner(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 100)
    for key, steps in (("a", ["SHIPPED", "DELIVERED"]), ("b", ["CANCELLED"])):
        taken = call(db, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key=key)
        for status in steps:
            call(db, context.admin, "advance_redemption", redemption_id=taken["id"], status=status)
    assert message_count(db, "redemption_due") == 4
    steps_sent = "select variables ->> 'status_text' from app.messages where template = 'redemption_status'"
    assert [row[0] for row in db.execute(steps_sent + " order by position")] == [
        "sedang dikirim",
        "sudah diterima",
        "dibatalkan, 50 poin kembali",
    ]
    assert message_text(db, "redemption_due") == (
        "Penukaran Gunting dengan 50 poin oleh Salon 0 menunggu pengiriman dari kantor pusat."
    )


def test_rerouted_order_in_processing_is_approved_after_the_answer_of_the_new_sub_distributor(
    db: Connection, context: Context
) -> None:
    order = order_in(db, context, "REROUTED")
    with refused(db, "ILLEGAL_TRANSITION"):
        call(db, context.admin, "approve_order", order_id=order["id"])
    with refused(db, "ILLEGAL_TRANSITION"), db.transaction():
        db.execute("set local role hub_owner")
        db.execute("update app.orders set status = 'APPROVED' where id = %s", [order["id"]])
    db.execute("reset role")
    respond(db, order, "ACCEPT")
    assert call(db, context.admin, "approve_order", order_id=order["id"])["status"] == "APPROVED"


@pytest.mark.parametrize("state", ["SUBMITTED", "ACCEPTED", "APPROVED"])
def test_suspension_hands_over_every_order_that_is_not_shipped(
    db: Connection, context: Context, state: str
) -> None:
    order, shipped = order_in(db, context, state), order_in(db, context, "SHIPPED")
    former, shipper = routed_subdist(db, order), routed_subdist(db, shipped)
    suspend(db, former)
    assert routed_subdist(db, order) != former
    assert routed_subdist(db, shipped) == shipper
    assert turn(db, order) == "SUBDIST"
    due = "order_delivery_due" if state == "APPROVED" else "order_routed"
    assert message_count(db, due, routed_subdist(db, order)) >= 1
    assert message_count(db, "order_withdrawn", former) == 1
    assert broken_invariants(db) == {}


def test_approved_order_is_rerouted_until_it_is_shipped(db: Connection, context: Context) -> None:
    order = order_in(db, context, "APPROVED")
    other = other_subdist(db, context, order)
    request = {"order_id": order["id"], "subdist_id": other.sub}
    assert call(db, context.admin, "reroute_order", **request)["awaiting"] == "SUBDIST"
    assert call(db, other, "ship_order", order_id=order["id"])["status"] == "SHIPPED"
    assert refusal(db, context.admin, "reroute_order", **request) == "NOT_ROUTABLE"
    assert broken_invariants(db) == {}


def test_sub_distributor_ships_and_completes_only_orders_routed_to_them(
    db: Connection, context: Context
) -> None:
    order = order_in(db, context, "APPROVED")
    mine, other = routed_subdist(db, order), other_subdist(db, context, order)
    assert refusal(db, other, "ship_order", order_id=order["id"]) == "NOT_FOUND"
    call(db, mine, "ship_order", order_id=order["id"])
    assert refusal(db, other, "complete_order", order_id=order["id"]) == "NOT_FOUND"
    assert call(db, mine, "complete_order", order_id=order["id"])["status"] == "COMPLETED"
    declined = order_in(db, context, "APPROVED_DECLINED")
    assert refusal(db, mine, "ship_order", order_id=declined["id"]) == "NOT_FOUND"
    assert call(db, context.admin, "ship_order", order_id=declined["id"])["status"] == "SHIPPED"


def test_notices_are_held_until_an_admin_is_active(db: Connection, context: Context) -> None:
    db.execute("update app.agents set is_active = false where role = 'ADMIN'")
    over, unrouted = order_in(db, context, "OVER_LIMIT"), order_in(db, context, "UNROUTED")
    accepted, declined = order_in(db, context, "ACCEPTED"), order_in(db, context, "DECLINED")
    held = "select template, order_id::text from app.messages where status = 'HELD' order by position"
    expected = [
        ("order_over_limit", over["id"]),
        ("order_unrouted", unrouted["id"]),
        ("order_approval_due", accepted["id"]),
        ("order_unrouted", declined["id"]),
    ]
    assert db.execute(held).fetchall() == expected
    assert broken_invariants(db) == {}
    sweep(db)
    assert db.execute(held).fetchall() == expected
    call(db, context.partners[0], "cancel_order", order_id=declined["id"])
    db.execute("update app.agents set is_active = true where id = %s", [context.admin.sub])
    sweep(db)
    sweep(db)
    assert db.execute(held).fetchall() == []
    sent = (
        "select template, order_id::text from app.messages"
        " where recipient_id = %s and status = 'PENDING' order by position"
    )
    assert db.execute(sent, [context.admin.sub]).fetchall() == expected[:3]
    assert broken_invariants(db) == {}


def routing_message(db: Connection, order: Order, template: str) -> str:
    found = "select id from app.messages where order_id = %s and template = %s"
    return str(value(db, found, order["id"], template))


@pytest.mark.parametrize(
    ("state", "message"), [("SUBMITTED", "order_routed"), ("APPROVED", "order_delivery_due")]
)
def test_failed_routing_message_escalates_at_once_and_is_held_without_an_admin(
    db: Connection, context: Context, state: str, message: str
) -> None:
    first, second = order_in(db, context, state), order_in(db, context, state)
    db.execute("select app.message_failed(%s, '131026', false)", [routing_message(db, first, message)])
    assert sla_messages(db, first) == {"sla_escalation": 2}
    db.execute("update app.agents set is_active = false where role = 'ADMIN'")
    db.execute("select app.message_failed(%s, '131026', false)", [routing_message(db, second, message)])
    assert (sla_messages(db, second), escalation_log(db, second)) == ({}, [])
    db.execute("update app.agents set is_active = true where role = 'ADMIN'")
    sweep(db)
    assert sla_messages(db, second) == {"sla_escalation": 2}
    assert len(escalation_log(db, second)) == 2
    assert broken_invariants(db) == {}


NOTICES = {
    "DRAFT": {},
    "OVER_LIMIT": {"sla_hq_reminder": 2, "sla_hq_escalation": 1},
    "UNROUTED": {"sla_hq_reminder": 2, "sla_hq_escalation": 1},
    "DECLINED": {"sla_hq_reminder": 2, "sla_hq_escalation": 1},
    "SUBMITTED": {"sla_reminder": 1, "sla_manager": 2, "sla_escalation": 3},
    "IN_PROGRESS": {"sla_reminder": 1, "sla_manager": 2, "sla_escalation": 3},
    "ACCEPTED": {"sla_hq_reminder": 2, "sla_hq_escalation": 1},
    "REROUTED": {"sla_reminder": 1, "sla_manager": 2, "sla_escalation": 3},
    "APPROVED": {"sla_delivery_reminder": 1, "sla_manager": 2, "sla_escalation": 3},
    "APPROVED_IN_PROGRESS": {"sla_delivery_reminder": 1, "sla_manager": 2, "sla_escalation": 3},
    "APPROVED_DECLINED": {"sla_hq_reminder": 2, "sla_hq_escalation": 1},
    "APPROVED_UNROUTED": {"sla_hq_reminder": 2, "sla_hq_escalation": 1},
    "SHIPPED": {},
    "COMPLETED": {},
    "CANCELLED": {},
    "REJECTED": {},
}
"""What is owed after 30 hours without a sweep, with two agents, two admins and a superadmin."""


def grow_older(db: Connection, hours: int) -> None:
    """Move what the clocks read back, without a trigger."""
    db.execute("set local session_replication_role = replica")
    db.execute(
        "update app.orders set routed_at = routed_at - a, last_response_at = last_response_at - a,"
        " approved_at = approved_at - a, awaiting_since = awaiting_since - a"
        " from make_interval(hours => %s) as a",
        [hours],
    )
    db.execute("set local session_replication_role = origin")


def test_thirty_hours_asleep_owe_exactly_the_notices_of_each_turn(db: Connection, context: Context) -> None:
    """Each once, and none to a sub-distributor who has answered."""
    make_agent(db, None, role="SUPERADMIN")
    # those that need a suspension of all sub-distributors first
    states = sorted(NOTICES, key=lambda state: "UNROUTED" not in state)
    orders = {state: order_in(db, context, state) for state in states}
    grow_older(db, 30)
    assert sweep(db) == sum(bool(owed) for owed in NOTICES.values())
    assert {state: sla_messages(db, order) for state, order in orders.items()} == NOTICES
    once = (
        "select count(*) = count(distinct (order_id, template, recipient_id)) from app.messages"
        " where template like 'sla%'"
    )
    assert value(db, once)
    assert [sweep(db), sweep(db)] == [0, 0]
    assert {state: sla_messages(db, order) for state, order in orders.items()} == NOTICES
    to_subdists = (
        "select distinct o.awaiting::text from app.messages m join app.orders o on o.id = m.order_id"
        " where m.template like 'sla%' and m.recipient_type = 'SUBDIST'"
    )
    assert db.execute(to_subdists).fetchall() == [("SUBDIST",)]
    assert broken_invariants(db) == {}


def test_approval_starts_the_clock_of_the_sub_distributor_again(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    start_clock(db, order, 17)
    approve(db, context, order)
    assert sweep(db) == 0
    assert value(db, "select awaiting_since = approved_at from app.orders where id = %s", order["id"])
