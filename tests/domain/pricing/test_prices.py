"""What a unit costs, when, and for whom; what may be ordered at all."""

from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.context import Connection, Context, call, items, line, refusal, submit, value
from tests.support.factories import answer, refused, set_price


def charged(
    db: Connection, context: Context, units: int = 1, partner: int = 0, sku: str = "SKU-000"
) -> Decimal:
    told = call(db, context.partners[partner], "quote_order", items=[line(sku, units)])
    return Decimal(told["lines"][0]["unit_price"])


@pytest.mark.parametrize(
    ("since", "until", "holds"),
    [
        ("now()", "now() + interval '1 microsecond'", True),
        ("now() - interval '1 microsecond'", "null", True),
        ("now() - interval '1 day'", "now()", False),
        ("now() + interval '1 microsecond'", "null", False),
    ],
)
def test_a_price_holds_from_its_first_moment_until_just_before_its_end(
    db: Connection, context: Context, since: str, until: str, holds: bool
) -> None:
    set_price(db, context, 70_000, since, until)
    assert charged(db, context) == (70_000 if holds else 100_000)


def test_a_price_holds_for_its_tier_and_its_product_alone(db: Connection, context: Context) -> None:
    set_price(db, context, 70_000, tier="GOLD")
    assert [charged(db, context, partner=i) for i in range(3)] == [100_000, 70_000, 100_000]
    assert charged(db, context, partner=1, sku="SKU-001") == 125_000


def test_one_price_may_start_at_the_moment_at_which_the_other_ends(db: Connection, context: Context) -> None:
    set_price(db, context, 70_000, "now() - interval '1 day'", "now()")
    set_price(db, context, 80_000, "now()")
    assert charged(db, context) == 80_000


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("now()", "null"),
        ("now() - interval '1 year'", "null"),
        ("now() - interval '1 year'", "now() - interval '1 day' + interval '1 microsecond'"),
        ("now() + interval '1 day' - interval '1 microsecond'", "null"),
    ],
)
def test_two_prices_never_overlap_in_time(db: Connection, context: Context, since: str, until: str) -> None:
    set_price(db, context, 70_000, "now() - interval '1 day'", "now() + interval '1 day'")
    with pytest.raises(psycopg.errors.ExclusionViolation), db.transaction():
        set_price(db, context, 80_000, since, until)
    set_price(db, context, 80_000, since, until, tier="GOLD")
    set_price(db, context, 80_000, since, until, sku="SKU-001")


def test_a_schedule_of_two_rows_is_edited_in_one_transaction(db: Connection, context: Context) -> None:
    first = set_price(db, context, 70_000, "now() - interval '1 day'", "now() + interval '1 day'")
    second = set_price(db, context, 80_000, "now() + interval '1 day'")
    db.execute("set constraints app.tier_prices_no_overlap_excl deferred")
    db.execute("update app.tier_prices set effective_from = now() where id = %s", [second])
    with pytest.raises(psycopg.errors.ExclusionViolation), db.transaction():
        db.execute("set constraints app.tier_prices_no_overlap_excl immediate")
    db.execute("update app.tier_prices set effective_until = now() where id = %s", [first])
    db.execute("set constraints app.tier_prices_no_overlap_excl immediate")
    assert charged(db, context) == 80_000


@pytest.mark.parametrize(("units", "price"), [(2, 80_000), (3, 60_000)])
def test_a_discount_from_two_and_a_half_units_on_begins_with_the_third(
    db: Connection, context: Context, units: int, price: int
) -> None:
    set_price(db, context, 80_000, discount=(2.5, 60_000))
    assert charged(db, context, units) == price


def test_two_lines_of_one_product_reach_the_discount_together(db: Connection, context: Context) -> None:
    set_price(db, context, 80_000, discount=(10, 60_000))
    order = submit(db, context.partners[0], [line("SKU-000", 6), line("SKU-000", 4)])
    assert (order["subtotal"], order["discount_amount"], order["grand_total"]) == (800_000, 200_000, 600_000)
    lines = db.execute(
        "select quantity, list_price, unit_price, line_total from app.order_items where order_id = %s",
        [order["id"]],
    ).fetchall()
    assert lines == [(10, 80_000, 60_000, 600_000)]


