"""Points corrected and expired by hand: once for each key."""

from typing import Any

import pytest

from tests.support.calls import refused
from tests.support.context import Connection, Context, broken_invariants, call, grant_points
from tests.support.queries import balance


@pytest.mark.parametrize(("function", "change"), [("adjust_points", 20), ("expire_points", -20)])
def test_repeated_correction_is_booked_once(
    db: Connection, context: Context, function: str, change: int
) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 50)
    body = {"partner_id": who.sub, "points": 20, "reason": "x", "idempotency_key": "k"}
    first = call(db, context.admin, function, **body)
    assert call(db, context.admin2, function, **body)["id"] == first["id"]
    assert balance(db, who) == 50 + change
    for other in ({"points": 19}, {"reason": "y"}, {"partner_id": context.partners[1].sub}):
        with refused(db, "IDEMPOTENCY_CONFLICT"):
            call(db, context.admin, function, **(body | other))
    with refused(db, "INVALID_ARGUMENT"):
        call(db, context.admin, function, **(body | {"idempotency_key": None}))


def test_refused_correction_leaves_its_key_free(db: Connection, context: Context) -> None:
    who = context.partners[0]
    body: dict[str, Any] = {"partner_id": who.sub, "reason": "x", "idempotency_key": "k"}
    with refused(db, "POINTS_INSUFFICIENT"):
        call(db, context.admin, "adjust_points", **body, points=-1)
    call(db, context.admin, "adjust_points", **body, points=1)
    assert balance(db, who) == 1


def test_expired_points_leave_the_balance_with_author_and_reason(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 50)
    body = {"partner_id": who.sub, "reason": "program lama", "idempotency_key": "k"}
    row = call(db, context.admin, "expire_points", **body, points=30)
    assert (row["type"], row["points"], row["description"]) == ("EXPIRED", -30, "program lama")
    author = "select created_by::text from app.point_transactions where id = %s"
    assert db.execute(author, [row["id"]]).fetchone() == (context.admin.sub,)
    assert balance(db, who) == 20
    assert broken_invariants(db) == {}


@pytest.mark.parametrize(
    ("points", "code"),
    [(0, "INVALID_ARGUMENT"), (-1, "INVALID_ARGUMENT"), (None, "INVALID_ARGUMENT"),
     (1_000_000_001, "INVALID_ARGUMENT"), (51, "POINTS_INSUFFICIENT"), (50, "")],
)  # fmt: skip
def test_no_more_points_expire_than_there_are(
    db: Connection, context: Context, points: int | None, code: str
) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 50)
    body = {"partner_id": who.sub, "points": points, "reason": "x", "idempotency_key": "k"}
    if code:
        with refused(db, code):
            call(db, context.admin, "expire_points", **body)
    else:
        call(db, context.admin, "expire_points", **body)
    assert balance(db, who) == (50 if code else 0)
