"""The steps of the demo that an ERP takes part in: its stock, its sale, its payments."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hub.demo.api import Caller, Row
from hub.demo.context import DemoContext
from hub.demo.erp import Erp, Transfer
from hub.demo.narrator import expect, rupiah
from hub.demo.ordering import ITEMS, STOCK
from hub.demo.payments import point_balance, show_vested_points
from hub.errors import UserError

_SECONDS = 120


def restock(demo: DemoContext, erp: Erp) -> None:
    """Count the stock in the ERP and wait until the hub shows it."""
    demo.narrator.step(f"{erp.name}, the ERP: the warehouse counts its products, and the hub follows")
    skus = [str(item["sku"]) for item in ITEMS]
    erp.count_stock(dict.fromkeys(skus, STOCK))
    demo.narrator.note(f"inventory confirmed in {erp.name}: {STOCK} of each product of the order")
    lowest = (
        "select min(i.erp_stock) from app.inventory i join app.products p on p.id = i.product_id"
        " where p.sku = any(%s)"
    )
    _until(demo, "the stock", lambda: demo.value(lowest, skus) == STOCK)
    demo.narrator.note(
        "erp_apply_stock: the hub shows the same; stock reserved for open orders stays reserved"
    )


def export_order(demo: DemoContext, erp: Erp, admin: Caller, order: Row) -> None:
    """Wait until the approved order is a sale in the ERP."""
    demo.narrator.step(f"The approved order becomes a sale in {erp.name}")
    number = _until(
        demo, "the sale", lambda: admin.row("orders", "erp_reference", id=order["id"])["erp_reference"]
    )
    [sale] = erp.sales(order["order_number"])
    demo.narrator.note(
        f"sale {number} in {erp.name}, {sale.state}, {rupiah(sale.total)}, reference {order['order_number']}"
    )
    expect(sale.number == number, "the hub knows the sale's number")
    expect(sale.total == Decimal(str(order["grand_total"])), "the sale has the order's total")


def pay_rest(demo: DemoContext, erp: Erp, partner: Caller, order: Row, invoice: Row) -> None:
    """Record the payments in the ERP and wait until the points vest in the hub."""
    before = point_balance(partner)
    due = Decimal(str(partner.row("invoices", "amount_due", id=invoice["id"])["amount_due"]))
    demo.narrator.step(f"The remaining {rupiah(due)} arrive: the accountant records them in {erp.name}")
    number = invoice["invoice_number"]
    paid = Decimal(str(invoice["amount"])) - due
    erp.record_payments(order["order_number"], [Transfer(paid, f"{number}-1"), Transfer(due, f"{number}-2")])
    demo.narrator.note("both transfers carry the bank's references; the hub has the first one already")
    _until(
        demo,
        "the payment",
        lambda: partner.row("invoices", "status", id=invoice["id"])["status"] == "PAID",
    )
    demo.api.narrate(f"{number}: PAID")
    show_vested_points(demo, partner, order, invoice, before)


def _until(demo: DemoContext, what: str, done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _SECONDS
    with demo.narrator.waiting(f"waiting for {what} ..."):
        while not (found := done()):
            if time.monotonic() > deadline:
                raise UserError(f"{what} did not arrive within {_SECONDS} seconds", hint="./hub logs erp")
            time.sleep(0.2)
    return found
