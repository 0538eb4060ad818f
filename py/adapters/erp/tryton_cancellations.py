"""Cancelling a sale. Tryton does it until the sale is confirmed; from then on it is undone piece by piece."""

from collections.abc import Awaitable, Callable
from typing import Any

from adapters.erp.port import Cancellation, Cancelled, LoginRefusedError, RefusedError
from adapters.erp.tryton_rpc import Client

_UNDONE = "cancelled"
_NOT_YET_GONE = {"request", "draft", "waiting", "assigned", _UNDONE}
_NOT_YET_POSTED = {"draft", "validated", _UNDONE}


async def cancel(client: Client, order: Cancellation, calm: Callable[[], Awaitable[None]]) -> Cancelled:
    """Cancel the sale, its shipments and draft invoices; refused once goods or an invoice are out."""
    sales = await client.search_read(
        "sale.sale",
        [["reference", "=", order.order_number]],
        ["state", "number", "shipments.state", "shipments.number", "invoices.state", "invoices.number"],
    )
    if not sales:
        await calm()  # a sale that is still on its way would be nobody's
    try:
        for sale in sales:
            await _cancel(client, sale)
    except LoginRefusedError:
        raise  # says nothing of the order
    except RefusedError as refused:
        return Cancelled("REFUSED", str(refused))
    return Cancelled("CANCELLED", "" if sales else "Tryton has no sale of it")


async def _cancel(client: Client, sale: dict[str, Any]) -> None:
    if sale["state"] == _UNDONE:
        return
    if sale["state"] in ("draft", "quotation"):
        await client.agree("model.sale.sale.cancel", [sale["id"]])
        return
    if sale["state"] == "confirmed":
        await client.agree("model.sale.sale.process", [sale["id"]])
    _refuse_what_is_out(sale)
    for model, found in (("stock.shipment.out", sale["shipments."]), ("account.invoice", sale["invoices."])):
        open_ones = [row["id"] for row in found if row["state"] != _UNDONE]
        if open_ones:
            await client.agree(f"model.{model}.cancel", open_ones)
    await _ignore_exceptions(client, sale["id"])


def _refuse_what_is_out(sale: dict[str, Any]) -> None:
    for shipment in sale["shipments."]:
        if shipment["state"] not in _NOT_YET_GONE:
            raise RefusedError(f"sale {sale['number']}: shipment {shipment['number']} is {shipment['state']}")
    for invoice in sale["invoices."]:
        if invoice["state"] not in _NOT_YET_POSTED:
            raise RefusedError(f"sale {sale['number']}: invoice {invoice['number']} is {invoice['state']}")


async def _ignore_exceptions(client: Client, sale: int) -> None:
    """Tell the sale not to make what was cancelled anew: it is done, with nothing delivered."""
    context = {"active_model": "sale.sale", "active_id": sale, "active_ids": [sale]}
    for what, records in (("invoice", "invoices"), ("shipment", "moves")):
        [row] = await client.search_read("sale.sale", [["id", "=", sale]], [f"{what}_state"])
        if row[f"{what}_state"] != "exception":
            continue
        wizard = f"wizard.sale.handle.{what}.exception"
        session, state, _ = await client.call(f"{wizard}.create", context=context)
        asked = await client.call(f"{wizard}.execute", session, {}, state, context=context)
        ids = asked["view"]["defaults"][f"domain_{records}"]
        answer = {f"domain_{records}": ids, f"ignore_{records}": ids, f"recreate_{records}": []}
        await client.call(f"{wizard}.execute", session, {"ask": answer}, "handle", context=context)
        await client.call(f"{wizard}.delete", session)
