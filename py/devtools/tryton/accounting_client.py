"""An accountant's work in Tryton, by the calls that Tryton's own client makes."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from adapters.erp.tryton_rpc import Client
from devtools.tryton.server import ACCOUNTANT


class AccountingClient:
    """A session of an accountant in Tryton."""

    def __init__(self, url: str, database: str, password: str) -> None:
        self._runner = asyncio.Runner()
        self._client = Client(url, database, ACCOUNTANT, password, 60)

    def close(self) -> None:
        """Close the session."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    def call(self, method: str, *params: Any, **context: Any) -> Any:
        """Call a method of a model and confirm Tryton's warnings."""
        return self._runner.run(self._client.call_confirming(method, *params, context=context))

    def rows(self, model: str, domain: Sequence[Any], *fields: str) -> list[dict[str, Any]]:
        """Read rows of a model."""
        return self._runner.run(self._client.search_read(model, domain, fields))

    def sales(self, reference: str) -> list[dict[str, Any]]:
        """The sales that carry an order's number."""
        return self.rows("sale.sale", [["reference", "=", reference]], "number", "state", "total_amount")

    def product(self, sku: str) -> dict[str, Any]:
        """The product with this SKU."""
        return self.rows("product.product", [["code", "=", sku]], "default_uom", "template")[0]

    def receive(self, sku: str, quantity: int) -> None:
        """Receive units from a supplier."""
        locations = {row["code"]: row["id"] for row in self.rows("stock.location", [], "code")}
        product = self.product(sku)
        [company] = self.rows("company.company", [], "currency")
        values = {
            "product": product["id"],
            "unit": product["default_uom"],
            "quantity": quantity,
            "from_location": locations["SUP"],
            "to_location": locations["STO"],
            "unit_price": Decimal(1000),
            "currency": company["currency"],
        }
        self.call("model.stock.move.do", self.call("model.stock.move.create", [values]))

    def count(self, counted: Mapping[str, int]) -> None:
        """Confirm an inventory: the units on hand for each SKU."""
        [storage] = self.rows("stock.location", [["code", "=", "STO"]], "code")
        ids = {
            row["code"]: row["id"]
            for row in self.rows("product.product", [["code", "in", list(counted)]], "code")
        }
        lines = [{"product": ids[sku], "quantity": quantity} for sku, quantity in counted.items()]
        made = self.call(
            "model.stock.inventory.create", [{"location": storage["id"], "lines": [("create", lines)]}]
        )
        self.call("model.stock.inventory.confirm", made)

    def ship(self, reference: str) -> None:
        """Pick, pack and send the products of an order."""
        [sale] = self.rows("sale.sale", [["reference", "=", reference]], "shipments")
        for step in ("wait", "assign_force", "pick", "pack", "do"):
            self.call(f"model.stock.shipment.out.{step}", sale["shipments"])

    def post(self, reference: str) -> int:
        """Post the invoice of an order; returns its id."""
        [sale] = self.rows("sale.sale", [["reference", "=", reference]], "invoices")
        self.call("model.account.invoice.write", sale["invoices"], {"invoice_date": date.today()})
        self.call("model.account.invoice.post", sale["invoices"])
        return int(sale["invoices"][0])

    def reconcile(self, invoice: int, amount: Any, description: str) -> int:
        """Enter the bank's move and reconcile it with an invoice by hand; returns the bank's line."""
        [due] = self.rows("account.invoice", [["id", "=", invoice]], "account", "party", "lines_to_pay")
        [method] = self.rows("account.invoice.payment.method", [], "journal", "debit_account")[:1]
        today = date.today()
        [period] = self.rows(
            "account.period",
            [["type", "=", "standard"], ["start_date", "<=", today], ["end_date", ">=", today]],
        )
        value, zero = Decimal(str(amount)), Decimal(0)
        lines = [
            {"account": method["debit_account"], "debit": value, "credit": zero},
            {"account": due["account"], "party": due["party"], "debit": zero, "credit": value},
        ]
        values = {
            "journal": method["journal"],
            "period": period["id"],
            "date": today,
            "description": description,
            "lines": [("create", lines)],
        }
        [move] = self.call("model.account.move.create", [values])
        self.call("model.account.move.post", [move])
        [paid] = self.rows("account.move.line", [["move", "=", move], ["account", "=", due["account"]]])
        self._on_lines("account.move.reconcile_lines", [paid["id"], *due["lines_to_pay"]])
        return int(paid["id"])

    def remove_reconciliation(self, line: int) -> None:
        """Take back by hand what settled an invoice; takes what `reconcile` returned."""
        self._on_lines("account.move.unreconcile_lines", [line])

    def _on_lines(self, wizard: str, lines: Sequence[int]) -> None:
        """Run a wizard on lines of moves: Tryton lets no user write their reconciliation directly.

        Raises RuntimeError if the wizard asks for more, as for an amount to write off.
        """
        context = {"active_model": "account.move.line", "active_id": lines[0], "active_ids": list(lines)}
        session, state, _ = self.call(f"wizard.{wizard}.create", **context)
        asked = self.call(f"wizard.{wizard}.execute", session, {}, state, **context)
        if "view" in asked:
            raise RuntimeError(f"{wizard} asks for more: {asked['view']}")
        self.call(f"wizard.{wizard}.delete", session)

    def pay(self, invoice: int, amount: Any, description: str | None = None) -> None:
        """Record a payment with the wizard that Tryton's button opens."""
        context = {"active_model": "account.invoice", "active_id": invoice, "active_ids": [invoice]}
        session, state, _ = self.call("wizard.account.invoice.pay.create", **context)
        asked = self.call("wizard.account.invoice.pay.execute", session, {}, state, **context)
        method = self.rows("account.invoice.payment.method", [], "name")[0]["id"]
        start = asked["view"]["defaults"] | asked["view"].get("values", {})
        start = {key: value for key, value in start.items() if not key.endswith(".")}
        start |= {"amount": Decimal(str(amount)), "payment_method": method, "description": description}
        given = {"start": start}
        after = self.call("wizard.account.invoice.pay.execute", session, given, "choice", **context)
        if "view" in after:  # a partial payment: Tryton asks how to treat the rest
            ask = after["view"]["defaults"] | after["view"].get("values", {})
            ask = {key: value for key, value in ask.items() if not key.endswith(".")} | {"type": "partial"}
            self.call("wizard.account.invoice.pay.execute", session, given | {"ask": ask}, "pay", **context)
        self.call("wizard.account.invoice.pay.delete", session)
