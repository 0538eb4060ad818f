"""The credit that a partner uses, and orders at the credit limit (a unit of SKU-000 costs Rp100,000)."""

import pytest

from tests.support.calls import refused
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    grant_points,
    items,
    pay,
    refusal,
    routed_subdist,
    set_config,
    shadow,
    submit,
    value,
)
from tests.support.queries import credit_used, message_count

pytestmark = pytest.mark.context(credit=1_000_000)


@pytest.fixture
def _block(db: Connection, context: Context) -> None:
    """Orders past the limit are refused."""
    set_config(db, context, "credit.over_limit_policy", "BLOCK")


def test_open_orders_and_unpaid_invoices_use_credit(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=5))
    other = submit(db, context.partners[0], items(SKU_000=1))
    assert credit_used(db, context.partners[0]) == 600_000
    invoice = approve(db, context, order)
    assert credit_used(db, context.partners[0]) == 600_000, "billed instead of ordered"
    pay(db, context, invoice, 200_000)
    assert credit_used(db, context.partners[0]) == 400_000
    pay(db, context, invoice, 300_000)
    assert credit_used(db, context.partners[0]) == 100_000
    call(db, context.partners[0], "cancel_order", order_id=other["id"])
    assert credit_used(db, context.partners[0]) == 0


def test_draft_uses_no_credit(db: Connection, context: Context) -> None:
    call(db, context.partners[0], "save_draft", items=items(SKU_000=50))
    assert credit_used(db, context.partners[0]) == 0


@pytest.mark.parametrize(("units", "over"), [(9, False), (10, False), (11, True)])
def test_order_is_over_limit_only_above_the_credit_limit(
    db: Connection, context: Context, units: int, over: bool
) -> None:
    quote = call(db, context.partners[0], "quote_order", items=items(SKU_000=units))
    order = submit(db, context.partners[0], items(SKU_000=units))
    assert order["is_over_limit"] is quote["is_over_limit"] is over
    assert (order["routed_to_subdist_id"] is None) is over


def test_order_over_limit_is_unrouted_and_headquarters_is_notified(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=11))
    assert (order["status"], order["routed_to_subdist_id"]) == ("SUBMITTED", None)
    assert credit_used(db, context.partners[0]) == 1_100_000
    assert value(db, "select sum(reserved) from app.inventory") == 11
    assert [message_count(db, "order_over_limit", who) for who in (context.admin, context.admin2)] == [1, 1]
    assert (message_count(db, "order_routed"), message_count(db, "order_unrouted")) == (0, 0)


def test_release_requires_a_reason_and_routes_the_order(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=11))
    for reason in (None, "", "  ", "x" * 501):
        with refused(db, "INVALID_ARGUMENT"):
            call(db, context.admin, "release_order", order_id=order["id"], reason=reason)
    released = call(db, context.admin, "release_order", order_id=order["id"], reason="pelanggan lama")
    assert released["release_reason"] == "pelanggan lama"
    assert (
        message_count(db, "order_routed", routed_subdist(db, order)),
        message_count(db, "order_routed"),
    ) == (1, 1)
    assert value(db, "select released_by::text from app.orders") == context.admin.sub
    assert value(db, "select note from app.order_events where event = 'RELEASED'") == "pelanggan lama"
    with refused(db, "NOT_RELEASABLE"):
        call(db, context.admin, "release_order", order_id=order["id"], reason="lagi")
    assert approve(db, context, order)["amount"] == 1_100_000


def test_release_of_an_order_within_the_limit_or_closed_is_refused(db: Connection, context: Context) -> None:
    within = submit(db, context.partners[0], items(SKU_000=1))
    rejected = submit(db, context.partners[0], items(SKU_000=11))
    call(db, context.admin, "reject_order", order_id=rejected["id"], reason="plafon")
    for order in (within, rejected):
        with refused(db, "NOT_RELEASABLE"):
            call(db, context.admin, "release_order", order_id=order["id"], reason="x")
    assert credit_used(db, context.partners[0]) == 100_000


def test_order_over_limit_cannot_be_routed_or_approved_by_sql(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=11))
    with refused(db, "ILLEGAL_TRANSITION"):
        db.execute("update app.orders set status = 'APPROVED' where id = %s", [order["id"]])
    with pytest.raises(Exception, match="orders_over_limit_route_check"), db.transaction():
        db.execute(
            "update app.orders set routed_to_subdist_id = %s, routed_at = now()", [context.subdists[0].sub]
        )
    with refused(db, "ORDER_FROZEN"):
        db.execute("update app.orders set is_over_limit = false where id = %s", [order["id"]])


