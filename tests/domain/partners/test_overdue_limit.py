"""Partners whose invoices have been overdue for too long: `credit.max_overdue_days`."""

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
    set_config,
    submit,
    value,
)
from tests.support.invoices import overdue_invoice
from tests.support.queries import credit_used, message_count


@pytest.fixture
def _limit(db: Connection, context: Context) -> None:
    """An invoice may be overdue for 30 days."""
    set_config(db, context, "credit.max_overdue_days", 30)


@pytest.fixture
def _block(db: Connection, context: Context) -> None:
    set_config(db, context, "credit.over_limit_policy", "BLOCK")


@pytest.mark.usefixtures("_limit")
@pytest.mark.parametrize(("days", "over"), [(-1, False), (30, False), (31, True), (400, True)])
def test_order_waits_for_release_only_beyond_the_days_an_invoice_may_be_overdue(
    db: Connection, context: Context, days: int, over: bool
) -> None:
    who = context.partners[0]
    overdue_invoice(db, context, who, days)
    quote = call(db, who, "quote_order", items=items(SKU_000=1))
    order = submit(db, who, items(SKU_000=1))
    reason = "OVERDUE" if over else None
    assert (order["is_over_limit"], order["over_limit_reason"]) == (over, reason)
    assert (quote["is_over_limit"], quote["over_limit_reason"]) == (over, reason)
    assert (order["routed_to_subdist_id"] is None) is over


def test_overdue_invoices_do_not_matter_by_default(db: Connection, context: Context) -> None:
    overdue_invoice(db, context, context.partners[0], 400)
    order = submit(db, context.partners[0], items(SKU_000=1))
    assert (order["is_over_limit"], order["over_limit_reason"]) == (False, None)


@pytest.mark.usefixtures("_limit")
def test_headquarters_is_notified_of_the_reason_and_can_release(db: Connection, context: Context) -> None:
    who = context.partners[0]
    overdue_invoice(db, context, who, 31)
    order = submit(db, who, items(SKU_000=1))
    assert message_count(db, "order_over_limit", context.admin) == 1
    reason = value(db, "select variables ->> 'reason' from app.messages where template = 'order_over_limit'")
    assert reason == "ada tagihan yang terlalu lama lewat jatuh tempo"
    call(db, context.admin, "release_order", order_id=order["id"], reason="cicilan disepakati")
    assert approve(db, context, order)["amount"] == 100_000
    assert broken_invariants(db) == {}


@pytest.mark.context(credit=100_000)
@pytest.mark.usefixtures("_limit")
def test_an_exceeded_limit_is_stated_before_an_overdue_invoice(db: Connection, context: Context) -> None:
    overdue_invoice(db, context, context.partners[0], 31)
    order = submit(db, context.partners[0], items(SKU_000=1))
    assert order["over_limit_reason"] == "CREDIT_LIMIT"
    reason = value(db, "select variables ->> 'reason' from app.messages where template = 'order_over_limit'")
    assert reason == "plafon kredit terlampaui"


@pytest.mark.usefixtures("_limit", "_block")
def test_overdue_partner_is_refused_without_effect_under_block(db: Connection, context: Context) -> None:
    who = context.partners[0]
    invoice = overdue_invoice(db, context, who, 31)
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    due_day = value(db, "select ((now() - interval '31 days') at time zone 'Asia/Jakarta')::date::text")
    with refused(db, "INVOICE_OVERDUE") as refusal:
        call(db, who, "submit_order", items=items(SKU_000=1), idempotency_key="k")
    assert refusal.details == f"due since {due_day}"
    with refused(db, "INVOICE_OVERDUE"):
        call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert credit_used(db, who) == 100_000
    pay(db, context, invoice)
    order = call(db, who, "submit_order", items=items(SKU_000=1), idempotency_key="k")
    assert order["is_over_limit"] is False


@pytest.mark.usefixtures("_limit", "_block")
def test_overdue_invoices_of_others_and_settled_ones_do_not_matter(db: Connection, context: Context) -> None:
    first, second = context.partners[:2]
    overdue_invoice(db, context, second, 31)
    pay(db, context, overdue_invoice(db, context, first, 31))
    cancelled = overdue_invoice(db, context, first, 31)
    call(db, context.admin, "cancel_invoice", invoice_id=cancelled["id"], reason="salah")
    assert submit(db, first, items(SKU_000=1))["is_over_limit"] is False


@pytest.mark.usefixtures("_limit", "_block")
def test_overdue_partner_may_order_what_points_pay_completely(db: Connection, context: Context) -> None:
    who = context.partners[0]
    overdue_invoice(db, context, who, 31)
    grant_points(db, context, who, 1000)
    assert submit(db, who, items(SKU_000=1), points=1000)["grand_total"] == 0


@pytest.mark.usefixtures("_limit")
def test_order_pins_the_days_that_an_invoice_may_be_overdue(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    assert order["rules_applied"]["credit.max_overdue_days"] == {"value": 30, "version": 2}


@pytest.mark.usefixtures("_limit")
def test_subdist_does_not_see_why_an_order_waited(db: Connection, context: Context) -> None:
    who = context.partners[0]
    overdue_invoice(db, context, who, 31)
    order = submit(db, who, items(SKU_000=1))
    released = call(db, context.admin, "release_order", order_id=order["id"], reason="x")
    assert released["over_limit_reason"] == "OVERDUE"
    subdist = next(s for s in context.subdists if s.sub == released["routed_to_subdist_id"])
    answer = call(db, subdist, "respond_order", order_id=order["id"], decision="ACCEPT")
    assert answer["over_limit_reason"] is None
