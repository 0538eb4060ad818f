"""Cancels a sale. Tryton cannot cancel a confirmed sale, only its shipments and invoices one by one."""

from collections.abc import Awaitable, Callable
from typing import Any

from adapters.erp.port import Cancellation, CancellationResult, LoginRefusedError, RefusedError
from adapters.erp.tryton_rpc import Client

_CANCELLED = "cancelled"
_UNSHIPPED = {"request", "draft", "waiting", "assigned", _CANCELLED}
_UNPOSTED = {"draft", "validated", _CANCELLED}


async def cancel(
    client: Client, order: Cancellation, ensure_settled: Callable[[], Awaitable[None]]
) -> CancellationResult:
    """Cancel the sale, its shipments and draft invoices; refused after a shipment or a posted invoice.

    `ensure_settled` raises BusyError while a pending request can still create the sale.
    """
    sales = await client.search_read(
        "sale.sale",
        [["reference", "=", order.order_number]],
        ["state", "number", "shipments.state", "shipments.number", "invoices.state", "invoices.number"],
    )
    if not sales:
        await ensure_settled()  # a sale created later would never be cancelled
    try:
        for sale in sales:
            await _cancel(client, sale)
    except LoginRefusedError:
        raise  # unrelated to the order
    except RefusedError as refused:
        return CancellationResult("REFUSED", str(refused))
    return CancellationResult("CANCELLED", "" if sales else "Tryton has no sale for it")


async def _cancel(client: Client, sale: dict[str, Any]) -> None:
    if sale["state"] == _CANCELLED:
        return
    if sale["state"] in ("draft", "quotation"):
        await client.call_confirming("model.sale.sale.cancel", [sale["id"]])
        return
    if sale["state"] == "confirmed":
        await client.call_confirming("model.sale.sale.process", [sale["id"]])
    _refuse_if_shipped_or_posted(sale)
    for model, found in (("stock.shipment.out", sale["shipments."]), ("account.invoice", sale["invoices."])):
        open_ids = [row["id"] for row in found if row["state"] != _CANCELLED]
        if open_ids:
            await client.call_confirming(f"model.{model}.cancel", open_ids)
    await _ignore_exceptions(client, sale["id"])


def _refuse_if_shipped_or_posted(sale: dict[str, Any]) -> None:
    for shipment in sale["shipments."]:
        if shipment["state"] not in _UNSHIPPED:
            raise RefusedError(f"sale {sale['number']}: shipment {shipment['number']} is {shipment['state']}")
    for invoice in sale["invoices."]:
        if invoice["state"] not in _UNPOSTED:
            raise RefusedError(f"sale {sale['number']}: invoice {invoice['number']} is {invoice['state']}")


async def _ignore_exceptions(client: Client, sale: int) -> None:
    """Let the sale ignore its cancelled shipments and invoices, instead of creating them again."""
    context = {"active_model": "sale.sale", "active_id": sale, "active_ids": [sale]}
    for what, records in (("invoice", "invoices"), ("shipment", "moves")):
        [row] = await client.search_read("sale.sale", [["id", "=", sale]], [f"{what}_state"])
        if row[f"{what}_state"] != "exception":
            continue
        wizard = f"wizard.sale.handle.{what}.exception"
        session, state, _ = await client.call(f"{wizard}.create", context=context)
        question = await client.call(f"{wizard}.execute", session, {}, state, context=context)
        ids = question["view"]["defaults"][f"domain_{records}"]
        answer = {f"domain_{records}": ids, f"ignore_{records}": ids, f"recreate_{records}": []}
        await client.call(f"{wizard}.execute", session, {"ask": answer}, "handle", context=context)
        await client.call(f"{wizard}.delete", session)
