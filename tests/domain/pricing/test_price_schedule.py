"""The price schedule: only the future changes."""

from typing import Any

import psycopg
import pytest

from tests.support.calls import refused, write
from tests.support.context import Connection, Context, value
from tests.support.factories import set_price

PAST = ("now() - interval '2 days'", "now() - interval '1 day'")
RUNNING = ("now() - interval '1 day'", "now() + interval '1 day'")
FUTURE = ("now() + interval '1 day'", "now() + interval '2 days'")
CHANGES = [
    "price = 1",
    "tier = 'GOLD'",
    "min_qty_discount = 2, discount_price = 1",
    "effective_from = effective_from + interval '1 hour'",
    "product_id = (select id from api.products where sku = 'SKU-001')",
]


def change(db: Connection, context: Context, what: str, price: Any) -> int:
    return write(db, context.admin, f"update api.tier_prices set {what} where id = %s", price)


@pytest.mark.parametrize("what", CHANGES)
def test_a_future_period_is_changed(db: Connection, context: Context, what: str) -> None:
    assert change(db, context, what, set_price(db, context, 70_000, *FUTURE)) == 1


@pytest.mark.parametrize("period", [PAST, RUNNING])
@pytest.mark.parametrize("what", CHANGES)
def test_a_period_that_has_begun_is_not_changed(
    db: Connection, context: Context, period: tuple[str, str], what: str
) -> None:
    price = set_price(db, context, 70_000, *period)
    with refused(db, "PRICE_IN_FORCE"):
        change(db, context, what, price)
    with refused(db, "PRICE_IN_FORCE"):  # not by psql either
        db.execute(
            f"update app.tier_prices set {what.replace('api.', 'app.')} where id = %s".encode(), [price]
        )


@pytest.mark.parametrize("end", ["now()", "now() + interval '1 hour'", "now() + interval '9 days'", "null"])
def test_a_running_period_is_ended_now_or_later(db: Connection, context: Context, end: str) -> None:
    price = set_price(db, context, 70_000, *RUNNING)
    assert change(db, context, f"effective_until = {end}", price) == 1


def test_a_running_period_is_not_ended_in_the_past(db: Connection, context: Context) -> None:
    price = set_price(db, context, 70_000, *RUNNING)
    with refused(db, "PRICE_IN_FORCE"):
        change(db, context, "effective_until = now() - interval '1 second'", price)


@pytest.mark.parametrize("end", ["null", "now() + interval '1 day'"])
def test_a_period_that_has_ended_stays(db: Connection, context: Context, end: str) -> None:
    price = set_price(db, context, 70_000, *PAST)
    with refused(db, "PRICE_IN_FORCE"):
        change(db, context, f"effective_until = {end}", price)


def test_a_future_period_does_not_move_into_the_past(db: Connection, context: Context) -> None:
    price = set_price(db, context, 70_000, *FUTURE)
    with refused(db, "PRICE_IN_FORCE"):
        change(db, context, "effective_from = now() - interval '1 hour'", price)


def test_only_future_periods_are_deleted(db: Connection, context: Context) -> None:
    prices = [set_price(db, context, 70_000, *period) for period in (PAST, RUNNING, FUTURE)]
    for price in prices[:2]:
        with refused(db, "PRICE_IN_FORCE"):
            write(db, context.admin, "delete from api.tier_prices where id = %s", price)
    assert write(db, context.admin, "delete from api.tier_prices where id = %s", prices[2]) == 1


def test_a_period_that_is_over_is_not_entered(db: Connection, context: Context) -> None:
    statement = (
        "insert into api.tier_prices (product_id, tier, price, effective_from, effective_until)"
        " values (%s, 'SILVER', 1, now() - interval '2 days', now() + {})"
    )
    with refused(db, "PRICE_IN_FORCE"):
        write(db, context.admin, statement.format("interval '-1 hour'"), context.products["SKU-000"])
    assert write(db, context.admin, statement.format("interval '1 hour'"), context.products["SKU-000"]) == 1


def test_an_upsert_of_an_unchanged_schedule_changes_nothing(db: Connection, context: Context) -> None:
    for period in (PAST, RUNNING, FUTURE):
        set_price(db, context, 70_000, *period)
    count = write(
        db,
        context.admin,
        "insert into api.tier_prices (id, product_id, tier, price, effective_from, effective_until)"
        " select id, product_id, tier, price, effective_from, effective_until from api.tier_prices"
        " on conflict (id) do update set id = excluded.id, product_id = excluded.product_id,"
        " tier = excluded.tier, price = excluded.price, effective_from = excluded.effective_from,"
        " effective_until = excluded.effective_until",
    )
    assert count == 3


def test_one_statement_ends_a_price_and_starts_the_next(db: Connection, context: Context) -> None:
    price = set_price(db, context, 70_000, "now() - interval '1 day'")
    count = write(
        db,
        context.admin,
        "insert into api.tier_prices (id, product_id, tier, price, effective_from, effective_until) values"
        " (gen_random_uuid(), %(p)s, 'SILVER', 80000, now(), null),"
        " (%(id)s, %(p)s, 'SILVER', 70000, now() - interval '1 day', now())"
        " on conflict (id) do update set effective_until = excluded.effective_until".replace(
            "%(p)s", f"'{context.products['SKU-000']}'"
        ).replace("%(id)s", f"'{price}'"),
    )
    assert count == 2
    assert value(db, "select count(*) from app.tier_prices where effective_until = now()") == 1


def test_periods_still_never_overlap(db: Connection, context: Context) -> None:
    set_price(db, context, 70_000, *FUTURE)
    with pytest.raises(psycopg.errors.ExclusionViolation), db.transaction():
        write(
            db,
            context.admin,
            "insert into api.tier_prices (product_id, tier, price) values (%s, 'SILVER', 1)",
            context.products["SKU-000"],
        )
