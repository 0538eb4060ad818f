"""Overdue invoices, and what partners owe by age."""

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.client import caller
from tests.support.context import Caller, Connection, Context, call, pay, value
from tests.support.factories import make_agent
from tests.support.invoices import billed, make_overdue, overdue_invoice

AGES = ["not_overdue", "overdue", "overdue_1_30", "overdue_31_60", "overdue_61_90", "overdue_over_90"]


def rows(conn: Connection, who: Caller, query: str) -> list[dict[str, Any]]:
    """What the caller reads."""
    with caller(conn, who.role, who.sub):
        found = conn.execute(f"select to_jsonb(r) from ({query}) as r".encode()).fetchall()
    return [row for (row,) in found]


def receivables(conn: Connection, who: Caller) -> list[dict[str, Any]]:
    return rows(conn, who, "select * from api.receivables order by business_name")


@pytest.mark.parametrize(
    ("days", "column"),
    [
        (-1, "not_overdue"),
        (0, "not_overdue"),
        (1, "overdue_1_30"),
        (30, "overdue_1_30"),
        (31, "overdue_31_60"),
        (60, "overdue_31_60"),
        (61, "overdue_61_90"),
        (90, "overdue_61_90"),
        (91, "overdue_over_90"),
        (4000, "overdue_over_90"),
    ],
)
def test_an_open_invoice_counts_in_the_column_of_its_age(
    db: Connection, context: Context, days: int, column: str
) -> None:
    overdue_invoice(db, context, context.partners[0], days)
    (found,) = receivables(db, context.admin)
    columns = {column} | ({"overdue"} if days > 0 else set())
    assert {name for name in AGES if found[name]} == columns
    assert all(found[name] == 100_000 for name in columns)
    assert (found["amount_due"], found["open_invoices"]) == (100_000, 1)
    assert found["days_overdue"] == max(days, 0)


def test_receivables_add_up_what_is_still_due(db: Connection, context: Context) -> None:
    first, second, third = context.partners
    partly = overdue_invoice(db, context, first, 40, units=3)
    pay(db, context, partly, 120_000)
    overdue_invoice(db, context, first, 2, units=1)
    billed(db, context, first, units=2)
    pay(db, context, overdue_invoice(db, context, second, 10))
    cancelled = overdue_invoice(db, context, second, 10)
    call(db, context.admin, "cancel_invoice", invoice_id=cancelled["id"], reason="salah")
    overdue_invoice(db, context, third, 100)
    found = receivables(db, context.admin)
    assert [r["partner_id"] for r in found] == [first.sub, third.sub], "the second owes nothing"
    expected = {
        "open_invoices": 3,
        "amount_due": 480_000,
        "not_overdue": 200_000,
        "overdue": 280_000,
        "overdue_1_30": 100_000,
        "overdue_31_60": 180_000,
        "overdue_61_90": 0,
        "overdue_over_90": 0,
        "days_overdue": 40,
    }
    assert {name: found[0][name] for name in expected} == expected
    due = "select sum(amount_due) from api.invoices where status in ('UNPAID', 'PARTIAL')"
    assert sum(Decimal(r["amount_due"]) for r in found) == value(db, due)


def test_agents_see_the_receivables_of_their_regions(db: Connection, context: Context) -> None:
    overdue_invoice(db, context, context.partners[0], 5)
    elsewhere = make_agent(db, context.regions["papua"])
    assert len(receivables(db, context.agents[0])) == 1
    assert receivables(db, elsewhere) == []
    assert len(rows(db, context.agents[0], "select * from api.overdue_invoices")) == 1
    assert rows(db, elsewhere, "select * from api.overdue_invoices") == []


