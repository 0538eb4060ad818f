"""Rewards for points."""

import psycopg
import pytest

from tests.support.calls import refused
from tests.support.context import Connection, Context, as_owner, call, grant_points, refusal, value
from tests.support.queries import balance, message_count


@pytest.fixture(autouse=True)
def _points(db: Connection, context: Context) -> None:
    """The partner has 200 points. `rewards[0]` costs 50 and has 3 units, `rewards[1]` costs 400 and has 1."""
    grant_points(db, context, context.partners[0], 200)


def redeem(db: Connection, context: Context, reward: int = 0, key: str = "k") -> str:
    answer = call(
        db, context.partners[0], "redeem_reward", reward_id=context.rewards[reward], idempotency_key=key
    )
    return str(answer["id"])


def units_left(db: Connection, context: Context) -> int:
    return int(
        value(db, "select stock_available from app.redemption_catalog where id = %s", context.rewards[0])
    )


def test_redemption_deducts_points_and_one_unit(db: Connection, context: Context) -> None:
    redeem(db, context)
    assert (balance(db, context.partners[0]), units_left(db, context)) == (150, 2)


def test_partner_is_notified_of_the_redemption_and_of_the_points_left(
    db: Connection, context: Context
) -> None:
    redeem(db, context)
    sent = "select recipient_id::text, variables from app.messages where template = 'reward_redeemed'"
    name = value(db, "select name from app.redemption_catalog where id = %s", context.rewards[0])
    assert db.execute(sent).fetchall() == [
        (context.partners[0].sub, {"reward": name, "points": 50, "point_balance": 150})
    ]


def test_same_key_returns_the_same_redemption(db: Connection, context: Context) -> None:
    assert redeem(db, context) == redeem(db, context)
    assert (balance(db, context.partners[0]), units_left(db, context)) == (150, 2)
    who = context.partners[0]
    code = refusal(db, who, "redeem_reward", reward_id=context.rewards[1], idempotency_key="k")
    assert code == "IDEMPOTENCY_CONFLICT"


def test_refused_redemption_deducts_nothing(db: Connection, context: Context) -> None:
    who, rewards = context.partners[0], context.rewards
    cases = [(rewards[1], "k1", "POINTS_INSUFFICIENT"), (who.sub, "k2", "NOT_FOUND")]
    cases += [(rewards[0], "", "INVALID_ARGUMENT")]
    for reward, key, code in cases:
        assert refusal(db, who, "redeem_reward", reward_id=reward, idempotency_key=key) == code
    db.execute("update app.redemption_catalog set stock_available = 0")
    assert (
        refusal(db, who, "redeem_reward", reward_id=rewards[0], idempotency_key="k3") == "REWARD_UNAVAILABLE"
    )
    db.execute("update app.redemption_catalog set stock_available = 9, is_active = false")
    assert (
        refusal(db, who, "redeem_reward", reward_id=rewards[0], idempotency_key="k4") == "REWARD_UNAVAILABLE"
    )
    assert balance(db, context.partners[0]) == 200


def test_cancelled_redemption_returns_points_and_unit_once(db: Connection, context: Context) -> None:
    redemption = redeem(db, context)
    cancel = {"redemption_id": redemption, "status": "CANCELLED"}
    call(db, context.admin, "advance_redemption", **cancel)
    assert (balance(db, context.partners[0]), units_left(db, context)) == (200, 3)
    returned = "select description from app.point_transactions where redemption_id is not null and points > 0"
    assert value(db, returned) == "penukaran dibatalkan"
    assert message_count(db, "redemption_status", context.partners[0]) == 1
    assert refusal(db, context.admin, "advance_redemption", **cancel) == "ILLEGAL_TRANSITION"
    assert balance(db, context.partners[0]) == 200


@pytest.mark.parametrize(
    ("path", "refused_status"),
    [
        ([], "DELIVERED"),
        (["SHIPPED"], "CANCELLED"),
        (["SHIPPED", "DELIVERED"], "CANCELLED"),
        (["CANCELLED"], "SHIPPED"),
    ],
)
def test_illegal_redemption_status_is_refused(
    db: Connection, context: Context, path: list[str], refused_status: str
) -> None:
    redemption = redeem(db, context)
    for status in path:
        call(db, context.admin, "advance_redemption", redemption_id=redemption, status=status)
    code = refusal(db, context.admin, "advance_redemption", redemption_id=redemption, status=refused_status)
    assert code == "ILLEGAL_TRANSITION"


@pytest.mark.parametrize(
    ("statement", "call_name"),
    [
        (
            "insert into app.redemptions (partner_id, catalog_item_id, points_spent)"
            " select partner_id, catalog_item_id, 1 from app.redemptions",
            "redeem_reward",
        ),
        ("update app.redemptions set status = 'SHIPPED'", "advance_redemption"),
    ],
)
def test_redemption_written_by_a_superuser_is_refused_with_the_name_of_the_call(
    db: Connection, context: Context, statement: str, call_name: str
) -> None:
    redeem(db, context)
    with refused(db, "NOT_ALLOWED") as why:
        db.execute(statement.encode())
    assert f"api.{call_name}" in (why.hint or "")


def test_illegal_redemption_status_is_refused_for_the_owner_too(db: Connection, context: Context) -> None:
    redemption = redeem(db, context)
    with refused(db, "ILLEGAL_TRANSITION"), as_owner(db):
        db.execute("update app.redemptions set status = 'DELIVERED' where id = %s", [redemption])


def test_redemption_cannot_be_deleted(db: Connection, context: Context) -> None:
    redeem(db, context)
    with refused(db, "APPEND_ONLY"):
        db.execute("delete from app.redemptions")


def test_points_spent_on_a_redemption_cannot_be_changed(db: Connection, context: Context) -> None:
    redeem(db, context)
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
        db.execute("update app.redemptions set points_spent = 1")


@pytest.mark.parametrize("points", [0, 1_000_000_001, None])
def test_point_correction_of_zero_or_out_of_range_is_refused(
    db: Connection, context: Context, points: int | None
) -> None:
    who = context.partners[0].sub
    code = refusal(
        db, context.admin, "adjust_points", partner_id=who, points=points, reason="x", idempotency_key="k"
    )
    assert code == "INVALID_ARGUMENT"


def test_point_correction_below_zero_is_refused(db: Connection, context: Context) -> None:
    who = context.partners[0].sub
    code = refusal(
        db, context.admin, "adjust_points", partner_id=who, points=-201, reason="x", idempotency_key="l"
    )
    assert code == "POINTS_INSUFFICIENT"
    call(db, context.admin, "adjust_points", partner_id=who, points=-200, reason="x", idempotency_key="m")
    assert balance(db, context.partners[0]) == 0


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("type, points", "'EARNED', 5"),
        ("type, points", "'REDEEMED', 5"),
        ("type, points", "'EXPIRED', -5"),
        ("type, points", "'ADJUSTED', 0"),
    ],
)
def test_ledger_refuses_points_that_contradict_their_type(
    db: Connection, context: Context, columns: str, values: str
) -> None:
    with pytest.raises(psycopg.Error), db.transaction():
        db.execute(
            f"insert into app.point_transactions (partner_id, {columns}) values (%s, {values})".encode(),
            [context.partners[0].sub],
        )
