"""What a partner owes and has on order, and what happens at his limit."""

import pytest

from tests.support.context import (
    Connection,
    Context,
    approve,
    call,
    items,
    make_context,
    pay,
    refusal,
    serving,
    submit,
    value,
)
from tests.support.factories import of_partner, refused, told


@pytest.fixture
def context(db: Connection) -> Context:
    """A limit of one million; a unit of SKU-000 costs 100,000."""
    return make_context(db, credit=1_000_000)


def used(db: Connection, context: Context) -> int:
    return int(of_partner(db, context.partners[0], "credit_used"))


def block(db: Connection, context: Context) -> None:
    call(db, context.admin, "set_config", config_key="credit.over_limit_policy", config_value="BLOCK")


def test_what_is_on_order_and_what_is_billed_count_until_it_is_paid(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=5))
    other = submit(db, context.partners[0], items(SKU_000=1))
    assert used(db, context) == 600_000
    invoice = approve(db, context, order)
    assert used(db, context) == 600_000, "billed instead of on order"
    pay(db, context, invoice, 200_000)
    assert used(db, context) == 400_000
    pay(db, context, invoice, 300_000)
    assert used(db, context) == 100_000
    call(db, context.partners[0], "cancel_order", order_id=other["id"])
    assert used(db, context) == 0


def test_a_draft_uses_no_credit(db: Connection, context: Context) -> None:
    call(db, context.partners[0], "save_draft", items=items(SKU_000=50))
    assert used(db, context) == 0


@pytest.mark.parametrize(("units", "over"), [(9, False), (10, False), (11, True)])
def test_an_order_is_over_the_limit_past_its_last_rupiah(
    db: Connection, context: Context, units: int, over: bool
) -> None:
    quote = call(db, context.partners[0], "quote_order", items=items(SKU_000=units))
    order = submit(db, context.partners[0], items(SKU_000=units))
    assert order["is_over_limit"] is quote["is_over_limit"] is over
    assert (order["routed_to_subdist_id"] is None) is over


def test_a_flagged_order_stands_unrouted_and_headquarters_is_told_at_once(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=11))
    assert (order["status"], order["routed_to_subdist_id"]) == ("SUBMITTED", None)
    assert used(db, context) == 1_100_000
    assert value(db, "select sum(reserved) from app.inventory") == 11
    assert [told(db, "order_over_limit", who) for who in (context.admin, context.admin2)] == [1, 1]
    assert (told(db, "order_routed"), told(db, "order_unrouted")) == (0, 0)


def test_a_release_needs_a_reason_routes_the_order_and_is_recorded(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=11))
    for reason in (None, "", "  ", "x" * 501):
        with refused(db, "INVALID_ARGUMENT"):
            call(db, context.admin, "release_order", order_id=order["id"], reason=reason)
    released = call(db, context.admin, "release_order", order_id=order["id"], reason="pelanggan lama")
    assert released["release_reason"] == "pelanggan lama"
    assert (told(db, "order_routed", serving(db, order)), told(db, "order_routed")) == (1, 1)
    assert value(db, "select released_by::text from app.orders") == context.admin.sub
    assert value(db, "select note from app.order_events where event = 'RELEASED'") == "pelanggan lama"
    with refused(db, "NOT_RELEASABLE"):
        call(db, context.admin, "release_order", order_id=order["id"], reason="lagi")
    assert approve(db, context, order)["amount"] == 1_100_000


def test_what_is_within_the_limit_or_dead_needs_no_release(db: Connection, context: Context) -> None:
    within = submit(db, context.partners[0], items(SKU_000=1))
    dead = submit(db, context.partners[0], items(SKU_000=11))
    call(db, context.admin, "reject_order", order_id=dead["id"], reason="plafon")
    for order in (within, dead):
        with refused(db, "NOT_RELEASABLE"):
            call(db, context.admin, "release_order", order_id=order["id"], reason="x")
    assert used(db, context) == 100_000