def test_order_over_limit_is_refused_without_effect_under_block(db: Connection, context: Context) -> None:
    set_config(db, context, "credit.over_limit_policy", "BLOCK")
    submit(db, context.partners[0], items(SKU_000=6))
    with refused(db, "CREDIT_LIMIT_EXCEEDED") as why:
        submit(db, context.partners[0], items(SKU_000=5))
    assert why.details == "Rp100.000 more than the limit of Rp1.000.000"
    assert credit_used(db, context.partners[0]) == 600_000
    assert value(db, "select sum(reserved) from app.inventory") == 6
    assert value(db, "select count(*) from app.orders") == 1
    assert submit(db, context.partners[0], items(SKU_000=4))["is_over_limit"] is False


def test_credit_limit_of_zero_allows_no_credit(db: Connection, context: Context) -> None:
    db.execute("update app.partners set credit_limit = 0")
    assert submit(db, context.partners[0], items(SKU_000=1))["is_over_limit"] is True
    set_config(db, context, "credit.over_limit_policy", "BLOCK")
    with refused(db, "CREDIT_LIMIT_EXCEEDED"):
        submit(db, context.partners[0], items(SKU_000=1))


def test_order_paid_with_points_needs_no_credit(db: Connection, context: Context) -> None:
    set_config(db, context, "credit.over_limit_policy", "BLOCK")
    db.execute("update app.partners set credit_limit = 0")
    grant_points(db, context, context.partners[0], 1000)
    order = submit(db, context.partners[0], items(SKU_000=1), points=1000)
    assert (order["grand_total"], order["is_over_limit"], credit_used(db, context.partners[0])) == (
        0,
        False,
        0,
    )


@pytest.mark.parametrize(
    "state", ["cancelled", "rejected", "accepted", "billed", "part paid", "invoice first"]
)
def test_credit_is_released_once_when_the_order_closes(db: Connection, context: Context, state: str) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=5))
    other = submit(db, who, items(SKU_000=1))
    if state == "accepted":
        call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    if state in ("billed", "part paid", "invoice first"):
        invoice = approve(db, context, order)
        if state != "billed":
            pay(db, context, invoice, 200_000)
            assert credit_used(db, context.partners[0]) == 400_000
        if state == "invoice first":
            call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
            assert credit_used(db, context.partners[0]) == 600_000, "the order is to be billed again"
    function, actor = ("reject_order", context.admin) if state == "rejected" else ("cancel_order", who)
    call(db, actor, function, order_id=order["id"], reason="batal")
    assert credit_used(db, context.partners[0]) == 100_000
    for function, actor in (("cancel_order", who), ("reject_order", context.admin)):
        code = refusal(db, actor, function, order_id=order["id"], reason="lagi")
        assert code == "ILLEGAL_TRANSITION"
    assert credit_used(db, context.partners[0]) == 100_000
    assert other["status"] == "SUBMITTED"


def test_me_and_quote_show_the_credit_left(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=4))
    me = call(db, context.partners[0], "me")
    assert (me["credit_limit"], me["credit_used"], me["credit_left"]) == (1_000_000, 400_000, 600_000)
    submit(db, context.partners[0], items(SKU_000=20))
    assert call(db, context.partners[0], "me")["credit_left"] == 0
    assert call(db, context.partners[0], "quote_order", items=items(SKU_000=1))["credit_left"] == 0


def test_order_beyond_the_credit_column_is_refused(db: Connection, context: Context) -> None:
    vast = [{"sku": "SKU-000", "name": "x", "base_price": 9_000_000_000_000}]
    call(db, context.erp, "erp_apply_products", products=vast)
    submit(db, context.partners[0], items(SKU_000=1))
    again = refusal(db, context.partners[0], "submit_order", items=items(SKU_000=1), idempotency_key="k")
    assert again == "CREDIT_LIMIT_EXCEEDED"


def is_blocked(db: Connection, context: Context, units: int) -> bool:
    """Whether an order for so many units is refused."""
    who = context.partners[0]
    lines = items(SKU_000=units)
    code = refusal(db, who, "submit_order", items=lines, idempotency_key=f"try {units}")
    assert code in ("", "CREDIT_LIMIT_EXCEEDED")
    return bool(code)


@pytest.mark.regression("frappe/erpnext#33967")
@pytest.mark.usefixtures("_block")
def test_cancelled_order_cannot_be_reopened_past_the_limit(db: Connection, context: Context) -> None:
    """An order was closed, another placed, and the first reopened; here a closed order stays closed."""
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=8))
    call(db, who, "cancel_order", order_id=order["id"])
    submit(db, who, items(SKU_000=8))
    for function in ("approve_order", "ship_order"):
        assert refusal(db, context.admin, function, order_id=order["id"]) == "ILLEGAL_TRANSITION"
    code = refusal(db, who, "submit_draft", order_id=order["id"], idempotency_key="again")
    assert code == "ILLEGAL_TRANSITION"
    assert credit_used(db, context.partners[0]) == 800_000
    assert broken_invariants(db) == {}


