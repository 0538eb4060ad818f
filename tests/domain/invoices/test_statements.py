"""Statements of a partner's account."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.support.calls import refused
from tests.support.context import Caller, Connection, Context, broken_invariants, call, pay, shadow, value
from tests.support.factories import make_agent
from tests.support.invoices import Invoice, billed

Statement = dict[str, Any]


@pytest.fixture
def today(db: Connection) -> date:
    """The present day in Jakarta."""
    found = value(db, "select (now() at time zone 'Asia/Jakarta')::date")
    assert isinstance(found, date)
    return found


def statement(
    conn: Connection, who: Caller, first: date, last: date | None = None, partner: Caller | None = None
) -> Statement:
    found: Statement = call(
        conn,
        who,
        "account_statement",
        from_date=str(first),
        to_date=str(last or first),
        partner_id=partner.sub if partner else None,
    )
    return found


def book_earlier(conn: Connection, table: str, row: str, days: int, column: str = "created_at") -> None:
    """Move the time of booking of a row back by so many days."""
    conn.execute("set local session_replication_role = replica")
    conn.execute(
        f"update app.{table} set {column} = {column} - make_interval(days => %s) where id = %s".encode(),
        [days, row],
    )
    conn.execute("set local session_replication_role = origin")


def kinds(found: Statement) -> list[tuple[str, Any, Any]]:
    return [(line["kind"], line["amount"], line["balance"]) for line in found["lines"]]


def owed(conn: Connection, partner: Caller) -> Decimal:
    """What is due on the partner's invoices less what is to be refunded."""
    query = "select coalesce(sum(amount_due - refund_due), 0) from api.invoices where partner_id = %s"
    found = value(conn, query, partner.sub)
    assert isinstance(found, Decimal)
    return found


def two_invoices(conn: Connection, context: Context) -> tuple[Invoice, Invoice]:
    """An invoice of 30 days ago that was paid in part 20 days ago, and one of today."""
    who = context.partners[0]
    old = billed(conn, context, who, 5)
    book_earlier(conn, "invoices", old["id"], 30)
    payment = pay(conn, context, old, 200_000, "TRF-1")
    book_earlier(conn, "invoice_payments", payment["payment_id"], 20)
    return old, billed(conn, context, who, 1)


def test_statement_lists_bookings_with_running_balance(db: Connection, context: Context, today: date) -> None:
    who = context.partners[0]
    two_invoices(db, context)
    found = statement(db, who, today - timedelta(days=40), today)
    assert (found["opening_balance"], found["closing_balance"]) == (0, 400_000)
    assert kinds(found) == [
        ("INVOICE", 500_000, 500_000),
        ("PAYMENT", -200_000, 300_000),
        ("INVOICE", 100_000, 400_000),
    ]
    assert found["closing_balance"] == owed(db, who)


def test_opening_balance_holds_what_was_booked_before(db: Connection, context: Context, today: date) -> None:
    who = context.partners[0]
    two_invoices(db, context)
    found = statement(db, who, today - timedelta(days=25), today - timedelta(days=1))
    assert (found["opening_balance"], found["closing_balance"]) == (500_000, 300_000)
    assert kinds(found) == [("PAYMENT", -200_000, 300_000)]
    empty = statement(db, who, today - timedelta(days=10), today - timedelta(days=1))
    assert (empty["opening_balance"], empty["closing_balance"], empty["lines"]) == (300_000, 300_000, [])


def test_line_names_its_invoice_order_and_reference(db: Connection, context: Context, today: date) -> None:
    invoice = billed(db, context, context.partners[0])
    pay(db, context, invoice, 40_000, "TRF-9")
    lines = statement(db, context.partners[0], today)["lines"]
    same = {"invoice_id": invoice["id"], "invoice_number": invoice["invoice_number"]}
    for line in lines:
        assert {name: line[name] for name in same} == same
        assert line["order_id"] == invoice["order_id"]
        assert line["value_date"] == str(today)
    assert [line["reference"] for line in lines] == [invoice["invoice_number"], "TRF-9"]


