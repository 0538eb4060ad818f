"""`hub dev demo-erp`: the demo with a real Tryton as the ERP."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal

import psycopg
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import hub.demo
from devtools.tryton import server
from devtools.tryton.accounting_client import AccountingClient
from hub.console import out
from hub.demo.erp import Sale, Transfer
from hub.demo.ordering import STOCK
from hub.ports import next_free
from hub.seed import PASSWORD, catalog
from hub.stack import declared
from hub.stack.layout import Stack
from hub.stack.programs import python_account
from hub.stack.up import up

PROGRAM = "trytond"
DATABASE = "tryton_demo"
PORT = 18162
"""Where the port is taken, the next free one is used."""


def run() -> None:
    """Provision Tryton beside the stack and play the demo with it; the first time takes some minutes."""
    hub.demo.run(connect)


@contextmanager
def connect(stack: Stack) -> Iterator["TrytonErp"]:
    """Have the stack run Tryton and the ERP adapter; yields the demo's view of Tryton."""
    _provision(stack)
    program = _declare(stack)
    # The adapter starts only with this config.
    with psycopg.connect(stack.settings.database_url.get_secret_value()) as conn:
        conn.execute(
            "update app.system_configs set config_value = '\"tryton\"'"
            " where config_key = 'erp.kind' and config_value <> '\"tryton\"'"
        )
    up(quiet=True)
    with closing(AccountingClient(program.url, DATABASE, PASSWORD)) as client:
        yield TrytonErp(client)


class TrytonErp:
    """Tryton as the demo sees it: what a warehouse clerk and an accountant do."""

    name = "Tryton"

    def __init__(self, client: AccountingClient) -> None:
        self._client = client

    def count_stock(self, levels: Mapping[str, int]) -> None:
        """Confirm an inventory."""
        self._client.count(levels)

    def sales(self, order_number: str) -> list[Sale]:
        """The sales with this reference."""
        found = self._client.sales(order_number)
        return [Sale(sale["number"], sale["state"], Decimal(str(sale["total_amount"]))) for sale in found]

    def record_payments(self, order_number: str, transfers: Sequence[Transfer]) -> None:
        """Post the draft invoice of the sale and pay it."""
        invoice = self._client.post(order_number)
        for transfer in transfers:
            self._client.pay(invoice, transfer.amount, transfer.reference)


def _provision(stack: Stack) -> None:
    products = [
        {"sku": p.sku, "name": p.name, "price": str(p.base_price), "quantity": STOCK}
        for p in catalog.products()
    ]
    specification = server.Specification("PT. Alfa Beauty Cosmetica", PASSWORD, products)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("Tryton", total=1)
        server.ensure_database(
            stack.cluster,
            DATABASE,
            specification,
            lambda what, share: progress.update(bar, description=what, completed=share),
        )


def _declare(stack: Stack) -> declared.DeclaredProgram:
    tryton = server.Server(stack.cluster, DATABASE, _port(stack), stack.folder / "tryton")
    program = declared.DeclaredProgram(
        name=PROGRAM,
        command=tryton.command(python_account()),
        port=tryton.port,
        account="python",
        url=tryton.url,
        settings={
            "erp_kind": "tryton",
            "erp_url": tryton.url,
            "erp_database": DATABASE,
            "erp_login": server.ADAPTER,
            "erp_password": PASSWORD,
            "erp_poll_seconds": "1",
            "erp_interval_seconds": "3",
            "erp_settle_seconds": "5",
            "erp_timeout_seconds": "30",
        },
    )
    program.write(stack.folder)
    return program


def _port(stack: Stack) -> int:
    """The port of an earlier run, which Tryton itself may hold, else a free one."""
    file = declared.file_of(stack.folder, PROGRAM)
    if file.exists():
        return int(json.loads(file.read_text())["port"])
    return next_free(PORT)
