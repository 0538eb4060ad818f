"""Shadow mode: an agent orders for a partner, both are named, and the partner is notified."""

import uuid
from typing import Any

import jwt
import pytest

from tests.support.calls import call_rpc, refused
from tests.support.context import (
    Caller,
    Connection,
    Context,
    broken_invariants,
    call,
    grant_points,
    items,
    set_config,
    shadow,
    submit,
    trust_proxies,
    value,
)
from tests.support.factories import insert, make_agent, make_partner
from tests.support.messaging import message_text
from tests.support.queries import message_count
from tests.support.test_cluster import JWT_SECRET


def start_session(db: Connection, agent: Caller, partner: Caller) -> Any:
    return call(db, agent, "start_shadow_session", partner_id=partner.sub)


def test_agent_opens_a_session_for_partners_of_their_region_and_below(
    db: Connection, context: Context
) -> None:
    for region in ("id", "jabar", "bandung"):
        agent = make_agent(db, context.regions[region])
        assert start_session(db, agent, context.partners[0])["session_id"]
    below = insert(db, "regions", name="Dago", code="DAGO", parent_region_id=context.regions["bandung"])
    elsewhere: list[str | None] = [context.regions["papua"], below, None]
    for region_id in elsewhere:
        with refused(db, "NOT_FOUND"):
            start_session(db, make_agent(db, region_id), context.partners[0])


@pytest.mark.parametrize("change", ["is_active = false", "deleted_at = now()", "region_id = null"])
def test_session_for_a_closed_or_unassigned_partner_is_refused(
    db: Connection, context: Context, change: str
) -> None:
    db.execute(f"update app.partners set {change} where id = %s".encode(), [context.partners[0].sub])
    with refused(db, "NOT_FOUND"):
        start_session(db, context.agents[0], context.partners[0])
    with refused(db, "NOT_FOUND"):
        start_session(db, context.agents[0], Caller("partner", context.admin.sub))


def test_admin_opens_a_session_for_a_partner_without_region(db: Connection, context: Context) -> None:
    partner = make_partner(db, None)
    acting = shadow(db, context.admin, partner)
    assert submit(db, acting, items(SKU_000=1))["agent_id"] == context.admin.sub


def test_shadow_token_has_the_partner_as_subject_and_the_agent_as_actor(
    db: Connection, context: Context
) -> None:
    agent, who = context.agents[0], context.partners[0]
    session = start_session(db, agent, who)
    claims = jwt.decode(session["access_token"], JWT_SECRET, ["HS256"], options={"require": ["exp", "iat"]})
    assert {k: claims[k] for k in ("role", "sub", "act", "sid")} == {
        "role": "partner",
        "sub": who.sub,
        "act": {"sub": agent.sub},
        "sid": session["session_id"],
    }
    assert claims["exp"] - claims["iat"] == 3600
    set_config(db, context, "auth.shadow_session_minutes", 5)
    claims = jwt.decode(start_session(db, agent, who)["access_token"], JWT_SECRET, ["HS256"])
    assert claims["exp"] - claims["iat"] == 300
    assert call(db, Caller(claims["role"], claims["sub"], claims), "me")["acting_agent_id"] == agent.sub


@pytest.mark.parametrize("function", ["submit_order", "save_draft", "submit_draft"])
def test_order_in_shadow_mode_is_agent_assisted_and_notifies_the_partner(
    db: Connection, context: Context, function: str
) -> None:
    agent, who = context.agents[0], context.partners[0]
    acting = shadow(db, agent, who)
    if function == "submit_order":
        order = submit(db, acting, items(SKU_000=1))
    elif function == "save_draft":
        order = call(db, acting, function, items=items(SKU_000=1))
    else:
        own = call(db, who, "save_draft", items=items(SKU_000=1))
        order = call(db, acting, function, order_id=own["id"], idempotency_key="k")
    assert (order["submission_type"], order["agent_id"]) == ("AGENT_ASSISTED", agent.sub)
    is_draft = function == "save_draft"
    assert message_count(db, "draft_saved_for_you" if is_draft else "order_placed_for_you", who) == 1
    notices = (
        "select agent_session_id::text, channel::text, status::text, act from app.impersonation_notifications"
    )
    expected = [(acting.extra["sid"], "WHATSAPP", "PENDING", "DRAFT" if is_draft else "ORDER")]
    assert db.execute(notices).fetchall() == expected
    actors = "select actor_id::text from app.order_events order by id desc limit 1"
    assert value(db, actors) == agent.sub


