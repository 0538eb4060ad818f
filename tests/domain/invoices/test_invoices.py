"""Invoices and payments."""

from decimal import Decimal

import psycopg
import pytest

from tests.support.context import (
    Caller,
    Connection,
    Context,
    approve,
    call,
    invoice_of,
    items,
    make_context,
    pay,
    refusal,
    submit,
    value,
)


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def billed(db: Connection, context: Context, partner: int = 0, units: int = 10) -> dict[str, object]:
    return approve(db, context, submit(db, context.partners[partner], items(SKU_000=units)))


@pytest.mark.parametrize(("partner", "days"), [(0, 30), (1, 45), (2, 60)])
def test_an_invoice_is_due_by_the_partners_tier(
    db: Connection, context: Context, partner: int, days: int
) -> None:
    invoice = billed(db, context, partner)
    assert value(
        db,
        "select due_date = now() + make_interval(days => %s) from app.invoices where id = %s",
        days,
        invoice["id"],
    )
    assert invoice["amount"] == Decimal(1_000_000)
    assert invoice["created_by"] == context.admin.sub


def test_changing_the_days_holds_for_the_next_invoice(db: Connection, context: Context) -> None:
    call(db, context.admin, "set_config", config_key="invoice.due_days.silver", config_value=7)
    invoice = billed(db, context)
    assert value(
        db, "select due_date = now() + interval '7 days' from app.invoices where id = %s", invoice["id"]
    )


def test_payments_lead_from_unpaid_by_partial_to_paid(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    assert invoice["status"] == "UNPAID"
    assert pay(db, context, invoice, 1)["invoice"]["status"] == "PARTIAL"
    assert pay(db, context, invoice, 999_999)["invoice"]["status"] == "PAID"
    assert value(db, "select paid_at = now() from app.invoices where id = %s", invoice["id"])


def test_payment_names_the_admin_who_recorded_it(db: Connection, context: Context) -> None:
    pay(db, context, billed(db, context))
    assert value(db, "select recorded_by::text from app.invoice_payments") == context.admin.sub


def test_no_payment_above_what_is_due(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    pay(db, context, invoice, 400_000)
    again = {"invoice_id": invoice["id"], "amount": 600_001}
    assert refusal(db, context.admin, "record_payment", **again) == "PAYMENT_EXCEEDS_DUE"


@pytest.mark.parametrize("amount", [0, -1, None, Decimal("0.001"), Decimal(10**13)])
def test_an_amount_is_rupiah_above_nothing(db: Connection, context: Context, amount: Decimal | None) -> None:
    invoice = billed(db, context)
    code = refusal(db, context.admin, "record_payment", invoice_id=invoice["id"], amount=amount)
    assert code == "INVALID_ARGUMENT"


def test_nothing_is_paid_in_the_future(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    paying = {"invoice_id": invoice["id"], "amount": 1000, "reference_number": "BCA-1"}
    for ahead, code in (("2 days", "INVALID_ARGUMENT"), ("1 hour", "")):
        at = str(value(db, "select now() + %s::interval", ahead))
        assert refusal(db, context.admin, "record_payment", paid_at=at, **paying) == code


def test_the_same_reference_counts_once_and_says_so(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    first = pay(db, context, invoice, 400_000, "TRX-1")
    again = pay(db, context, invoice, 400_000, " TRX-1 ")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert again["payment_id"] == first["payment_id"]
    assert invoice_of(db, {"id": invoice["order_id"]})["amount_paid"] == 400_000
    other = {"invoice_id": invoice["id"], "amount": 1, "reference_number": "TRX-1"}
    assert refusal(db, context.admin, "record_payment", **other) == "PAYMENT_REFERENCE_REUSED"


def test_the_reference_that_paid_the_invoice_is_still_recognised(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    pay(db, context, invoice, reference="TRX-1")
    assert pay(db, context, invoice, reference="TRX-1")["duplicate"] is True
    code = refusal(db, context.admin, "record_payment", invoice_id=invoice["id"], amount=1)
    assert code == "INVOICE_CLOSED"


def test_paid_and_status_cannot_be_set_by_hand(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    db.execute(
        "update app.invoices set amount_paid = amount, status = 'PAID', paid_at = now() where id = %s",
        [invoice["id"]],
    )
    after = invoice_of(db, {"id": invoice["order_id"]})
    assert (after["amount_paid"], after["status"]) == (0, "UNPAID")


@pytest.mark.parametrize("change", ["amount = amount + 1", "status = 'UNPAID'"])
def test_a_cancelled_invoice_stays_cancelled_and_an_amount_as_billed(
    db: Connection, context: Context, change: str
) -> None:
    invoice = billed(db, context)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    with pytest.raises(psycopg.Error, match="INVOICE_CLOSED"), db.transaction():
        db.execute(f"update app.invoices set {change} where id = %s".encode(), [invoice["id"]])


def test_a_cancelled_invoice_takes_no_payment_and_is_owed_no_more(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    pay(db, context, invoice, 300_000)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="barang kembali")
    code = refusal(db, context.admin, "record_payment", invoice_id=invoice["id"], amount=1)
    assert code == "INVOICE_CLOSED"
    assert value(db, "select credit_used from app.partners where id = %s", context.partners[0].sub) == 0
    assert value(db, "select count(*) from app.messages where template = 'refund_due'") == 2


@pytest.mark.parametrize(
    "statement",
    [
        "update app.invoice_payments set amount = 1",
        "delete from app.invoice_payments",
        "delete from app.invoices",
    ],
)
def test_money_received_is_never_rewritten(db: Connection, context: Context, statement: str) -> None:
    pay(db, context, billed(db, context), 1)
    with pytest.raises(psycopg.Error, match=r"APPEND_ONLY|violates foreign key"), db.transaction():
        db.execute(statement.encode())


def test_an_invoice_without_payments_is_not_deleted_either(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
        db.execute("delete from app.invoices where id = %s", [invoice["id"]])


def test_an_order_paid_with_points_alone_owes_nothing(db: Connection, context: Context) -> None:
    who = context.partners[0]
    call(db, context.admin, "adjust_points", partner_id=who.sub, points=1000, reason="hadiah")
    order = submit(db, who, items(SKU_000=1), points=1000)
    invoice = approve(db, context, order)
    assert (invoice["amount"], invoice["status"]) == (0, "PAID")


def test_erp_payments_are_answered_one_by_one(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    number = invoice["invoice_number"]
    payments = [
        {"invoice_number": number, "amount": 400_000, "reference_number": "A"},
        {"invoice_number": number, "amount": 400_000, "reference_number": "A"},
        {"invoice_number": number, "amount": 9_000_000, "reference_number": "B"},
        {"invoice_number": "INV-0", "amount": 1, "reference_number": "C"},
        {"invoice_number": number, "amount": 600_000, "reference_number": "D"},
        {"invoice_number": number, "amount": 1, "reference_number": "E"},
    ]
    results = call(db, context.erp, "erp_apply_payments", payments=payments)
    assert [r["result"] for r in results] == [
        "APPLIED", "DUPLICATE", "PAYMENT_EXCEEDS_DUE", "NOT_FOUND", "APPLIED", "INVOICE_CLOSED",
    ]  # fmt: skip
    assert {r["result"] for r in call(db, context.erp, "erp_apply_payments", payments=payments[:2])} == {
        "DUPLICATE"
    }


def test_only_headquarters_books_payments(db: Connection, context: Context) -> None:
    invoice = billed(db, context)
    for who in (context.partners[0], context.agents[0], context.subdists[0], Caller("anon")):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            call(db, who, "record_payment", invoice_id=invoice["id"], amount=1)
