"""The price of a unit by time, tier and quantity, and the items that can be ordered."""

from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.calls import call_rpc, refused
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    line,
    refusal,
    set_config,
    submit,
    value,
)
from tests.support.factories import set_price


def unit_price(
    db: Connection, context: Context, units: int = 1, partner: int = 0, sku: str = "SKU-000"
) -> Decimal:
    quote = call(db, context.partners[partner], "quote_order", items=[line(sku, units)])
    return Decimal(quote["lines"][0]["unit_price"])


@pytest.mark.parametrize(
    ("since", "until", "is_valid"),
    [
        ("now()", "now() + interval '1 microsecond'", True),
        ("now() - interval '1 microsecond'", "null", True),
        ("now() - interval '1 day'", "now()", False),
        ("now() + interval '1 microsecond'", "null", False),
    ],
)
def test_price_is_valid_from_its_start_until_just_before_its_end(
    db: Connection, context: Context, since: str, until: str, is_valid: bool
) -> None:
    set_price(db, context, 70_000, since, until)
    assert unit_price(db, context) == (70_000 if is_valid else 100_000)


def test_price_is_valid_for_its_tier_and_product_only(db: Connection, context: Context) -> None:
    set_price(db, context, 70_000, tier="GOLD")
    assert [unit_price(db, context, partner=i) for i in range(3)] == [100_000, 70_000, 100_000]
    assert unit_price(db, context, partner=1, sku="SKU-001") == 125_000


def test_price_can_start_when_the_previous_one_ends(db: Connection, context: Context) -> None:
    set_price(db, context, 70_000, "now() - interval '1 day'", "now()")
    set_price(db, context, 80_000, "now()")
    assert unit_price(db, context) == 80_000


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("now()", "null"),
        ("now() - interval '1 year'", "null"),
        ("now() - interval '1 year'", "now() - interval '1 day' + interval '1 microsecond'"),
        ("now() + interval '1 day' - interval '1 microsecond'", "null"),
    ],
)
def test_overlapping_price_periods_are_refused(
    db: Connection, context: Context, since: str, until: str
) -> None:
    set_price(db, context, 70_000, "now() - interval '1 day'", "now() + interval '1 day'")
    with pytest.raises(psycopg.errors.ExclusionViolation), db.transaction():
        set_price(db, context, 80_000, since, until)
    set_price(db, context, 80_000, since, until, tier="GOLD")
    set_price(db, context, 80_000, since, until, sku="SKU-001")


def test_adjacent_periods_can_be_moved_in_one_transaction(db: Connection, context: Context) -> None:
    first = set_price(db, context, 70_000, "now() - interval '1 day'", "now() + interval '1 day'")
    second = set_price(db, context, 80_000, "now() + interval '1 day'")
    db.execute("set constraints app.tier_prices_no_overlap_excl deferred")
    db.execute("update app.tier_prices set effective_from = now() where id = %s", [second])
    with pytest.raises(psycopg.errors.ExclusionViolation), db.transaction():
        db.execute("set constraints app.tier_prices_no_overlap_excl immediate")
    db.execute("update app.tier_prices set effective_until = now() where id = %s", [first])
    db.execute("set constraints app.tier_prices_no_overlap_excl immediate")
    assert unit_price(db, context) == 80_000


@pytest.mark.parametrize(("units", "price"), [(2, 80_000), (3, 60_000)])
def test_discount_from_a_fractional_quantity_starts_at_the_next_unit(
    db: Connection, context: Context, units: int, price: int
) -> None:
    set_price(db, context, 80_000, discount=(2.5, 60_000))
    assert unit_price(db, context, units) == price


def test_lines_of_one_product_reach_the_discount_together(db: Connection, context: Context) -> None:
    set_price(db, context, 80_000, discount=(10, 60_000))
    order = submit(db, context.partners[0], [line("SKU-000", 6), line("SKU-000", 4)])
    assert (order["subtotal"], order["discount_amount"], order["grand_total"]) == (800_000, 200_000, 600_000)
    lines = db.execute(
        "select quantity, list_price, unit_price, line_total from app.order_items where order_id = %s",
        [order["id"]],
    ).fetchall()
    assert lines == [(10, 80_000, 60_000, 600_000)]


