"""Payments that accountants put down in Tryton on the invoices of our sales."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from adapters.erp.port import Batch, Cursor, Payment
from adapters.erp.tryton_products import BATCH, changed, since
from adapters.erp.tryton_rpc import Client

_NO_MONEY = {"revenue", "expense", "write-off", "exchange"}
"""Journals of credit notes and corrections: they settle an invoice, but nobody paid."""
_LINE = (
    "debit",
    "credit",
    "move.number",
    "move.date",
    "move.description",
    "move.journal.name",
    "move.journal.type",
)


async def payments(
    client: Client, cursor: Cursor | None, overlap: timedelta, utc_offset: float
) -> AsyncIterator[Batch[Payment]]:
    """Of every invoice that changed all payments: two like ones can be told apart only side by side.

    A payment adds to its invoice's list, and that changes the invoice's date, whichever way it was entered.
    """
    last, moment, next_after = 0, since(cursor, overlap), ""
    zone = timezone(timedelta(hours=utc_offset))
    while True:
        invoices = await client.search_read(
            "account.invoice",
            [["id", ">", last], ["type", "=", "out"], ["state", "in", ["posted", "paid"]], *changed(moment)],
            ["number", "sales.description", "sales.reference", "payment_lines", "reconciliation_lines"],
            limit=BATCH,
        )
        next_after = next_after or client.clock.isoformat()
        invoices_of_ours = [row for row in invoices if _hub_number(row)]
        lines = await _lines(client, invoices_of_ours)
        rows, remarks = [], []
        for invoice in invoices_of_ours:
            found, strange = _payments(invoice, lines, zone)
            rows += found
            remarks += strange
        if len(invoices) < BATCH:
            yield Batch(rows, {"after": next_after}, remarks)
            return
        last = invoices[-1]["id"]
        yield Batch(rows, None, remarks)


def _hub_number(invoice: dict[str, Any]) -> str | None:
    numbers = {sale["description"] for sale in invoice["sales."] if sale["reference"] and sale["description"]}
    return str(numbers.pop()) if len(numbers) == 1 else None


async def _lines(client: Client, invoices: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    ids = sorted({line for row in invoices for line in (*row["payment_lines"], *row["reconciliation_lines"])})
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(ids), BATCH):
        rows = await client.search_read(
            "account.move.line", [["id", "in", ids[start : start + BATCH]]], _LINE
        )
        found |= {row["id"]: row for row in rows}
    return found


def _payments(
    invoice: dict[str, Any], lines: dict[int, dict[str, Any]], zone: timezone
) -> tuple[list[Payment], list[str]]:
    number = _hub_number(invoice) or ""
    ids = sorted({*invoice["payment_lines"], *invoice["reconciliation_lines"]} & set(lines))
    seen: Counter[str] = Counter()
    rows, remarks = [], []
    for line in (lines[key] for key in ids):
        move = line["move."]
        amount = Decimal(line["credit"]) - Decimal(line["debit"])
        if move["journal."]["type"] in _NO_MONEY:
            continue
        if amount <= 0:
            remarks.append(
                f"{number}: {move['number']} takes {-amount} back in Tryton: put it right in the hub too"
            )
            continue
        noted = " ".join((move["description"] or "").split())[:90] or f"TRYTON-{move['number']}"
        seen[noted] += 1
        rows.append(
            Payment(
                invoice_number=number,
                amount=amount,
                # "angsuran" twice are two payments.
                reference_number=noted if seen[noted] == 1 else f"{noted} ({seen[noted]})",
                paid_at=_moment(move["date"], zone),
                payment_method=str(move["journal."]["name"])[:50],
                notes=f"Tryton {move['number']}, faktur {invoice['number']}",
            )
        )
    return rows, remarks


def _moment(day: date, zone: timezone) -> str:
    return datetime.combine(day, time(), zone).isoformat()