def test_cancellation_and_changed_draft_in_shadow_mode_name_the_agent_and_notify_the_partner(
    db: Connection, context: Context
) -> None:
    agent, who = context.agents[0], context.partners[0]
    acting = shadow(db, agent, who)
    order = submit(db, who, items(SKU_000=1))
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    call(db, acting, "cancel_order", order_id=order["id"], reason="salah")
    changed = call(db, acting, "update_draft", order_id=draft["id"], items=items(SKU_000=2))
    assert (changed["agent_id"], order["agent_id"]) == (agent.sub, None)
    acts = "select act, order_id::text from app.impersonation_notifications order by id"
    assert db.execute(acts).fetchall() == [("CANCELLATION", order["id"]), ("DRAFT", draft["id"])]
    events = "select agent_id::text from api.order_events where order_id = %s order by id desc limit 1"
    assert value(db, events, order["id"]) == agent.sub
    text = message_text(db, "order_cancelled_for_you")
    assert "agen kami Citra membatalkan pesanan " + order["order_number"] in text
    assert broken_invariants(db) == {}


def test_redemption_in_shadow_mode_names_the_agent_and_notifies_the_partner(
    db: Connection, context: Context
) -> None:
    agent, who = context.agents[0], context.partners[0]
    grant_points(db, context, who, 100)
    request = {"reward_id": context.rewards[0], "idempotency_key": "k"}
    redemption = call(db, shadow(db, agent, who), "redeem_reward", **request)
    assert redemption["agent_id"] == agent.sub
    acts = "select act, redemption_id::text from app.impersonation_notifications"
    assert db.execute(acts).fetchall() == [("REDEMPTION", redemption["id"])]
    assert message_text(db, "reward_redeemed_for_you") == (
        "Halo Salon 0, agen kami Citra menukarkan 50 poin dengan Gunting atas nama Anda."
        " Hubungi kami bila ini keliru."
    )