def test_an_order_costs_what_was_quoted_and_what_the_catalogue_shows(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    set_price(db, context, 80_000, discount=(10, 60_000))
    wanted = items(SKU_000=10, SKU_001=1)
    quote = call(db, who, "quote_order", items=wanted)
    order = submit(db, who, wanted)
    totals = ("subtotal", "discount_amount", "point_discount", "grand_total")
    assert [order[t] for t in totals] == [quote[t] for t in totals] == [925_000, 200_000, 0, 725_000]
    assert order["points_earned"] == quote["points_promised"] == 72
    shown = "select price, min_qty_discount, discount_price from api.products where sku = 'SKU-000'"
    with db.transaction():
        db.execute("select set_config('request.jwt.claims', %s, true)", [who.claims])
        assert db.execute(shown).fetchone() == (80_000, 10, 60_000)


def test_a_quote_writes_nothing(db: Connection, context: Context) -> None:
    db.execute("set transaction read only")
    assert call(db, context.partners[0], "quote_order", items=items(SKU_000=5))["grand_total"] == 500_000


def test_a_withdrawn_product_is_sold_no_more_not_even_from_a_draft(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1, SKU_001=1))
    db.execute("update app.products set is_active = false where sku = 'SKU-001'")
    for function, arguments in (
        ("quote_order", {"items": items(SKU_001=1)}),
        ("submit_order", {"items": items(SKU_001=1), "idempotency_key": "a"}),
        ("submit_draft", {"order_id": draft["id"], "idempotency_key": "b"}),
    ):
        with refused(db, "UNKNOWN_SKU") as why:
            call(db, who, function, **arguments)
        assert why.details == "SKU-001"


@pytest.mark.parametrize(
    "given",
    [
        [], {}, "SKU-000", 7, None, [1], [None], ["SKU-000"], [{}], [{"sku": "SKU-000"}], [{"quantity": 1}],
        [{"sku": 7, "quantity": 1}], [{"sku": None, "quantity": 1}], [{"sku": "SKU-000", "quantity": "2"}],
        [{"sku": "SKU-000", "quantity": 0}], [{"sku": "SKU-000", "quantity": -1}],
        [{"sku": "SKU-000", "quantity": 1.5}], [{"sku": "SKU-000", "quantity": 100_001}],
        [{"sku": "SKU-000", "quantity": None}], [{"sku": "SKU-000", "quantity": 1}, {"sku": "SKU-001"}],
    ],
)  # fmt: skip
def test_items_have_the_promised_form(db: Connection, context: Context, given: Any) -> None:
    with refused(db, "INVALID_ITEMS"):
        answer(db, context.partners[0], "quote_order", items=Jsonb(given))


def test_an_order_has_at_most_so_many_different_products(db: Connection, context: Context) -> None:
    call(db, context.admin, "set_config", config_key="order.max_lines", config_value=2)
    submit(db, context.partners[0], [*items(SKU_000=1, SKU_001=1), line("SKU-000", 1)])
    for lines in (items(SKU_000=1, SKU_001=1, SKU_002=1), [line("SKU-000", 1)] * 5001):
        with refused(db, "TOO_MANY_LINES"):
            call(db, context.partners[0], "quote_order", items=lines)


def test_unknown_products_are_named(db: Connection, context: Context) -> None:
    with refused(db, "UNKNOWN_SKU") as why:
        call(db, context.partners[0], "quote_order", items=items(SKU_000=1, NIL_2=1, NIL_1=1))
    assert why.details == "NIL-1, NIL-2"


def test_a_total_beyond_the_columns_is_refused(db: Connection, context: Context) -> None:
    db.execute("update app.products set base_price = 9999999999999 where sku = 'SKU-000'")
    with refused(db, "INVALID_ITEMS"):
        call(db, context.partners[0], "quote_order", items=items(SKU_000=2))


def test_edits_of_the_list_leave_submitted_lines_alone(db: Connection, context: Context) -> None:
    price = set_price(db, context, 80_000, discount=(2, 60_000))
    order = submit(db, context.partners[0], items(SKU_000=2))
    db.execute("update app.tier_prices set price = 10, discount_price = 5 where id = %s", [price])
    db.execute("update app.partners set tier = 'PLATINUM'")
    frozen = "select unit_price, line_total from app.order_items where order_id = %s"
    assert db.execute(frozen, [order["id"]]).fetchall() == [(60_000, 120_000)]
    assert value(db, "select grand_total from app.orders where id = %s", order["id"]) == 120_000


def test_what_can_be_drafted_can_be_submitted(db: Connection, context: Context) -> None:
    """Two lines of one product, each allowed, both together not: no draft may hold what no order can."""
    lines = [line("SKU-000", 60_000), line("SKU-000", 60_000)]
    for call_name, arguments in (
        ("quote_order", {}),
        ("save_draft", {}),
        ("submit_order", {"idempotency_key": "k"}),
    ):
        assert refusal(db, context.partners[0], call_name, items=lines, **arguments) == "INVALID_ITEMS"