def test_order_total_equals_quote_and_catalogue(db: Connection, context: Context) -> None:
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


def test_quote_writes_nothing(db: Connection, context: Context) -> None:
    db.execute("set transaction read only")
    assert call(db, context.partners[0], "quote_order", items=items(SKU_000=5))["grand_total"] == 500_000


def test_withdrawn_product_cannot_be_quoted_or_ordered(db: Connection, context: Context) -> None:
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
        [[{"sku": "SKU-000", "quantity": 1}]], [{"sku": ["SKU-000"], "quantity": 1}],
        [{"sku": "SKU-000", "quantity": [1]}], [{"sku": "SKU-000", "quantity": 1e40}],
    ],
)  # fmt: skip
def test_malformed_items_are_refused(db: Connection, context: Context, given: Any) -> None:
    with refused(db, "INVALID_ITEMS"):
        call_rpc(db, context.partners[0], "quote_order", items=Jsonb(given))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"sku": "SKU-001", "quantity": 0}, "INVALID_ITEMS"), ({"sku": 7, "quantity": 1}, "INVALID_ITEMS"),
        ({"sku": "SKU-001", "quantity": 100_001}, "INVALID_ITEMS"), ([], "INVALID_ITEMS"),
        ({"sku": "SKU-001", "quantity": 1, "unit": "box"}, "INVALID_ITEMS"),
        ({"sku": 'X", "quantity": 1, "unit": "box', "quantity": 1}, "UNKNOWN_SKU"),
        ({"sku": "SKU-001\\", "quantity": 1}, "UNKNOWN_SKU"),
    ],
)  # fmt: skip
def test_wrong_item_between_others_is_refused(
    db: Connection, context: Context, given: Any, code: str
) -> None:
    with refused(db, code):
        call_rpc(
            db,
            context.partners[0],
            "quote_order",
            items=Jsonb([line("SKU-000", 1), given, line("SKU-002", 1)]),
        )


def test_order_with_too_many_products_is_refused(db: Connection, context: Context) -> None:
    set_config(db, context, "order.max_lines", 2)
    submit(db, context.partners[0], [*items(SKU_000=1, SKU_001=1), line("SKU-000", 1)])
    for lines in (items(SKU_000=1, SKU_001=1, SKU_002=1), [line("SKU-000", 1)] * 5001):
        with refused(db, "TOO_MANY_LINES"):
            call(db, context.partners[0], "quote_order", items=lines)


def test_unknown_products_are_named_in_the_refusal(db: Connection, context: Context) -> None:
    with refused(db, "UNKNOWN_SKU") as why:
        call(db, context.partners[0], "quote_order", items=items(SKU_000=1, NIL_2=1, NIL_1=1))
    assert why.details == "NIL-1, NIL-2"


def test_total_beyond_the_column_is_refused(db: Connection, context: Context) -> None:
    db.execute("update app.products set base_price = 9999999999999 where sku = 'SKU-000'")
    with refused(db, "INVALID_ITEMS"):
        call(db, context.partners[0], "quote_order", items=items(SKU_000=2))


def test_changed_prices_do_not_change_submitted_lines(db: Connection, context: Context) -> None:
    price = set_price(db, context, 80_000, discount=(2, 60_000))
    order = submit(db, context.partners[0], items(SKU_000=2))
    db.execute("alter table app.tier_prices disable trigger _100_guard_update")
    db.execute("update app.tier_prices set price = 10, discount_price = 5 where id = %s", [price])
    db.execute("update app.partners set tier = 'PLATINUM'")
    frozen = "select unit_price, line_total from app.order_items where order_id = %s"
    assert db.execute(frozen, [order["id"]]).fetchall() == [(60_000, 120_000)]
    assert value(db, "select grand_total from app.orders where id = %s", order["id"]) == 120_000


