"""Corrections of invoices and payments: billed again, reversed, refunded, written off."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from tests.support.calls import refused
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    invoice_of,
    items,
    pay,
    refusal,
    set_config,
    submit,
    value,
)
from tests.support.queries import audit_rows, balance, credit_used, message_count, vest_points


def approved(db: Connection, context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """An approved order of one million and its invoice."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    return order, approve(db, context, order)


def cancelled(db: Connection, context: Context) -> dict[str, Any]:
    """An approved order of one million whose invoice was cancelled."""
    order, invoice = approved(db, context)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah cetak")
    return order


def issue(db: Connection, context: Context, order: dict[str, Any], amount: Any, **more: Any) -> Any:
    arguments = {"order_id": order["id"], "amount": amount, "reason": "dua pengiriman"}
    arguments |= {"idempotency_key": str(uuid.uuid4())} | more
    return call(db, context.admin, "issue_invoice", **arguments)


def read(db: Connection, invoice: dict[str, Any], columns: str) -> Any:
    row = db.execute(f"select {columns} from api.invoices where id = %s".encode(), [invoice["id"]]).fetchone()
    assert row
    return row if len(row) > 1 else row[0]


# --- billed again and in parts --------------------------------------------------------------------


@pytest.mark.regression("odoo/odoo PR 40192")
@pytest.mark.parametrize("part", [1, 400_000, 500_000, 600_000, 999_999, Decimal("0.01")])
def test_order_without_a_live_invoice_is_neither_shipped_nor_completed(
    db: Connection, context: Context, part: Decimal | int
) -> None:
    order = cancelled(db, context)
    with refused(db, "NOT_BILLED") as why:
        call(db, context.admin, "ship_order", order_id=order["id"])
    assert "Rp1.000.000" in (why.details or "")
    issue(db, context, order, part)
    assert refusal(db, context.admin, "ship_order", order_id=order["id"]) == "NOT_BILLED"
    rest = issue(db, context, order, 1_000_000 - part)
    call(db, context.admin, "ship_order", order_id=order["id"])
    call(db, context.admin, "cancel_invoice", invoice_id=rest["id"], reason="salah lagi")
    assert refusal(db, context.admin, "complete_order", order_id=order["id"]) == "NOT_BILLED"
    assert broken_invariants(db) == {}, "what headquarters has to bill again is no violation"
    issue(db, context, order, 1_000_000 - part)
    call(db, context.admin, "complete_order", order_id=order["id"])
    assert broken_invariants(db) == {}


def test_live_invoices_never_exceed_the_order(db: Connection, context: Context) -> None:
    order = cancelled(db, context)
    issue(db, context, order, 400_000)
    with refused(db, "INVOICE_EXCEEDS_ORDER") as why:
        issue(db, context, order, Decimal("600000.01"))
    assert "Rp600.000" in (why.details or "")
    issue(db, context, order, 600_000)
    with refused(db, "INVOICE_EXCEEDS_ORDER"):
        issue(db, context, order, 1)
    assert credit_used(db, context.partners[0]) == 1_000_000
    assert broken_invariants(db) == {}


def test_rejection_of_an_approved_order_cancels_each_live_invoice(db: Connection, context: Context) -> None:
    order = cancelled(db, context)
    parts = [issue(db, context, order, amount) for amount in (400_000, 600_000)]
    pay(db, context, parts[0], 100_000)
    call(db, context.admin, "reject_order", order_id=order["id"], reason="toko tutup")
    found = [read(db, part, "status::text, cancel_reason, refund_due") for part in parts]
    assert found == [("CANCELLED", "toko tutup", 100_000), ("CANCELLED", "toko tutup", 0)]
    assert credit_used(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


def test_only_approved_orders_are_billed(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=10))
    with refused(db, "NOT_BILLABLE"):
        issue(db, context, order, 1000)
    call(db, context.admin, "reject_order", order_id=order["id"], reason="x")
    with refused(db, "NOT_BILLABLE"):
        issue(db, context, order, 1000)


def test_invoice_is_due_when_stated_or_after_the_partners_days(db: Connection, context: Context) -> None:
    order = cancelled(db, context)
    stated = issue(db, context, order, 400_000, due_date="2026-12-31T17:00:00Z")
    other = issue(db, context, order, 400_000)
    assert read(db, stated, "due_date = '2026-12-31T17:00:00Z'")
    assert read(db, other, "due_date = now() + interval '30 days'")
    assert read(db, stated, "issue_reason") == "dua pengiriman"
    assert message_count(db, "invoice_issued", context.partners[0]) == 3


