"""Prices and rounding: what went wrong in other systems."""

from decimal import Decimal

import psycopg
import pytest

from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    pay,
    submit,
    value,
)

_PRICE = (
    "insert into app.tier_prices (product_id, tier, price, min_qty_discount, discount_price, effective_from,"
    " effective_until) values (%s, 'SILVER', %s, %s, %s, {since}, {until})"
)


def price(
    db: Connection,
    context: Context,
    amount: int,
    since: str,
    until: str,
    discount: tuple[int, int] | None = None,
) -> None:
    units, cheaper = discount or (None, None)
    query = _PRICE.format(since=since, until=until)
    db.execute(query, [context.products["SKU-000"], amount, units, cheaper])


def charged(db: Connection, context: Context, quantity: int = 1) -> Decimal:
    told = call(db, context.partners[0], "quote_order", items=items(SKU_000=quantity))
    return Decimal(told["lines"][0]["unit_price"])


def test_of_several_rows_the_one_in_force_is_charged(db: Connection) -> None:
    """The date filter was missing, or a random row was taken: frappe/erpnext#29806, PR 20206."""
    context = make_context(db)
    price(db, context, 70_000, "now() - interval '2 days'", "now() - interval '1 day'")
    price(db, context, 80_000, "now() - interval '1 day'", "now() + interval '1 day'")
    price(db, context, 90_000, "now() + interval '1 day'", "null")
    assert charged(db, context) == 80_000


def test_an_expired_price_falls_back_to_the_base_price_not_to_nothing(db: Connection) -> None:
    """An expired price list made the price 0: odoo/odoo#38560."""
    context = make_context(db)
    price(db, context, 70_000, "now() - interval '2 days'", "now()")
    assert charged(db, context) == 100_000


def test_the_end_is_a_moment_not_a_day_somewhere(db: Connection) -> None:
    """The end date was off by a time zone: odoo/odoo PR 224665."""
    context = make_context(db)
    price(db, context, 70_000, "now() - interval '1 day'", "now() + interval '1 second'")
    for zone in ("Asia/Jayapura", "UTC", "America/Los_Angeles"):
        db.execute("select set_config('timezone', %s, true)", [zone])
        assert charged(db, context) == 70_000, zone


def test_a_draft_is_charged_at_the_prices_of_its_submission(db: Connection) -> None:
    """Priced on the day of the draft: odoo/odoo PR 192361."""
    context = make_context(db)
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=2))
    price(db, context, 70_000, "now()", "null")
    order = call(db, context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert order["grand_total"] == 140_000
    assert broken_invariants(db) == {}


def test_a_frozen_price_does_not_follow_the_list(db: Connection) -> None:
    """The mirror of the draft: what was submitted stays as it was priced."""
    context = make_context(db)
    order = submit(db, context.partners[0], items(SKU_000=2))
    price(db, context, 70_000, "now()", "null")
    db.execute("update app.products set base_price = 1")
    assert approve(db, context, order)["amount"] == 200_000
    assert broken_invariants(db) == {}


def test_overlapping_prices_cannot_be_stored(db: Connection) -> None:
    """Which of two rows of one product holds was left to chance: frappe/erpnext#29806."""
    context = make_context(db)
    price(db, context, 70_000, "now()", "null")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        price(db, context, 80_000, "now() + interval '1 year'", "null")


def test_the_quantity_discount_holds_from_its_quantity_on_and_not_before(db: Connection) -> None:
    """The price for ten was charged for one: VirtoCommerce/vc-module-pricing#19; or never: medusa#15994."""
    context = make_context(db)
    price(db, context, 80_000, "now()", "null", discount=(10, 60_000))
    assert [charged(db, context, n) for n in (1, 9, 10, 11)] == [80_000, 80_000, 60_000, 60_000]


def test_each_product_of_a_list_has_its_own_price(db: Connection) -> None:
    """The first product's tier price was shown for all: oroinc/orocommerce#33."""
    context = make_context(db)
    price(db, context, 80_000, "now()", "null")
    told = call(db, context.partners[0], "quote_order", items=items(SKU_000=1, SKU_001=1, SKU_002=1))
    assert [entry["unit_price"] for entry in told["lines"]] == [80_000, 125_000, 150_000]


def test_an_invoice_paid_in_thirds_leaves_no_residue(db: Connection) -> None:
    """A residue of 0.00013 left it unpaid: frappe/erpnext PR 20369, wrong status by rounding: PR 28023."""
    context = make_context(db)
    db.execute("update app.products set base_price = 33333.35")
    order = submit(db, context.partners[0], items(SKU_000=10))
    invoice = approve(db, context, order)
    assert invoice["amount"] == Decimal("333333.50")
    third = Decimal("111111.16")
    for amount in (third, third, invoice["amount"] - 2 * third):
        assert pay(db, context, invoice, amount)
    assert value(db, "select status::text from app.invoices") == "PAID"
    assert value(db, "select credit_used from app.partners where id = %s", context.partners[0].sub) == 0
    assert broken_invariants(db) == {}