def test_draft_refuses_quantities_that_no_order_allows(db: Connection, context: Context) -> None:
    """Two lines of one product are allowed each but not together; a draft cannot hold what no order can."""
    lines = [line("SKU-000", 60_000), line("SKU-000", 60_000)]
    for function, arguments in (
        ("quote_order", {}),
        ("save_draft", {}),
        ("submit_order", {"idempotency_key": "k"}),
    ):
        assert refusal(db, context.partners[0], function, items=lines, **arguments) == "INVALID_ITEMS"


@pytest.mark.regression("frappe/erpnext#29806")
@pytest.mark.regression("frappe/erpnext#20206")
def test_price_in_force_is_charged_among_several(db: Connection, context: Context) -> None:
    """The date filter was missing, or an arbitrary row was chosen."""
    set_price(db, context, 70_000, "now() - interval '2 days'", "now() - interval '1 day'")
    set_price(db, context, 80_000, "now() - interval '1 day'", "now() + interval '1 day'")
    set_price(db, context, 90_000, "now() + interval '1 day'", "null")
    assert unit_price(db, context) == 80_000


@pytest.mark.regression("odoo/odoo#38560")
def test_expired_price_falls_back_to_the_base_price(db: Connection, context: Context) -> None:
    """An expired price list made the price 0."""
    set_price(db, context, 70_000, "now() - interval '2 days'", "now()")
    assert unit_price(db, context) == 100_000


@pytest.mark.regression("odoo/odoo#224665")
@pytest.mark.parametrize("zone", ["Asia/Jayapura", "UTC", "America/Los_Angeles"])
def test_end_of_a_price_does_not_depend_on_the_time_zone(db: Connection, context: Context, zone: str) -> None:
    """The end date was off by a time zone."""
    set_price(db, context, 70_000, "now() - interval '1 day'", "now() + interval '1 second'")
    db.execute("select set_config('timezone', %s, true)", [zone])
    assert unit_price(db, context) == 70_000


@pytest.mark.regression("odoo/odoo#192361")
def test_draft_is_charged_at_the_prices_of_its_submission(db: Connection, context: Context) -> None:
    """The order was priced on the day of the draft."""
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=2))
    set_price(db, context, 70_000, "now()", "null")
    order = call(db, context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert order["grand_total"] == 140_000
    assert broken_invariants(db) == {}


def test_invoice_amount_does_not_follow_price_changes(db: Connection, context: Context) -> None:
    """Prices freeze at submission (D-3.price-6)."""
    order = submit(db, context.partners[0], items(SKU_000=2))
    set_price(db, context, 70_000, "now()", "null")
    db.execute("update app.products set base_price = 1")
    assert approve(db, context, order)["amount"] == 200_000
    assert broken_invariants(db) == {}


@pytest.mark.regression("frappe/erpnext#29806")
def test_price_that_overlaps_an_open_ended_one_is_refused(db: Connection, context: Context) -> None:
    """Which of two overlapping rows applied was arbitrary."""
    set_price(db, context, 70_000, "now()", "null")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        set_price(db, context, 80_000, "now() + interval '1 year'", "null")


@pytest.mark.regression("VirtoCommerce/vc-module-pricing#19")
@pytest.mark.regression("medusajs/medusa#15994")
def test_quantity_discount_starts_at_its_quantity(db: Connection, context: Context) -> None:
    """The price for ten units was charged for one, or for no quantity."""
    set_price(db, context, 80_000, "now()", "null", discount=(10, 60_000))
    assert [unit_price(db, context, n) for n in (1, 9, 10, 11)] == [80_000, 80_000, 60_000, 60_000]


@pytest.mark.regression("oroinc/orocommerce#33")
def test_each_product_of_a_quote_has_its_own_price(db: Connection, context: Context) -> None:
    """The tier price of the first product was shown for all."""
    set_price(db, context, 80_000, "now()", "null")
    quote = call(db, context.partners[0], "quote_order", items=items(SKU_000=1, SKU_001=1, SKU_002=1))
    assert [entry["unit_price"] for entry in quote["lines"]] == [80_000, 125_000, 150_000]