@pytest.mark.regression("Vauxoo/addons-vauxoo#1081")
@pytest.mark.usefixtures("_block")
def test_every_way_to_submit_checks_the_limit(db: Connection, context: Context) -> None:
    """Only one of several ways to confirm an order checked the limit."""
    who = context.partners[0]
    submit(db, who, items(SKU_000=9))
    draft = call(db, who, "save_draft", items=items(SKU_000=2))
    acting = shadow(db, context.agents[0], who)
    calls = [
        (who, "submit_order", {"items": items(SKU_000=2)}),
        (who, "submit_draft", {"order_id": draft["id"]}),
        (acting, "submit_order", {"items": items(SKU_000=2)}),
        (acting, "submit_draft", {"order_id": draft["id"]}),
    ]
    for caller, function, arguments in calls:
        code = refusal(db, caller, function, idempotency_key="k", **arguments)
        assert code == "CREDIT_LIMIT_EXCEEDED", function
    assert credit_used(db, context.partners[0]) == 900_000


@pytest.mark.regression("odoo/odoo#285578")
@pytest.mark.usefixtures("_block")
def test_undelivered_and_billed_orders_count_against_the_limit(db: Connection, context: Context) -> None:
    """Confirmed but undelivered orders were not counted."""
    order = submit(db, context.partners[0], items(SKU_000=6))
    assert is_blocked(db, context, 5)
    invoice = approve(db, context, order)
    assert is_blocked(db, context, 5), "billed"
    call(db, context.admin, "ship_order", order_id=order["id"])
    assert is_blocked(db, context, 5), "shipped"
    pay(db, context, invoice, 100_000)
    assert not is_blocked(db, context, 5), "a payment releases credit"
    assert credit_used(db, context.partners[0]) == 1_000_000


@pytest.mark.regression("medusajs/b2b-starter-medusa#144")
@pytest.mark.usefixtures("_block")
def test_sum_of_orders_is_checked_against_the_limit(db: Connection, context: Context) -> None:
    """Only the current order was counted."""
    submit(db, context.partners[0], items(SKU_000=6))
    submit(db, context.partners[0], items(SKU_000=4))
    assert is_blocked(db, context, 1)


@pytest.mark.regression("medusajs/b2b-starter-medusa#144")
@pytest.mark.usefixtures("_block")
def test_credit_limit_of_zero_is_not_unlimited(db: Connection, context: Context) -> None:
    """A limit of zero meant unlimited credit."""
    db.execute("update app.partners set credit_limit = 0 where id = %s", [context.partners[0].sub])
    assert is_blocked(db, context, 1)


@pytest.mark.regression("frappe/erpnext#47279")
@pytest.mark.usefixtures("_block")
def test_order_that_just_fits_the_limit_is_counted_once(db: Connection, context: Context) -> None:
    """The order being submitted was added to an outstanding amount that already contained it."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    assert not order["is_over_limit"]
    approve(db, context, order)
    assert credit_used(db, context.partners[0]) == 1_000_000


@pytest.mark.regression("magento/magento2#38815")
@pytest.mark.regression("magento/magento2#39744")
@pytest.mark.usefixtures("_block")
def test_credit_of_a_cancelled_invoice_is_released_once(db: Connection, context: Context) -> None:
    """Credit was released at the cancellation and again at the refund."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    invoice = approve(db, context, order)
    pay(db, context, invoice, 400_000)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert credit_used(db, context.partners[0]) == 1_000_000, "the order is to be billed again"
    refund = {"invoice_id": invoice["id"], "amount": 400_000, "reason": "retur"}
    call(db, context.admin, "record_refund", **refund, idempotency_key="k")
    assert credit_used(db, context.partners[0]) == 1_000_000
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    code = refusal(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="again")
    assert code == "INVOICE_CLOSED"
    assert credit_used(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


@pytest.mark.regression("frappe/erpnext#10861")
@pytest.mark.usefixtures("_block")
def test_quote_announces_that_the_order_exceeds_the_limit(db: Connection, context: Context) -> None:
    """The check at confirmation came as a surprise to the buyer."""
    quote = call(db, context.partners[0], "quote_order", items=items(SKU_000=11))
    assert quote["is_over_limit"]
    assert is_blocked(db, context, 11)


@pytest.mark.regression("frappe/erpnext#30110")
@pytest.mark.usefixtures("_block")
def test_lowered_limit_refuses_new_orders_and_keeps_open_ones(db: Connection, context: Context) -> None:
    """Changing the limit was refused or ignored because of open orders."""
    order = submit(db, context.partners[0], items(SKU_000=8))
    db.execute("update app.partners set credit_limit = 100000 where id = %s", [context.partners[0].sub])
    assert is_blocked(db, context, 1)
    assert approve(db, context, order)["amount"] == 800_000
    assert broken_invariants(db) == {}