def test_partner_who_acts_alone_gets_no_notice_of_an_agent(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 100)
    order = submit(db, who, items(SKU_000=1))
    call(db, who, "cancel_order", order_id=order["id"])
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    call(db, who, "update_draft", order_id=draft["id"], items=items(SKU_000=2))
    call(db, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    assert value(db, "select count(*) from app.impersonation_notifications") == 0
    assert value(db, "select count(*) from app.messages where template like '%_for_you'") == 0


def test_draft_of_an_agent_submitted_by_the_partner_is_a_self_submission(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    draft = call(db, shadow(db, context.agents[0], who), "save_draft", items=items(SKU_000=1))
    order = call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert (order["submission_type"], order["agent_id"]) == ("SELF", None)
    assert message_count(db, "order_placed_for_you") == 0


@pytest.mark.parametrize(
    "end",
    [
        "update app.agent_sessions set ended_at = now()",
        "update app.agent_sessions set started_at = now() - interval '2 hours', expires_at = now()",
        "update app.agents set is_active = false",
    ],
)
def test_token_of_a_closed_session_is_refused(db: Connection, context: Context, end: str) -> None:
    acting = shadow(db, context.agents[0], context.partners[0])
    assert submit(db, acting, items(SKU_000=1))
    db.execute(end.encode())
    for function, arguments in (
        ("me", {}),
        ("quote_order", {"items": items(SKU_000=1)}),
        ("submit_order", {"items": items(SKU_000=1), "idempotency_key": "late"}),
    ):
        with refused(db, "SESSION_CLOSED"):
            call(db, acting, function, **arguments)


def test_end_shadow_session_closes_all_sessions_and_logout_one(db: Connection, context: Context) -> None:
    agent, other = context.agents
    first, second, third = (shadow(db, agent, who) for who in context.partners)
    theirs = shadow(db, other, context.partners[0])
    call_rpc(db, first, "logout")
    with refused(db, "SESSION_CLOSED"):
        call(db, first, "me")
    assert call(db, second, "me")["acting_agent_id"] == agent.sub
    assert call(db, agent, "end_shadow_session") == 2
    for acting in (second, third):
        with refused(db, "SESSION_CLOSED"):
            call(db, acting, "me")
    assert call(db, agent, "end_shadow_session") == 0
    assert call(db, theirs, "me")["acting_agent_id"] == other.sub


def test_agent_cannot_change_the_partners_password(db: Connection, context: Context) -> None:
    acting = shadow(db, context.agents[0], context.partners[0])
    with refused(db, "NOT_ALLOWED"):
        call(db, acting, "change_password", current_password="x" * 12, new_password="y" * 12)


def test_partner_cannot_open_a_session_even_with_execute_granted(db: Connection, context: Context) -> None:
    with pytest.raises(Exception, match="permission denied"):
        start_session(db, context.partners[0], context.partners[1])
    db.execute("grant execute on function api.start_shadow_session(uuid) to partner, subdist")
    for who in (context.partners[0], context.subdists[0]):
        with refused(db, "NOT_ALLOWED"):
            start_session(db, who, context.partners[1])


def test_session_records_the_agents_address(db: Connection, context: Context) -> None:
    trust_proxies(db)
    headers = {"X-Forwarded-For": "203.0.113.7"}
    call_rpc(db, context.agents[0], "start_shadow_session", headers, partner_id=context.partners[0].sub)
    assert value(db, "select ip_address from app.agent_sessions") == "203.0.113.7"


def notice(db: Connection) -> tuple[Any, ...]:
    """Of the only notice: channel, status, whether it was sent, and channel and id of its message."""
    (row,) = db.execute(
        "select n.channel::text, n.status::text, n.sent_at is not null, m.channel::text, m.id::text"
        " from app.impersonation_notifications n join app.messages m on m.id = n.message_id"
    ).fetchall()
    return tuple(row)


def test_notice_follows_its_message_to_email_when_whatsapp_fails(db: Connection, context: Context) -> None:
    messenger = Caller("messenger", str(uuid.uuid4()))
    submit(db, shadow(db, context.agents[0], context.partners[0]), items(SKU_000=1))
    *state, message = notice(db)
    assert state == ["WHATSAPP", "PENDING", False, "WHATSAPP"]
    call_rpc(db, messenger, "message_sent", message_id=message, provider_id="wamid.1")
    assert notice(db)[:3] == ("WHATSAPP", "SENT", True)
    call_rpc(db, messenger, "message_status", provider_id="wamid.1", status="failed")
    *state, mail = notice(db)
    assert state == ["EMAIL", "PENDING", False, "EMAIL"]
    assert mail != message
    call_rpc(db, messenger, "message_sent", message_id=mail, provider_id="mail.1")
    assert notice(db)[:3] == ("EMAIL", "SENT", True)
    assert broken_invariants(db) == {}


def test_notice_fails_when_every_channel_fails(db: Connection, context: Context) -> None:
    messenger = Caller("messenger", str(uuid.uuid4()))
    submit(db, shadow(db, context.agents[0], context.partners[0]), items(SKU_000=1))
    for channel in ("WHATSAPP", "EMAIL"):
        assert notice(db)[0] == channel
        message = notice(db)[-1]
        call_rpc(db, messenger, "message_failed", message_id=message, error_code="131026", retry=False)
    assert notice(db)[:3] == ("EMAIL", "FAILED", False)