def test_payment_is_listed_by_booking_and_shows_its_value_date(
    db: Connection, context: Context, today: date
) -> None:
    invoice = billed(db, context, context.partners[0])
    arrived = today - timedelta(days=9)
    call(
        db,
        context.admin,
        "record_payment",
        invoice_id=invoice["id"],
        amount=40_000,
        reference_number="TRF-9",
        paid_at=f"{arrived}T23:30:00+07:00",
    )
    line = statement(db, context.partners[0], today)["lines"][-1]
    assert (line["kind"], line["value_date"]) == ("PAYMENT", str(arrived))
    assert statement(db, context.partners[0], arrived)["lines"] == []


def test_last_day_is_included_until_midnight_in_jakarta(
    db: Connection, context: Context, today: date
) -> None:
    who = context.partners[0]
    invoice = billed(db, context, who)
    day = today - timedelta(days=3)
    db.execute("set local session_replication_role = replica")
    for at, days in (
        ("00:00:00", {day}),
        ("23:59:59.999999", {day}),
        ("24:00:00", {day + timedelta(days=1)}),
    ):
        db.execute(
            "update app.invoices set created_at = (%s::date + %s::interval) at time zone 'Asia/Jakarta'"
            " where id = %s",
            [day, at, invoice["id"]],
        )
        found = {d for n in range(7) if statement(db, who, d := today - timedelta(days=n))["lines"]}
        assert found == days, at


def test_cancelled_invoice_is_taken_back_and_leaves_what_was_paid(
    db: Connection, context: Context, today: date
) -> None:
    who = context.partners[0]
    invoice = billed(db, context, who, 3)
    pay(db, context, invoice, 100_000)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    found = statement(db, who, today)
    assert kinds(found) == [
        ("INVOICE", 300_000, 300_000),
        ("PAYMENT", -100_000, 200_000),
        ("CANCELLATION", -300_000, -100_000),
    ]
    assert found["closing_balance"] == owed(db, who) == -100_000


def test_statement_adds_up_after_every_correction(db: Connection, context: Context, today: date) -> None:
    who, admin = context.partners[0], context.admin
    balances = []

    def book(function: str, **arguments: Any) -> Any:
        answer = call(db, admin, function, **arguments)
        found = statement(db, who, today)
        assert found["closing_balance"] == owed(db, who), function
        assert sum(line["amount"] for line in found["lines"]) == found["closing_balance"]
        balances.append(int(found["closing_balance"]))
        return answer

    invoice = billed(db, context, who, 5)
    of_invoice, of_order = {"invoice_id": invoice["id"]}, {"order_id": invoice["order_id"]}
    mistyped = book("record_payment", **of_invoice, amount=500_000, reference_number="T1")
    book("reverse_payment", payment_id=mistyped["payment_id"], reason="salah ketik")
    book("record_payment", **of_invoice, amount=300_000, reference_number="T1")
    call(db, admin, "ship_order", **of_order)
    goods = [{"sku": "SKU-000", "quantity": 4}]
    book("return_items", **of_order, items=goods, reason="rusak", idempotency_key="R1")
    refund = {"amount": 150_000, "reference_number": "OUT-1", "reason": "retur", "idempotency_key": "F1"}
    book("record_refund", **of_invoice, **refund)
    book("cancel_invoice", **of_invoice, reason="ditagih ulang")
    again = {"amount": 300_000, "due_date": None, "reason": "tagih ulang", "idempotency_key": "I1"}
    book("issue_invoice", **of_order, **again)
    other = billed(db, context, who, 1)
    book("record_payment", invoice_id=other["id"], amount=97_500, reference_number="T2")
    book("write_off", invoice_id=other["id"], reason="biaya bank")
    assert balances[:6] == [0, 500_000, 200_000, -200_000, -50_000, -150_000]
    amounts: dict[str, Any] = {}
    for line in statement(db, who, today)["lines"]:
        amounts[line["kind"]] = amounts.get(line["kind"], Decimal(0)) + line["amount"]
    assert (amounts["REVERSAL"], amounts["REFUND"], amounts["WRITE_OFF"]) == (500_000, 150_000, -2_500)
    assert (amounts["PAYMENT"], amounts["CANCELLATION"]) == (-897_500, -100_000)
    assert set(amounts) == {
        "INVOICE", "CREDIT", "PAYMENT", "REVERSAL", "WRITE_OFF", "REFUND", "CANCELLATION"
    }  # fmt: skip
    assert broken_invariants(db) == {}


