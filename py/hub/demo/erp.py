"""The story with Tryton as the ERP: its stock, its sale, its accountant's payment."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from devtools.tryton import server as tryton_server
from devtools.tryton.accounting_client import Books
from hub.demo.api import Caller, Row
from hub.demo.context import Stage
from hub.demo.narrator import expect, rupiah
from hub.demo.ordering import ITEMS
from hub.demo.paying import point_balance, points_vest
from hub.errors import UserError
from hub.seed import catalog
from hub.stack.layout import Stack

_PLENTY = 1000
_SECONDS = 120
_PASSWORD = "rahasia-2026"  # noqa: S105  the demo's, printed at its end
DATABASE = "tryton_demo"


def furnish(stack: Stack, console: Console) -> tryton_server.Demo:
    """Have a Tryton that knows the demo's catalogue; the first time that takes a minute."""
    made = tryton_server.Demo(DATABASE, _PASSWORD)
    goods = [
        {"sku": p.sku, "name": p.name, "price": str(p.base_price), "quantity": _PLENTY}
        for p in catalog.products()
    ]
    wishes = tryton_server.Wishes("PT. Alfa Beauty Cosmetica", _PASSWORD, goods)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("Tryton", total=1)
        tryton_server.ensure_database(
            stack.cluster,
            DATABASE,
            wishes,
            lambda what, share: progress.update(bar, description=what, completed=share),
        )
    made.keep(stack.folder)
    return made


def restock(stage: Stage, books: Books) -> None:
    """Goods are counted in Tryton, and the hub follows."""
    stage.narrator.step("Tryton, the ERP: the warehouse counts its goods, and the hub follows")
    skus = [item["sku"] for item in ITEMS]
    books.count({str(sku): _PLENTY for sku in skus})
    stage.narrator.note(f"inventory confirmed in Tryton: {_PLENTY} of each product of the order")
    shown = (
        "select min(i.erp_stock) from app.inventory i join app.products p on p.id = i.product_id"
        " where p.sku = any(%s)"
    )
    reserved = _until(stage, "the stock", lambda: _value(stage, shown, skus) == _PLENTY)
    expect(reserved, "the hub shows Tryton's figure")
    stage.narrator.note(
        "erp_apply_stock: the hub shows the same; what is promised to open orders stays promised"
    )


def takes_over(stage: Stage, books: Books, admin: Caller, order: Row) -> None:
    """The approved order becomes a sale."""
    stage.narrator.step("Tryton takes the order over")
    number = _until(
        stage,
        "the sale",
        lambda: admin.row("orders", "erp_reference", id=order["id"])["erp_reference"],
    )
    [sale] = books.sales(order["order_number"])
    stage.narrator.note(
        f"sale {number} in Tryton, {sale['state']}, {rupiah(sale['total_amount'])}, "
        f"reference {order['order_number']}"
    )
    expect(sale["number"] == number, "the hub knows the sale's number")
    expect(float(sale["total_amount"]) == order["grand_total"], "the sale is over the order's total")


def pay_the_rest(stage: Stage, books: Books, partner: Caller, order: Row, invoice: Row) -> None:
    """The accountant records in Tryton; the points vest in the hub."""
    before = point_balance(partner)
    due = partner.row("invoices", "amount_due", id=invoice["id"])["amount_due"]
    stage.narrator.step(f"The remaining {rupiah(due)} come in: the accountant records them in Tryton")
    posted = books.post(order["order_number"])
    books.pay(posted, invoice["amount"] - due, f"{invoice['invoice_number']}-1")
    books.pay(posted, due, f"{invoice['invoice_number']}-2")
    stage.narrator.note(
        "he notes both transfers with the bank's references; the hub has the first one already"
    )
    _until(
        stage,
        "the payment",
        lambda: partner.row("invoices", "status", id=invoice["id"])["status"] == "PAID",
    )
    stage.api.tell(f"{invoice['invoice_number']}: PAID")
    points_vest(stage, partner, order, invoice, before)


def _value(stage: Stage, query: str, *values: Any) -> Any:
    row = stage.dba.execute(query.encode(), values).fetchone()
    return row[0] if row else None


def _until(stage: Stage, what: str, done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _SECONDS
    with stage.narrator.waiting(f"waiting for {what} ..."):
        while not (found := done()):
            if time.monotonic() > deadline:
                raise UserError(f"{what} did not come within {_SECONDS} seconds", hint="./hub logs erp")
            time.sleep(0.2)
    return found