def test_repeated_issue_returns_the_first_invoice(db: Connection, context: Context) -> None:
    order = cancelled(db, context)
    first = issue(db, context, order, 400_000, idempotency_key="k")
    assert issue(db, context, order, Decimal("400000.00"), idempotency_key="k")["id"] == first["id"]
    with refused(db, "IDEMPOTENCY_CONFLICT"):
        issue(db, context, order, 300_000, idempotency_key="k")
    with refused(db, "INVALID_ARGUMENT"):
        issue(db, context, order, 300_000, idempotency_key=None)
    with refused(db, "INVALID_ARGUMENT"):
        issue(db, context, order, 300_000, reason=" ")


def test_refused_issue_leaves_its_key_free(db: Connection, context: Context) -> None:
    order, invoice = approved(db, context)
    with refused(db, "INVOICE_EXCEEDS_ORDER"):
        issue(db, context, order, 400_000, idempotency_key="k")
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    assert issue(db, context, order, 300_000, idempotency_key="k")["amount"] == 300_000


def test_repeated_cancellation_with_the_same_reason_returns_the_invoice(
    db: Connection, context: Context
) -> None:
    order = cancelled(db, context)
    invoice = invoice_of(db, order)
    repeat = {"invoice_id": invoice["id"], "reason": "salah cetak"}
    assert call(db, context.admin, "cancel_invoice", **repeat)["status"] == "CANCELLED"
    with refused(db, "INVOICE_CLOSED"):
        call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="lain")
    assert credit_used(db, context.partners[0]) == 1_000_000


# --- references and keys of payments --------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["bca 7781", "BCA7781", " Bca 77 81", "BCA\t7781"])
def test_references_compare_without_case_and_spaces(db: Connection, context: Context, spelling: str) -> None:
    _, invoice = approved(db, context)
    first = pay(db, context, invoice, 1000, "BCA 7781")
    again = pay(db, context, invoice, 1000, spelling)
    assert (again["duplicate"], again["payment_id"]) == (True, first["payment_id"])
    row = {"invoice_number": invoice["invoice_number"], "amount": 1000, "reference_number": spelling}
    assert call(db, context.erp, "erp_apply_payments", payments=[row])[0]["result"] == "DUPLICATE"
    assert invoice_of(db, {"id": invoice["order_id"]})["amount_paid"] == 1000


