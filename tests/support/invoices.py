"""Invoices of which the due date has come or passed."""

from typing import Any

from tests.support.context import Caller, Connection, HasAdmin, approve, as_owner, items, submit

Invoice = dict[str, Any]


def billed(conn: Connection, context: HasAdmin, partner: Caller, units: int = 1) -> Invoice:
    """The invoice of a new order of `units` units of SKU-000, Rp100,000 each."""
    return approve(conn, context, submit(conn, partner, items(SKU_000=units)))


def make_overdue(conn: Connection, invoice: Invoice, days: int) -> None:
    """Set the due date to so many days (Jakarta) ago; a negative number is ahead."""
    with as_owner(conn):
        conn.execute(
            "update app.invoices set due_date = now() - make_interval(days => %s) where id = %s",
            [days, invoice["id"]],
        )


def overdue_invoice(
    conn: Connection, context: HasAdmin, partner: Caller, days: int, units: int = 1
) -> Invoice:
    """An unpaid invoice that was due so many days ago."""
    invoice = billed(conn, context, partner, units)
    make_overdue(conn, invoice, days)
    return invoice
