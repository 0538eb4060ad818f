"""An idempotency key leads to one order."""

import json
from decimal import Decimal

import pytest

from tests.support.context import Connection, Context, call, grant_points, items, refusal, shadow, value


def test_same_key_and_body_return_the_same_order(db: Connection, context: Context) -> None:
    request = {"items": items(SKU_000=2, SKU_001=1), "notes": "pagi", "idempotency_key": "k"}
    first = call(db, context.partners[0], "submit_order", **request)
    assert call(db, context.partners[0], "submit_order", **request) == first
    assert value(db, "select count(*) from app.orders") == 1


@pytest.mark.parametrize(
    "change",
    [{"items": items(SKU_000=3)}, {"notes": "sore"}, {"points": 1}],
)
def test_same_key_with_another_body_is_refused(
    db: Connection, context: Context, change: dict[str, object]
) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 10)
    request = {"items": items(SKU_000=2), "notes": "pagi", "points": 0, "idempotency_key": "k"}
    call(db, who, "submit_order", **request)
    assert refusal(db, who, "submit_order", **(request | change)) == "IDEMPOTENCY_CONFLICT"


def test_idempotency_keys_are_separate_for_each_partner(db: Connection, context: Context) -> None:
    request = {"items": items(SKU_000=2), "idempotency_key": "k"}
    own = call(db, context.partners[0], "submit_order", **request)
    other = call(db, context.partners[1], "submit_order", **request)
    assert own["id"] != other["id"]


def test_draft_is_submitted_once_by_its_key(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=2))
    request = {"order_id": draft["id"], "idempotency_key": "k"}
    assert (
        call(db, who, "submit_draft", **request)["id"]
        == call(db, who, "submit_draft", **request)["id"]
        == draft["id"]
    )
    assert (
        refusal(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k2") == "ILLEGAL_TRANSITION"
    )


def test_key_of_an_order_cannot_submit_a_draft_and_vice_versa(db: Connection, context: Context) -> None:
    who = context.partners[0]
    drafts = [call(db, who, "save_draft", items=items(SKU_000=1))["id"] for _ in range(2)]
    call(db, who, "submit_order", items=items(SKU_000=1), idempotency_key="a")
    call(db, who, "submit_draft", order_id=drafts[0], idempotency_key="b")
    for function, body in (
        ("submit_draft", {"order_id": drafts[1], "idempotency_key": "a"}),
        ("submit_draft", {"order_id": drafts[1], "idempotency_key": "b"}),
        ("submit_order", {"items": items(SKU_000=1), "idempotency_key": "b"}),
    ):
        assert refusal(db, who, function, **body) == "IDEMPOTENCY_CONFLICT"


def test_key_of_a_cancelled_order_returns_that_order(db: Connection, context: Context) -> None:
    who = context.partners[0]
    request = {"items": items(SKU_000=1), "idempotency_key": "k"}
    order = call(db, who, "submit_order", **request)
    call(db, who, "cancel_order", order_id=order["id"])
    again = call(db, who, "submit_order", **request)
    assert (again["id"], again["status"]) == (order["id"], "CANCELLED")


def test_spaces_and_json_key_order_do_not_change_the_request(db: Connection, context: Context) -> None:
    who = context.partners[0]
    first = call(db, who, "submit_order", items=[{"sku": "SKU-000", "quantity": 1}], idempotency_key="k")
    again = call(db, who, "submit_order", items=[{"quantity": 1, "sku": "SKU-000"}], idempotency_key=" k ")
    assert again["id"] == first["id"]


def test_repeat_succeeds_without_stock_left(db: Connection, context: Context) -> None:
    who = context.partners[0]
    request = {"items": items(SKU_000=1000), "idempotency_key": "k"}
    first = call(db, who, "submit_order", **request)
    assert call(db, who, "submit_order", **request)["id"] == first["id"]


def test_submission_without_a_key_is_refused(db: Connection, context: Context) -> None:
    assert refusal(db, context.partners[0], "submit_order", items=items(SKU_000=1)) == "INVALID_ARGUMENT"


def test_order_in_shadow_mode_names_the_agent_and_notifies_the_partner(
    db: Connection, context: Context
) -> None:
    agent, who = context.agents[0], context.partners[0]
    acting = shadow(db, agent, who)
    order = call(db, acting, "submit_order", items=items(SKU_000=1), idempotency_key="k")
    assert (order["submission_type"], order["agent_id"]) == ("AGENT_ASSISTED", agent.sub)
    assert (
        value(db, "select count(*) from app.impersonation_notifications where order_id = %s", order["id"])
        == 1
    )
    assert value(db, "select count(*) from app.messages where template = 'order_placed_for_you'") == 1
    assert call(db, agent, "end_shadow_session") == 1
    code = refusal(db, acting, "submit_order", items=items(SKU_000=1), idempotency_key="k2")
    assert code == "SESSION_CLOSED"


def test_submission_in_an_expired_shadow_session_is_refused(db: Connection, context: Context) -> None:
    acting = shadow(db, context.agents[0], context.partners[0])
    db.execute(
        "update app.agent_sessions set started_at = now() - interval '2 h',"
        " expires_at = now() - interval '1 s'"
    )
    code = refusal(db, acting, "submit_order", items=items(SKU_000=1), idempotency_key="k")
    assert code == "SESSION_CLOSED"


def test_answer_of_a_repeat_is_the_order_as_the_partner_sees_it(db: Connection, context: Context) -> None:
    """The calls that submit do not read the view; the reason of a release is not the partner's to see."""
    who = context.partners[0]
    db.execute("update app.partners set credit_limit = 1 where id = %s", [who.sub])
    grant_points(db, context, who, 10)
    request = {"items": items(SKU_000=2), "points": 3, "notes": "pagi", "idempotency_key": "k"}
    order = call(db, who, "submit_order", **request)
    call(db, context.admin, "release_order", order_id=order["id"], reason="selalu bayar")
    repeated = call(db, who, "submit_order", **request)
    with db.transaction(force_rollback=True):
        db.execute("select set_config('request.jwt.claims', %s, true)", [who.claims])
        db.execute("select set_config('role', 'partner', true)")
        text = value(db, "select to_jsonb(o)::text from api.orders as o where o.id = %s", order["id"])
    assert repeated == json.loads(text, parse_float=Decimal)
    assert (repeated["released_at"] is None, repeated["point_discount"] > 0) == (False, True)