@pytest.mark.parametrize("view", ["receivables", "overdue_invoices", "receivables_by_age"])
def test_subdist_reads_nothing_of_what_partners_owe(db: Connection, context: Context, view: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(db, context.subdists[0], f"select * from api.{view}")


def test_partner_reads_own_overdue_invoices_only(db: Connection, context: Context) -> None:
    own, _ = (overdue_invoice(db, context, who, 5) for who in context.partners[:2])
    found = rows(db, context.partners[0], "select * from api.overdue_invoices")
    assert [r["id"] for r in found] == [own["id"]]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        receivables(db, context.partners[0])


def test_overdue_list_is_filtered_and_sorted_by_days(db: Connection, context: Context) -> None:
    days = [0, 1, 45, 8, -3, 31]
    for n in days:
        overdue_invoice(db, context, context.partners[0], n)
    pay(db, context, overdue_invoice(db, context, context.partners[0], 60))
    listed = "select * from api.overdue_invoices where days_overdue > 7 order by days_overdue desc"
    assert [r["days_overdue"] for r in rows(db, context.admin, listed)] == [45, 31, 8]
    found = rows(db, context.admin, "select * from api.overdue_invoices order by due_date")
    assert [r["days_overdue"] for r in found] == [45, 31, 8, 1]
    assert {r["business_name"] for r in found} == {"Salon 0"}
    every = rows(db, context.admin, "select days_overdue from api.invoices order by days_overdue desc")
    assert [r["days_overdue"] for r in every] == [45, 31, 8, 1, 0, 0, 0], "0 once it is paid"


def test_ages_add_up_the_receivables_that_the_caller_sees(db: Connection, context: Context) -> None:
    first, second = context.partners[:2]
    pay(db, context, overdue_invoice(db, context, first, 40, units=3), 120_000)
    overdue_invoice(db, context, first, 2)
    pay(db, context, overdue_invoice(db, context, first, 50))
    overdue_invoice(db, context, second, 100)
    billed(db, context, second, units=2)
    elsewhere = make_agent(db, context.regions["papua"])
    ages = [*AGES, "overdue_61_90", "amount_due"]
    for who, owing in (
        (context.admin, receivables(db, context.admin)),
        (context.agents[0], receivables(db, context.agents[0])),
        (elsewhere, []),
        (first, [r for r in receivables(db, context.admin) if r["partner_id"] == first.sub]),
    ):
        [total] = rows(db, who, "select * from api.receivables_by_age")
        assert {age: total[age] for age in ages} == {age: sum(r[age] for r in owing) for age in ages}
        assert total["open_invoices"] == sum(r["open_invoices"] for r in owing)
    [total] = rows(db, context.admin, "select * from api.receivables_by_age")
    assert (total["overdue_31_60"], total["overdue_over_90"]) == (180_000, 100_000)


def test_receivables_read_open_invoices_only(db: Connection, context: Context) -> None:
    overdue_invoice(db, context, context.partners[0], 5)
    db.execute("set local session_replication_role = replica")
    db.execute(
        "insert into app.invoices (order_id, partner_id, amount, amount_paid, status, due_date, paid_at)"
        " select i.order_id, i.partner_id, 1, 1, 'PAID', now() - interval '1 day', now()"
        " from app.invoices i, generate_series(1, 5000)"
    )
    db.execute("set local session_replication_role = origin")
    db.execute("analyze app.invoices")
    read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'invoices'"
    before = value(db, read)
    for view in ("receivables", "overdue_invoices", "receivables_by_age"):
        for who in (context.admin, context.agents[0]):
            assert len(rows(db, who, f"select * from api.{view}")) == 1
    assert value(db, read) - before < 40


def test_overdue_days_follow_the_calendar_of_jakarta(db: Connection, context: Context) -> None:
    invoice = billed(db, context, context.partners[0])
    make_overdue(db, invoice, 1)
    (found,) = rows(db, context.admin, "select days_overdue from api.overdue_invoices")
    day = "select (now() at time zone 'Asia/Jakarta')::date - (due_date at time zone 'Asia/Jakarta')::date"
    assert found["days_overdue"] == value(db, f"{day} from app.invoices") == 1
