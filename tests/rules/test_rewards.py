"""Rewards for points."""

import psycopg
import pytest

from tests.world import Connection, World, call, make_world, refusal, value


@pytest.fixture
def world(db: Connection) -> World:
    """`rewards[0]` costs 50 points, three are left; `rewards[1]` costs 400, one is left."""
    made = make_world(db)
    call(db, made.admin, "adjust_points", partner_id=made.partners[0].sub, points=200, reason="hadiah")
    return made


def redeem(db: Connection, world: World, reward: int = 0, key: str = "k") -> str:
    answer = call(
        db, world.partners[0], "redeem_reward", reward_id=world.rewards[reward], idempotency_key=key
    )
    return str(answer["id"])


def balance(db: Connection, world: World) -> int:
    return int(value(db, "select point_balance from app.partners where id = %s", world.partners[0].sub))


def left(db: Connection, world: World) -> int:
    return int(
        value(db, "select stock_available from app.redemption_catalog where id = %s", world.rewards[0])
    )


def test_a_reward_takes_points_and_a_unit(db: Connection, world: World) -> None:
    redeem(db, world)
    assert (balance(db, world), left(db, world)) == (150, 2)


def test_the_same_key_is_the_same_reward(db: Connection, world: World) -> None:
    assert redeem(db, world) == redeem(db, world)
    assert (balance(db, world), left(db, world)) == (150, 2)
    who = world.partners[0]
    code = refusal(db, who, "redeem_reward", reward_id=world.rewards[1], idempotency_key="k")
    assert code == "IDEMPOTENCY_CONFLICT"


def test_refusals_take_nothing(db: Connection, world: World) -> None:
    who, rewards = world.partners[0], world.rewards
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
    assert balance(db, world) == 200


def test_cancelling_gives_points_and_unit_back_once(db: Connection, world: World) -> None:
    redemption = redeem(db, world)
    cancel = {"redemption_id": redemption, "status": "CANCELLED"}
    call(db, world.admin, "advance_redemption", **cancel)
    assert (balance(db, world), left(db, world)) == (200, 3)
    assert refusal(db, world.admin, "advance_redemption", **cancel) == "ILLEGAL_TRANSITION"
    assert balance(db, world) == 200


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ([], "DELIVERED"),
        (["SHIPPED"], "CANCELLED"),
        (["SHIPPED", "DELIVERED"], "CANCELLED"),
        (["CANCELLED"], "SHIPPED"),
    ],
)
def test_a_redemption_goes_its_way_only(db: Connection, world: World, path: list[str], refused: str) -> None:
    redemption = redeem(db, world)
    for status in path:
        call(db, world.admin, "advance_redemption", redemption_id=redemption, status=status)
    code = refusal(db, world.admin, "advance_redemption", redemption_id=redemption, status=refused)
    assert code == "ILLEGAL_TRANSITION"


def test_what_was_paid_for_a_reward_is_fixed(db: Connection, world: World) -> None:
    redeem(db, world)
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
        db.execute("update app.redemptions set points_spent = 1")


@pytest.mark.parametrize("points", [0, 1_000_000_001, None])
def test_points_are_adjusted_within_reason(db: Connection, world: World, points: int | None) -> None:
    who = world.partners[0].sub
    code = refusal(db, world.admin, "adjust_points", partner_id=who, points=points, reason="x")
    assert code == "INVALID_ARGUMENT"


def test_an_adjustment_never_leads_below_nothing(db: Connection, world: World) -> None:
    who = world.partners[0].sub
    code = refusal(db, world.admin, "adjust_points", partner_id=who, points=-201, reason="x")
    assert code == "POINTS_INSUFFICIENT"
    call(db, world.admin, "adjust_points", partner_id=who, points=-200, reason="x")
    assert balance(db, world) == 0


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("type, points", "'EARNED', 5"),
        ("type, points", "'REDEEMED', 5"),
        ("type, points", "'EXPIRED', -5"),
        ("type, points", "'ADJUSTED', 0"),
    ],
)
def test_the_ledger_refuses_rows_that_cannot_be(
    db: Connection, world: World, columns: str, values: str
) -> None:
    with pytest.raises(psycopg.Error), db.transaction():
        db.execute(
            f"insert into app.point_transactions (partner_id, {columns}) values (%s, {values})".encode(),
            [world.partners[0].sub],
        )