def test_a_flagged_order_cannot_be_routed_or_approved_not_even_with_psql(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=11))
    with refused(db, "ILLEGAL_TRANSITION"):
        db.execute("update app.orders set status = 'APPROVED' where id = %s", [order["id"]])
    with pytest.raises(Exception, match="orders_over_limit_route_check"), db.transaction():
        db.execute(
            "update app.orders set routed_to_subdist_id = %s, routed_at = now()", [context.subdists[0].sub]
        )
    with refused(db, "ORDER_FROZEN"):
        db.execute("update app.orders set is_over_limit = false where id = %s", [order["id"]])


def test_under_block_the_order_is_refused_and_leaves_nothing(db: Connection, context: Context) -> None:
    block(db, context)
    submit(db, context.partners[0], items(SKU_000=6))
    with refused(db, "CREDIT_LIMIT_EXCEEDED") as why:
        submit(db, context.partners[0], items(SKU_000=5))
    assert why.details == "Rp100.000 more than the limit of Rp1.000.000"
    assert used(db, context) == 600_000
    assert value(db, "select sum(reserved) from app.inventory") == 6
    assert value(db, "select count(*) from app.orders") == 1
    assert submit(db, context.partners[0], items(SKU_000=4))["is_over_limit"] is False


def test_a_limit_of_zero_is_no_credit(db: Connection, context: Context) -> None:
    db.execute("update app.partners set credit_limit = 0")
    assert submit(db, context.partners[0], items(SKU_000=1))["is_over_limit"] is True
    block(db, context)
    with refused(db, "CREDIT_LIMIT_EXCEEDED"):
        submit(db, context.partners[0], items(SKU_000=1))


def test_what_points_pay_whole_needs_no_credit(db: Connection, context: Context) -> None:
    block(db, context)
    db.execute("update app.partners set credit_limit = 0")
    call(db, context.admin, "adjust_points", partner_id=context.partners[0].sub, points=1000, reason="hadiah")
    order = submit(db, context.partners[0], items(SKU_000=1), points=1000)
    assert (order["grand_total"], order["is_over_limit"], used(db, context)) == (0, False, 0)


@pytest.mark.parametrize("way", ["cancelled", "rejected", "accepted", "billed", "part paid", "invoice first"])
def test_credit_comes_back_once_whatever_the_order_died_of(
    db: Connection, context: Context, way: str
) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=5))
    keeps = submit(db, who, items(SKU_000=1))
    if way == "accepted":
        call(db, serving(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    if way in ("billed", "part paid", "invoice first"):
        invoice = approve(db, context, order)
        if way != "billed":
            pay(db, context, invoice, 200_000)
            assert used(db, context) == 400_000
        if way == "invoice first":
            call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
            assert used(db, context) == 100_000
    death = ("reject_order", context.admin) if way == "rejected" else ("cancel_order", who)
    call(db, death[1], death[0], order_id=order["id"], reason="batal")
    assert used(db, context) == 100_000
    for function, by in (("cancel_order", who), ("reject_order", context.admin)):
        code = refusal(db, by, function, order_id=order["id"], reason="lagi")
        assert code == "ILLEGAL_TRANSITION"
    assert used(db, context) == 100_000
    assert keeps["status"] == "SUBMITTED"


def test_a_partner_is_told_what_credit_he_has_left(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=4))
    me = call(db, context.partners[0], "me")
    assert (me["credit_limit"], me["credit_used"], me["credit_left"]) == (1_000_000, 400_000, 600_000)
    submit(db, context.partners[0], items(SKU_000=20))
    assert call(db, context.partners[0], "me")["credit_left"] == 0
    assert call(db, context.partners[0], "quote_order", items=items(SKU_000=1))["credit_left"] == 0


def test_no_debt_is_beyond_the_column(db: Connection, context: Context) -> None:
    vast = [{"sku": "SKU-000", "name": "x", "base_price": 9_000_000_000_000}]
    call(db, context.erp, "erp_apply_products", products=vast)
    submit(db, context.partners[0], items(SKU_000=1))
    again = refusal(db, context.partners[0], "submit_order", items=items(SKU_000=1), idempotency_key="k")
    assert again == "CREDIT_LIMIT_EXCEEDED"