def test_statements_of_consecutive_periods_join(db: Connection, context: Context, today: date) -> None:
    who = context.partners[0]
    two_invoices(db, context)
    days = [today - timedelta(days=n) for n in range(45, -1, -1)]
    parts = [statement(db, who, day) for day in days]
    whole = statement(db, who, days[0], days[-1])
    assert [part["opening_balance"] for part in parts[1:]] == [p["closing_balance"] for p in parts[:-1]]
    assert [line for part in parts for line in part["lines"]] == whole["lines"]
    assert parts[-1]["closing_balance"] == whole["closing_balance"]


def test_partner_reads_only_their_own_account(db: Connection, context: Context, today: date) -> None:
    own, other = context.partners[:2]
    billed(db, context, other)
    assert statement(db, own, today)["lines"] == []
    assert statement(db, own, today, partner=own)["partner_id"] == own.sub
    with refused(db, "NOT_FOUND"):
        statement(db, own, today, partner=other)
    acting = shadow(db, context.agents[0], other)
    assert len(statement(db, acting, today)["lines"]) == 1


def test_agents_and_headquarters_name_the_partner(db: Connection, context: Context, today: date) -> None:
    who = context.partners[0]
    billed(db, context, who)
    for reader in (context.agents[0], context.admin):
        assert len(statement(db, reader, today, partner=who)["lines"]) == 1
        with refused(db, "INVALID_ARGUMENT"):
            statement(db, reader, today)
        with refused(db, "NOT_FOUND"):
            statement(db, reader, today, partner=context.admin)
    with refused(db, "NOT_FOUND"):
        statement(db, make_agent(db, context.regions["papua"]), today, partner=who)


def test_statement_reads_the_bookings_of_its_partner_only(
    db: Connection, context: Context, today: date
) -> None:
    first, second = context.partners[:2]
    billed(db, context, first)
    other = billed(db, context, second)
    db.execute("set local session_replication_role = replica")
    db.execute(
        "insert into app.invoices (order_id, partner_id, amount, amount_paid, status, due_date, paid_at)"
        " select order_id, partner_id, 1, 1, 'PAID', now(), now()"
        " from app.invoices, generate_series(1, 5000) where id = %s",
        [other["id"]],
    )
    db.execute(
        "insert into app.invoice_payments (invoice_id, partner_id, amount, paid_at)"
        " select id, partner_id, 1, now() from app.invoices where status = 'PAID'"
    )
    db.execute("set local session_replication_role = origin")
    db.execute("analyze app.invoices, app.invoice_payments")
    read = (
        "select sum(seq_tup_read + idx_tup_fetch) from pg_stat_xact_user_tables"
        " where relname in ('invoices', 'invoice_payments')"
    )
    before = value(db, read)
    assert len(statement(db, first, today)["lines"]) == 1
    assert value(db, read) - before < 40


def test_statement_covers_at_most_a_leap_year(db: Connection, context: Context, today: date) -> None:
    who = context.partners[0]
    statement(db, who, today - timedelta(days=365), today)
    for first, last in ((366, 0), (0, 1)):
        with refused(db, "INVALID_ARGUMENT"):
            statement(db, who, today - timedelta(days=first), today - timedelta(days=last))
