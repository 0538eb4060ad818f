"""The total that a partner saw is compared with what the order would cost."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.support.calls import refused
from tests.support.context import (
    Caller,
    Connection,
    Context,
    call,
    grant_points,
    items,
    refusal,
    set_config,
    submit,
    value,
)

LINES = items(SKU_000=10)


def raise_price(db: Connection, price: int) -> None:
    db.execute("update app.products set base_price = %s where sku = 'SKU-000'", [price])


def submission(db: Connection, who: Caller, function: str) -> dict[str, Any]:
    """Arguments that submit LINES by this function, without their key."""
    if function == "submit_order":
        return {"items": LINES}
    return {"order_id": call(db, who, "save_draft", items=LINES)["id"]}


@pytest.mark.regression("shopper PR 614")
@pytest.mark.parametrize("price", [100_001, 150_000, 999_999])
@pytest.mark.parametrize("function", ["submit_order", "submit_draft"])
def test_total_above_the_expected_one_is_refused_with_the_new_quote(
    db: Connection, context: Context, function: str, price: int
) -> None:
    who = context.partners[0]
    request = submission(db, who, function) | {"idempotency_key": "k", "expected_total": 1_000_000}
    raise_price(db, price)
    with refused(db, "PRICE_CHANGED") as why:
        call(db, who, function, **request)
    quote = json.loads(why.details or "", parse_float=Decimal)
    assert quote == call(db, who, "quote_order", items=LINES)
    assert quote["grand_total"] == 10 * price
    # The refusal leaves nothing behind, and the key is free for the new total, also in another body.
    assert value(db, "select count(*) from app.orders where status <> 'DRAFT'") == 0
    order = call(db, who, function, **(request | {"expected_total": quote["grand_total"]}))
    assert (order["status"], order["grand_total"]) == ("SUBMITTED", 10 * price)


@pytest.mark.parametrize("function", ["submit_order", "submit_draft"])
def test_total_below_the_expected_one_is_charged(db: Connection, context: Context, function: str) -> None:
    who = context.partners[0]
    request = submission(db, who, function)
    raise_price(db, 90_000)
    order = call(db, who, function, **request, idempotency_key="k", expected_total=1_000_000)
    assert order["grand_total"] == 900_000


def test_total_without_an_expected_one_is_charged(db: Connection, context: Context) -> None:
    raise_price(db, 150_000)
    assert submit(db, context.partners[0], LINES)["grand_total"] == 1_500_000


def test_expected_total_is_compared_after_points(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 100)
    request = {"items": LINES, "points": 100, "idempotency_key": "k"}
    with refused(db, "PRICE_CHANGED") as why:
        call(db, who, "submit_order", **request, expected_total=Decimal("989999.99"))
    quote = json.loads(why.details or "", parse_float=Decimal)
    assert (quote["point_discount"], quote["points_used"]) == (10_000, 100)
    assert call(db, who, "submit_order", **request, expected_total=990_000)["grand_total"] == 990_000


def test_order_paid_with_points_alone_can_expect_nothing(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 10_000)
    request = {"items": LINES, "points": 10_000, "idempotency_key": "k", "expected_total": 0}
    assert call(db, who, "submit_order", **request)["grand_total"] == 0


@pytest.mark.parametrize("expected", [None, 1, 999_999_999])
def test_stored_order_is_returned_whatever_total_its_repeat_expects(
    db: Connection, context: Context, expected: int | None
) -> None:
    who = context.partners[0]
    request = {"items": LINES, "idempotency_key": "k"}
    first = call(db, who, "submit_order", **request, expected_total=1_000_000)
    raise_price(db, 150_000)
    assert call(db, who, "submit_order", **request, expected_total=expected) == first


def test_price_is_compared_before_credit_and_stock(db: Connection, context: Context) -> None:
    """The partner decides with the new total in hand, and then learns what else is missing."""
    who = context.partners[0]
    set_config(db, context, "credit.over_limit_policy", "BLOCK")
    db.execute("update app.partners set credit_limit = 1")
    request = {"items": items(SKU_000=2000), "idempotency_key": "k"}
    assert refusal(db, who, "submit_order", **request, expected_total=1) == "PRICE_CHANGED"
    assert refusal(db, who, "submit_order", **request) == "CREDIT_LIMIT_EXCEEDED"


@pytest.mark.parametrize("function", ["submit_order", "submit_draft"])
@pytest.mark.parametrize("expected", ["-0.01", "0.001", "NaN", "Infinity", "10000000000000"])
def test_impossible_expected_total_is_refused(
    db: Connection, context: Context, function: str, expected: str
) -> None:
    who = context.partners[0]
    request = submission(db, who, function)
    code = refusal(db, who, function, **request, idempotency_key="k", expected_total=Decimal(expected))
    assert code == "INVALID_ARGUMENT"
