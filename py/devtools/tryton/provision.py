"""Provision a new Tryton database: company, accounts, fiscal year, products, stock, users.

Run by the Python of Tryton's own environment, through proteus, Tryton's own client library:

    python provision.py trytond.conf DATABASE specification.json

The specification: {"company", "password", "products": [{"sku", "name", "price", "quantity"}, ...]}.
"""

import datetime
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from proteus import Model, config
from trytond.modules.account.tests.tools import (
    create_chart,
    create_fiscalyear,
    get_accounts,
)
from trytond.modules.account_invoice.tests.tools import (
    create_payment_term,
    set_fiscalyear_invoice_sequences,
)
from trytond.modules.company.tests.tools import (
    create_company,
)

ADAPTER, ACCOUNTANT = "hub", "akuntan"


def main(conf: str, database: str, specification: dict[str, Any]) -> None:
    """Create what the exchange of an order needs."""
    config.set_trytond(database, config_file=conf)
    _activate_modules()
    accounts = _company(specification["company"])
    _payment_methods(accounts)
    _products(specification["products"], _category(accounts))
    _stock(specification["products"])
    for login in (ADAPTER, ACCOUNTANT):
        _user(login, specification["password"])


def _activate_modules() -> None:
    """Mark the wizards of the installed modules as done."""
    for item in Model.get("ir.module.config_wizard.item").find([("state", "!=", "done")]):
        item.state = "done"
        item.save()


def _company(name: str) -> dict[str, Any]:
    party = Model.get("party.party")(name=name)
    party.save()
    create_company(party, "USD")  # replaced below: the test tools have no rupiah
    company = Model.get("company.company").find()[0]
    [rupiah] = Model.get("currency.currency").find([("code", "=", "IDR")]) or [_rupiah()]
    if not rupiah.rates:
        rupiah.rates.new(date=datetime.date(2000, 1, 1), rate=Decimal(1))
        rupiah.save()
    company.currency = rupiah
    company.save()
    create_chart(company)
    today = datetime.date.today()
    year = create_fiscalyear(
        company, (today - datetime.timedelta(days=60), today + datetime.timedelta(days=60))
    )
    set_fiscalyear_invoice_sequences(year).click("create_period")
    create_payment_term().save()
    return dict(get_accounts(company))


def _rupiah() -> Any:
    rupiah = Model.get("currency.currency")(name="Rupiah", symbol="Rp", code="IDR", rounding=Decimal("0.01"))
    rupiah.save()
    return rupiah


def _payment_methods(accounts: dict[str, Any]) -> None:
    journal = Model.get("account.journal").find([("type", "=", "cash")])[0]
    for name in ("Transfer BCA", "Tunai"):
        Model.get("account.invoice.payment.method")(
            name=name, journal=journal, credit_account=accounts["cash"], debit_account=accounts["cash"]
        ).save()


def _category(accounts: dict[str, Any]) -> Any:
    category = Model.get("product.category")(
        name="Barang dagangan",
        accounting=True,
        account_expense=accounts["expense"],
        account_revenue=accounts["revenue"],
    )
    category.save()
    return category


def _products(products: list[dict[str, Any]], category: Any) -> None:
    unit = Model.get("product.uom").find([("name", "=", "Unit")])[0]
    template = Model.get("product.template")
    template._proxy.create(
        [
            {
                "name": product["name"],
                "type": "goods",
                "salable": True,
                "default_uom": unit.id,
                "sale_uom": unit.id,
                "list_price": Decimal(str(product["price"])),
                "account_category": category.id,
                "products": [("create", [{"suffix_code": product["sku"]}])],
            }
            for product in products
        ],
        config.get_config().context,
    )


def _stock(products: list[dict[str, Any]]) -> None:
    ids = {product.code: product.id for product in Model.get("product.product").find([])}
    storage = Model.get("stock.location").find([("code", "=", "STO")])[0]
    inventory = Model.get("stock.inventory")
    lines = [
        {"product": ids[product["sku"]], "quantity": float(product["quantity"])}
        for product in products
        if product["quantity"]
    ]
    created = inventory._proxy.create(
        [{"location": storage.id, "lines": [("create", lines)]}], config.get_config().context
    )
    inventory(created[0]).click("confirm")


def _user(login: str, password: str) -> None:
    user = Model.get("res.user")(name=login, login=login)
    company = Model.get("company.company").find()[0]
    user.companies.append(company)
    user.company = company
    for group in Model.get("res.group").find([]):
        user.groups.append(group)
    user.password = password
    user.save()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text()))