def test_payment_without_reference_needs_a_key_and_counts_once(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    cash = {"invoice_id": invoice["id"], "amount": 1000, "payment_method": "tunai"}
    with refused(db, "INVALID_ARGUMENT") as why:
        call(db, context.admin, "record_payment", **cash)
    assert "idempotency_key" in (why.details or "")
    first = call(db, context.admin, "record_payment", **cash, idempotency_key="k")
    again = call(db, context.admin2, "record_payment", **cash, idempotency_key="k")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert again["payment_id"] == first["payment_id"]
    call(db, context.admin, "record_payment", **cash, idempotency_key="another visit")
    assert invoice_of(db, {"id": invoice["order_id"]})["amount_paid"] == 2000
    for change in ({"amount": 999}, {"notes": "x"}, {"paid_at": "2026-01-01T00:00:00Z"}):
        with refused(db, "IDEMPOTENCY_CONFLICT"):
            call(db, context.admin, "record_payment", **(cash | change), idempotency_key="k")


def test_paid_at_is_the_date_of_the_payment_that_settles(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    dates = ("2026-03-01T00:00:00Z", "2026-01-31T03:00:00Z")
    for date in dates:
        payment = {"invoice_id": invoice["id"], "amount": 500_000, "paid_at": date}
        call(db, context.admin, "record_payment", **payment, idempotency_key=date)
    assert read(db, invoice, "paid_at = '2026-01-31T03:00:00Z'"), "the last to arrive, not the latest"


# --- reversals ------------------------------------------------------------------------------------


def reverse(db: Connection, context: Context, payment: dict[str, Any], reason: str = "salah ketik") -> Any:
    return call(db, context.admin, "reverse_payment", payment_id=payment["payment_id"], reason=reason)


def test_reversed_payment_is_due_again(db: Connection, context: Context) -> None:
    who = context.partners[0]
    _, invoice = approved(db, context)
    pay(db, context, invoice, 300_000)
    wrong = pay(db, context, invoice, 700_000, "BCA 1")
    assert read(db, invoice, "status::text, amount_due") == ("PAID", 0)
    vest_points(db)
    reversal = reverse(db, context, wrong)
    assert (reversal["kind"], reversal["amount"], reversal["reverses_payment_id"]) == (
        "REVERSAL", -700_000, wrong["payment_id"],
    )  # fmt: skip
    assert read(db, invoice, "status::text, amount_due, paid_at") == ("PARTIAL", 700_000, None)
    assert (credit_used(db, who), balance(db, who)) == (700_000, 0)
    assert message_count(db, "payment_reversed", who) == 1
    assert broken_invariants(db) == {}
    pay(db, context, invoice, 700_000, "BCA 1")
    vest_points(db)
    assert (read(db, invoice, "status::text"), balance(db, who)) == ("PAID", 100)
    assert broken_invariants(db) == {}


def test_only_payment_reversed_leaves_the_invoice_unpaid(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    reverse(db, context, pay(db, context, invoice))
    assert read(db, invoice, "status::text, amount_paid, amount_due") == ("UNPAID", 0, 1_000_000)


def test_true_transfer_reuses_the_reference_of_a_reversed_one(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    for amount in (960_000, 96_000, 69_000):
        wrong = pay(db, context, invoice, amount, "BCA 1")
        assert not wrong["duplicate"]
        reverse(db, context, wrong)
    true = pay(db, context, invoice, 96_000, "BCA 1")
    assert pay(db, context, invoice, 96_000, "bca1")["payment_id"] == true["payment_id"]
    code = refusal(
        db, context.admin, "record_payment", invoice_id=invoice["id"], amount=1, reference_number="BCA 1"
    )
    assert code == "PAYMENT_REFERENCE_REUSED"
    assert broken_invariants(db) == {}


def test_repeated_key_of_a_reversed_payment_books_nothing(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    payment = {"invoice_id": invoice["id"], "amount": 960_000, "reference_number": "BCA 1"}
    first = call(db, context.admin, "record_payment", **payment, idempotency_key="k")
    reverse(db, context, first)
    again = call(db, context.admin, "record_payment", **payment, idempotency_key="k")
    assert (again["payment_id"], again["duplicate"], again["is_reversed"]) == (
        first["payment_id"], True, True,
    )  # fmt: skip
    assert read(db, invoice, "amount_paid") == 0


def test_repeated_reversal_returns_the_first_one(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    wrong = pay(db, context, invoice, 300_000)
    first = reverse(db, context, wrong)
    assert reverse(db, context, wrong)["id"] == first["id"]
    with refused(db, "PAYMENT_REVERSED"):
        reverse(db, context, wrong, "lain")
    with refused(db, "PAYMENT_NOT_REVERSIBLE"):
        reverse(db, context, {"payment_id": first["id"]})
    with refused(db, "NOT_FOUND"):
        reverse(db, context, {"payment_id": str(uuid.uuid4())})
    assert read(db, invoice, "amount_paid") == 0


def test_payment_equal_to_a_reversed_one_is_quarantined(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    row = {"invoice_number": invoice["invoice_number"], "amount": 960_000, "reference_number": "BCA 1"}
    apply = {"stream": "payments", "payments": [row]}
    assert call(db, context.erp, "erp_apply_payments", **apply)[0]["result"] == "APPLIED"
    payment = value(db, "select id from app.invoice_payments")
    reverse(db, context, {"payment_id": payment})
    assert call(db, context.erp, "erp_apply_payments", **apply)[0]["result"] == "PAYMENT_REVERSED"
    assert value(db, "select reason from app.erp_quarantine") == "PAYMENT_REVERSED"
    true = row | {"amount": 96_000, "reference_number": "bca1"}
    assert call(db, context.erp, "erp_apply_payments", payments=[true])[0]["result"] == "APPLIED"
    assert call(db, context.erp, "erp_apply_payments", **apply)[0]["result"] == "PAYMENT_REVERSED"
    assert read(db, invoice, "amount_paid") == 96_000


def test_reversal_names_its_admin_in_the_trail(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    reversal = reverse(db, context, pay(db, context, invoice, 300_000))
    (row,) = audit_rows(db, target_type="invoice_payments", target_id=reversal["id"])
    assert (row["actor_id"], row["new_value"]["kind"]) == (context.admin.sub, "REVERSAL")


# --- refunds --------------------------------------------------------------------------------------


def refund(db: Connection, context: Context, invoice: dict[str, Any], amount: Any, **more: Any) -> Any:
    arguments = {"invoice_id": invoice["id"], "amount": amount, "reason": "dikembalikan"}
    arguments |= {"idempotency_key": str(uuid.uuid4())} | more
    return call(db, context.admin, "record_refund", **arguments)


def test_refunds_never_exceed_what_is_due_to_the_partner(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    pay(db, context, invoice, 300_000)
    with refused(db, "REFUND_EXCEEDS_DUE"):
        refund(db, context, invoice, 1)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    made = refund(db, context, invoice, 100_000, reference_number="OUT 1")
    assert (made["kind"], made["amount"]) == ("REFUND", -100_000)
    with refused(db, "REFUND_EXCEEDS_DUE"):
        refund(db, context, invoice, 200_001)
    refund(db, context, invoice, 200_000)
    assert read(db, invoice, "amount_paid, refund_due, status::text") == (0, 0, "CANCELLED")
    assert broken_invariants(db) == {}


def test_repeated_refund_is_booked_once(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    pay(db, context, invoice, 300_000, "OUT 1")
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    first = refund(db, context, invoice, 1000, reference_number="OUT 1", idempotency_key="k")
    for more in ({"idempotency_key": "k"}, {"idempotency_key": None}, {}):
        assert refund(db, context, invoice, 1000, reference_number="OUT 1", **more)["id"] == first["id"]
    with refused(db, "IDEMPOTENCY_CONFLICT"):
        refund(db, context, invoice, 999, reference_number="OUT 1", idempotency_key="k")
    with refused(db, "PAYMENT_REFERENCE_REUSED"):
        refund(db, context, invoice, 999, reference_number="out1")
    with refused(db, "INVALID_ARGUMENT"):
        refund(db, context, invoice, 1000, idempotency_key=None)
    assert read(db, invoice, "refund_due") == 299_000
    cash = refund(db, context, invoice, 500, idempotency_key="cash")
    assert refund(db, context, invoice, 500, idempotency_key="cash")["id"] == cash["id"]
    assert read(db, invoice, "refund_due") == 298_500


def test_refunded_payment_is_not_reversed(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    paid = pay(db, context, invoice, 300_000)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    refund(db, context, invoice, 1)
    with refused(db, "PAYMENT_NOT_REVERSIBLE"):
        reverse(db, context, paid)


# --- write-offs -----------------------------------------------------------------------------------


def test_fee_that_the_bank_kept_is_written_off(db: Connection, context: Context) -> None:
    who = context.partners[0]
    _, invoice = approved(db, context)
    pay(db, context, invoice, 997_500)
    done = call(db, context.admin, "write_off", invoice_id=invoice["id"], reason="biaya bank")
    assert (done["status"], done["amount_due"], done["amount_written_off"]) == ("PAID", 0, 2500)
    assert read(db, invoice, "paid_at = now(), refund_due, write_off_reason") == (True, 0, "biaya bank")
    assert (credit_used(db, who), balance(db, who)) == (0, 0)
    vest_points(db)
    assert balance(db, who) == 100
    assert broken_invariants(db) == {}


def test_invoice_is_written_off_once(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    paid = pay(db, context, invoice, 997_500)
    once = {"invoice_id": invoice["id"], "reason": "biaya bank"}
    for _ in "ab":
        call(db, context.admin, "write_off", **once)
    with refused(db, "ALREADY_WRITTEN_OFF"):
        call(db, context.admin, "write_off", **(once | {"reason": "lain"}))
    reverse(db, context, paid)
    assert read(db, invoice, "amount_due, amount_written_off") == (997_500, 2500)
    assert call(db, context.admin, "write_off", **once)["amount_due"] == 997_500, "a repeat gives up no more"


def test_write_off_is_limited_by_its_config(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    pay(db, context, invoice, 989_999)
    once = {"invoice_id": invoice["id"], "reason": "biaya bank"}
    with refused(db, "WRITE_OFF_TOO_LARGE"):
        call(db, context.admin, "write_off", **once)
    set_config(db, context, "invoice.write_off_max", 10_001)
    call(db, context.admin, "write_off", **once)
    with refused(db, "INVOICE_CLOSED"):
        call(db, context.admin, "write_off", invoice_id=approved_and_paid(db, context), reason="x")


def approved_and_paid(db: Connection, context: Context) -> str:
    _, invoice = approved(db, context)
    pay(db, context, invoice)
    return str(invoice["id"])


def test_write_off_by_a_superuser_is_refused_with_the_name_of_the_call(
    db: Connection, context: Context
) -> None:
    _, invoice = approved(db, context)
    with refused(db, "NOT_ALLOWED") as why:
        db.execute(
            "update app.invoices set amount_written_off = 1, written_off_at = now(), write_off_reason = 'x'"
            " where id = %s",
            [invoice["id"]],
        )
    assert "api.write_off" in (why.hint or "")


@pytest.mark.parametrize("amount", [0, -1, None, Decimal("0.001"), Decimal(10**13), Decimal("NaN")])
@pytest.mark.parametrize("correct", [issue, refund])
def test_amount_of_a_correction_out_of_range_is_refused(
    db: Connection, context: Context, amount: Decimal | None, correct: Any
) -> None:
    order, invoice = approved(db, context)
    with refused(db, "INVALID_ARGUMENT"):
        correct(db, context, order if correct is issue else invoice, amount)


def test_key_of_a_repeated_reference_returns_its_payment_after_the_reversal(
    db: Connection, context: Context
) -> None:
    """The second call booked nothing, but its key belongs to the payment from then on."""
    _, invoice = approved(db, context)
    first = pay(db, context, invoice, 1000, "BCA 1")
    again = {"invoice_id": invoice["id"], "amount": 1000, "reference_number": "bca1", "idempotency_key": "k"}
    assert call(db, context.admin, "record_payment", **again)["duplicate"]
    reverse(db, context, first)
    answer = call(db, context.admin, "record_payment", **again)
    assert (answer["payment_id"], answer["is_reversed"]) == (first["payment_id"], True)
    assert read(db, invoice, "amount_paid") == 0


def test_key_of_a_repeated_refund_reference_is_kept(db: Connection, context: Context) -> None:
    _, invoice = approved(db, context)
    pay(db, context, invoice, 300_000)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    refund(db, context, invoice, 1000, reference_number="OUT 1")
    refund(db, context, invoice, 1000, reference_number="OUT 1", idempotency_key="k")
    with refused(db, "IDEMPOTENCY_CONFLICT"):
        refund(db, context, invoice, 2000, reference_number="OUT 2", idempotency_key="k")


# --- the account ----------------------------------------------------------------------------------


def test_account_statement_has_every_correction_and_adds_up(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = cancelled(db, context)
    first, second = issue(db, context, order, 400_000), issue(db, context, order, 600_000)
    pay(db, context, first)
    reverse(db, context, pay(db, context, second, 5))
    pay(db, context, second, 597_500)
    call(db, context.admin, "write_off", invoice_id=second["id"], reason="biaya bank")
    call(db, context.admin, "ship_order", order_id=order["id"])
    returned = {"order_id": order["id"], "items": items(SKU_000=7), "reason": "rusak"}
    call(db, context.admin, "return_items", **returned, idempotency_key="k")
    refund(db, context, second, 1000)
    call(db, context.admin, "cancel_invoice", invoice_id=first["id"], reason="salah")
    today = value(db, "select (now() at time zone 'Asia/Jakarta')::date")
    statement = call(db, who, "account_statement", from_date=today, to_date=today)
    assert {line["kind"] for line in statement["lines"]} == {
        "INVOICE", "CANCELLATION", "PAYMENT", "REVERSAL", "REFUND", "CREDIT", "WRITE_OFF",
    }  # fmt: skip
    owed = value(db, "select sum(amount_due) - sum(refund_due) from app.invoices")
    assert statement["closing_balance"] == owed
    assert broken_invariants(db) == {}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cancel_invoice", {"reason": "salah"}),
        ("write_off", {"reason": "biaya bank"}),
        ("record_payment", {"amount": 1000, "reference_number": "R1"}),
        ("record_refund", {"amount": 1000, "reference_number": "R1", "reason": "x", "idempotency_key": "k"}),
    ],
)
def test_unknown_invoice_is_not_corrected(
    db: Connection, context: Context, name: str, arguments: dict[str, Any]
) -> None:
    with refused(db, "NOT_FOUND"):
        call(db, context.admin, name, invoice_id=str(uuid.uuid4()), **arguments)
