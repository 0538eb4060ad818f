"""Payments that accountants record in Tryton on the invoices of the hub's sales."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from adapters.erp.port import Batch, Cursor, Payment
from adapters.erp.tryton_products import BATCH, changed_since, read_from
from adapters.erp.tryton_rpc import Client

_NO_MONEY = {"revenue", "expense", "write-off", "exchange"}
"""Types of journals of credit notes and corrections: they settle an invoice without a payment."""
_LINE = (
    "debit",
    "credit",
    "move.number",
    "move.date",
    "move.description",
    "move.journal.name",
    "move.journal.type",
)


async def read_payments(
    client: Client, cursor: Cursor | None, overlap: timedelta, utc_offset: float
) -> AsyncIterator[Batch[Payment]]:
    """All payments of each changed invoice: two equal ones can only be distinguished side by side.

    However a payment is entered or taken back, it changes its invoice's list and so the invoice's date.
    """
    last, moment, next_after = 0, read_from(cursor, overlap), ""
    zone = timezone(timedelta(hours=utc_offset))
    while True:
        invoices = await client.search_read(
            "account.invoice",
            [
                ["id", ">", last],
                ["type", "=", "out"],
                ["state", "in", ["posted", "paid"]],
                *changed_since(moment),
            ],
            ["number", "sales.description", "sales.reference", "payment_lines", "reconciliation_lines"],
            limit=BATCH,
        )
        next_after = next_after or client.clock.isoformat()
        hub_invoices = [row for row in invoices if _hub_number(row)]
        lines = await _lines(client, hub_invoices)
        rows = [row for invoice in hub_invoices for row in _payments(invoice, lines, zone)]
        last_batch = len(invoices) < BATCH
        yield Batch(
            rows,
            {"after": next_after} if last_batch else None,
            complete=await _complete(client, [_hub_number(row) or "" for row in hub_invoices]),
        )
        if last_batch:
            return
        last = invoices[-1]["id"]


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


async def _complete(client: Client, numbers: list[str]) -> list[str]:
    """Those of the hub's invoices that a single one of Tryton bills: its payments are all there are."""
    if not numbers:
        return []
    rows = await client.search_read(
        "account.invoice",
        [
            ["type", "=", "out"],
            ["state", "in", ["posted", "paid"]],
            ["sales.description", "in", sorted(set(numbers))],
        ],
        ["sales.description", "sales.reference"],
    )
    times = Counter(_hub_number(row) for row in rows)
    return [number for number in dict.fromkeys(numbers) if times[number] == 1]


def _payments(invoice: dict[str, Any], lines: dict[int, dict[str, Any]], zone: timezone) -> list[Payment]:
    """The payments of an invoice; lines that reverse one have a negative amount."""
    number = _hub_number(invoice) or ""
    ids = sorted({*invoice["payment_lines"], *invoice["reconciliation_lines"]} & set(lines))
    seen: Counter[str] = Counter()
    rows = []
    for line in (lines[key] for key in ids):
        move = line["move."]
        amount = Decimal(line["credit"]) - Decimal(line["debit"])
        if move["journal."]["type"] in _NO_MONEY or not amount:
            continue
        reference = " ".join((move["description"] or "").split())[:90] or f"TRYTON-{move['number']}"
        seen[reference] += 1
        rows.append(
            Payment(
                invoice_number=number,
                amount=amount,
                # Two payments may have the same text, such as "angsuran" (instalment).
                reference_number=reference if seen[reference] == 1 else f"{reference} ({seen[reference]})",
                paid_at=_start_of_day(move["date"], zone),
                payment_method=str(move["journal."]["name"])[:50],
                notes=f"Tryton {move['number']}, faktur {invoice['number']}",
            )
        )
    return rows


def _start_of_day(day: date, zone: timezone) -> str:
    return datetime.combine(day, time(), zone).isoformat()
