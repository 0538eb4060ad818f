"""The drop folder with a real hub: files in, orders out, and faults in between."""

import asyncio
import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.erp.app import open_worker
from adapters.erp.exchange import PAYMENTS_PER_CALL
from adapters.erp.settings import Settings
from tests.support.client import RunningGateway
from tests.support.context import (
    Context,
    approve,
    broken_invariants,
    call,
    line,
    submit,
    value,
)
from tests.support.queries import stock

HOUR = 3600
SETTLE = 0.5


@dataclass
class DropFolder:
    """The accountant's drop folder and the hub behind it."""

    gateway: RunningGateway
    context: Context
    conn: psycopg.Connection[Any]
    folder: Path

    def drop(self, name: str, text: str, *, age: float = 60) -> Path:
        """Write a file to in/ that is `age` seconds old."""
        path = self.folder / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        moment = time.time() - age
        os.utime(path, (moment, moment))
        return path

    def exchange(self, settle: float = SETTLE) -> bool:
        """Run every stream once; returns whether all succeeded."""
        settings = Settings.model_validate(
            {
                "gateway_url": self.gateway.url,
                "jwt_secret": self.gateway.jwt_secret,
                "erp_kind": "csv",
                "erp_folder": self.folder,
                "erp_csv_settle_seconds": settle,
            }
        )

        async def once() -> bool:
            async with open_worker(settings) as worker:
                return await worker.once()

        return asyncio.run(once())

    def names(self, where: str) -> list[str]:
        """Names of the files in a folder, without the time before them."""
        found = (path for path in (self.folder / where).glob("*") if path.is_file())
        return sorted(path.name.split("-", 1)[1] if where != "orders" else path.name for path in found)

    def stock(self, sku: str) -> int:
        """The units of a product that the hub can sell."""
        return stock(self.conn, sku)[1]


def expect_erp(conn: psycopg.Connection[Any], kind: str) -> None:
    conn.execute(
        "update app.system_configs set config_value = to_jsonb(%s::text) where config_key = 'erp.kind'",
        [kind],
    )


@pytest.fixture(scope="module")
def provisioned(
    gateway: RunningGateway, gateway_context: Context, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DropFolder]:
    """The module's drop folder, whose products have stock."""
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        expect_erp(conn, "csv")
        drop_folder = DropFolder(gateway, gateway_context, conn, tmp_path_factory.mktemp("drop"))
        rows = "".join(f"CSV-{i};Sampo {i};50.000,00;Ayu\n" for i in range(1, 9))
        drop_folder.drop("products 2026.csv", f"sku;name;base_price;brand\n{rows}", age=HOUR)
        drop_folder.drop(
            "stock.csv", "sku;quantity\n" + "".join(f"CSV-{i};100\n" for i in range(1, 9)), age=HOUR
        )
        assert drop_folder.exchange()
        yield drop_folder


@pytest.fixture
def drop_folder(provisioned: DropFolder) -> DropFolder:
    """The module's drop folder with an empty in/."""
    for path in (provisioned.folder / "in").iterdir():
        path.unlink()
    return provisioned


def test_product_and_stock_files_are_applied_and_moved_to_done(drop_folder: DropFolder) -> None:
    assert drop_folder.stock("CSV-1") == 100
    assert value(drop_folder.conn, "select base_price from app.products where sku = 'CSV-8'") == 50000
    assert {"products 2026.csv", "stock.csv"} <= set(drop_folder.names("done"))


def test_bad_rows_are_rejected_with_their_line_and_good_rows_applied(drop_folder: DropFolder) -> None:
    drop_folder.drop("stock-b.csv", "sku;quantity\nCSV-2;90\nCSV-3;banyak\nNEW-1;7\n")
    assert drop_folder.exchange()
    assert (drop_folder.stock("CSV-2"), drop_folder.stock("CSV-3")) == (90, 100)
    [rejected] = (drop_folder.folder / "rejected").glob("*stock-b.csv")
    with rejected.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file, delimiter=";")) == [
            ["line", "reason", "sku", "quantity"],
            ["3", "'banyak' is not a number", "CSV-3", "banyak"],
        ]
    # The hub quarantines an unknown SKU; its level is applied once the product exists.
    assert value(drop_folder.conn, "select count(*) from app.erp_quarantine where key = 'NEW-1'") == 1
    drop_folder.drop("products-new.csv", "sku,name,base_price\nNEW-1,Masker,1000\n")
    assert drop_folder.exchange()
    assert drop_folder.stock("NEW-1") == 7
    # The rejected rows are corrected and dropped again, with their added columns.
    drop_folder.drop("stock-again.csv", rejected.read_text("utf-8-sig").replace("banyak", "80"))
    assert drop_folder.exchange()
    assert drop_folder.stock("CSV-3") == 80


def test_file_with_an_invalid_structure_is_rejected_as_a_whole(drop_folder: DropFolder) -> None:
    drop_folder.drop("stock-c.csv", "kode;jumlah\nCSV-4;1\n")
    assert drop_folder.exchange()
    assert drop_folder.stock("CSV-4") == 100
    [reason] = (drop_folder.folder / "rejected").glob("*stock-c.csv.reason.txt")
    assert "lacks the columns quantity, sku" in reason.read_text("utf-8-sig")
    assert drop_folder.names("in") == []


def test_payments_above_the_limit_of_one_call_are_all_applied(drop_folder: DropFolder) -> None:
    order = submit(drop_folder.conn, drop_folder.context.partners[0], [line("CSV-2", 1)])
    invoice = approve(drop_folder.conn, drop_folder.context, order)
    rows = "".join(f"{invoice['invoice_number']};1;R-{n}\n" for n in range(PAYMENTS_PER_CALL + 1))
    drop_folder.drop("payments-many.csv", f"invoice_number;amount;reference_number\n{rows}")
    assert drop_folder.exchange()
    assert "payments-many.csv" in drop_folder.names("done")
    paid = "select amount_paid from app.invoices where id = %s"
    assert value(drop_folder.conn, paid, invoice["id"]) == PAYMENTS_PER_CALL + 1


def test_recently_modified_file_is_left_alone(drop_folder: DropFolder) -> None:
    path = drop_folder.drop("stock-d.csv", "sku;quantity\nCSV-5;5", age=0)
    assert drop_folder.exchange(settle=HOUR)
    assert (path.exists(), drop_folder.stock("CSV-5")) == (True, 100)


def test_file_stored_before_a_crash_is_not_applied_again(drop_folder: DropFolder) -> None:
    path = drop_folder.drop("stock-e.csv", "sku;quantity\nCSV-6;60\n")
    moment = path.stat().st_mtime
    assert drop_folder.exchange()
    drop_folder.conn.execute(
        "update app.inventory set erp_stock = 55"
        " where product_id = (select id from app.products where sku = 'CSV-6')"
    )
    path = drop_folder.drop("stock-e.csv", "sku;quantity\nCSV-6;60\n")
    os.utime(path, (moment, moment))
    assert drop_folder.exchange()
    assert (drop_folder.stock("CSV-6"), drop_folder.names("in")) == (55, [])


def test_order_is_exported_once_and_an_older_stock_file_does_not_restore_its_units(
    drop_folder: DropFolder,
) -> None:
    order = submit(drop_folder.conn, drop_folder.context.partners[0], [line("CSV-7", 10)])
    invoice = approve(drop_folder.conn, drop_folder.context, order)
    assert drop_folder.exchange()
    name = f"{order['order_number']}.csv"
    path = drop_folder.folder / "orders" / name
    with path.open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file, delimiter=";")
    assert (row["sku"], row["quantity"], row["invoice_number"]) == ("CSV-7", "10", invoice["invoice_number"])
    path.unlink()  # the accountant removed it
    assert drop_folder.exchange()
    assert not path.exists()
    assert drop_folder.stock("CSV-7") == 90
    drop_folder.drop(
        "stock-f.csv", "sku;quantity\nCSV-7;100\n", age=30
    )  # exported from the books before the order
    assert drop_folder.exchange()
    assert drop_folder.stock("CSV-7") == 90
    drop_folder.drop("stock-g.csv", "sku;quantity\nCSV-7;88\n", age=0)
    time.sleep(SETTLE)
    assert drop_folder.exchange()
    assert drop_folder.stock("CSV-7") == 88
    assert broken_invariants(drop_folder.conn) == {}


def test_payment_dropped_repeatedly_is_recorded_once(drop_folder: DropFolder) -> None:
    order = submit(drop_folder.conn, drop_folder.context.partners[1], [line("CSV-8", 20)])
    invoice = approve(drop_folder.conn, drop_folder.context, order)
    text = (
        "invoice_number;amount;reference_number;paid_at\n"
        f"{invoice['invoice_number']};{order['grand_total']:.2f};BCA-77;{time.strftime('%d/%m/%Y')}\nINV-NONE;1;X;\n"
    )
    for name in ("payments.csv", "payments.csv", "payments-again.csv"):
        drop_folder.drop(name, text, age=HOUR)
        assert drop_folder.exchange()
    query = "select count(*), sum(amount) from app.invoice_payments where invoice_id = %s"
    assert drop_folder.conn.execute(query, [invoice["id"]]).fetchone() == (1, order["grand_total"])
    assert value(drop_folder.conn, "select status from app.invoices where id = %s", invoice["id"]) == "PAID"
    assert value(drop_folder.conn, "select count(*) from app.erp_quarantine where key like 'INV-NONE%%'") == 1
    assert broken_invariants(drop_folder.conn) == {}


@pytest.mark.parametrize("removed", [False, True])
def test_cancelled_order_file_is_withdrawn_or_the_cancellation_refused(
    drop_folder: DropFolder, *, removed: bool
) -> None:
    order = submit(drop_folder.conn, drop_folder.context.partners[0], [line("CSV-1", 1)])
    approve(drop_folder.conn, drop_folder.context, order)
    assert drop_folder.exchange()
    path = drop_folder.folder / "orders" / f"{order['order_number']}.csv"
    if removed:
        path.unlink()
    call(drop_folder.conn, drop_folder.context.admin, "reject_order", order_id=order["id"], reason="salah")
    assert drop_folder.exchange()
    assert not path.exists()
    query = "select outcome, note from app.erp_cancellations where order_id = %s"
    outcome = drop_folder.conn.execute(query, [order["id"]]).fetchone()
    expected = (
        ("REFUSED", f"{path.name} was already removed from orders/: undo the order by hand")
        if removed
        else ("CANCELLED", None)
    )
    assert outcome == expected
    notified = value(
        drop_folder.conn,
        "select count(*) from app.messages where order_id = %s and template = 'erp_cancel_refused'",
        order["id"],
    )
    assert (notified > 0) == removed
    assert broken_invariants(drop_folder.conn) == {}


def test_missing_drop_folder_is_reported(drop_folder: DropFolder) -> None:
    away = drop_folder.folder.with_name("away")
    drop_folder.folder.rename(away)
    try:
        assert not drop_folder.exchange()
    finally:
        away.rename(drop_folder.folder)
    assert value(drop_folder.conn, "select last_error from app.erp_streams where stream = 'stock'").endswith(
        "mounted?"
    )


def run_adapter(drop_folder: DropFolder) -> subprocess.CompletedProcess[str]:
    """`python -m adapters.erp --once`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")} | {
        "HUB_GATEWAY_URL": drop_folder.gateway.url,
        "HUB_JWT_SECRET": drop_folder.gateway.jwt_secret,
        "HUB_ERP_KIND": "csv",
        "HUB_ERP_FOLDER": str(drop_folder.folder),
    }
    command = [sys.executable, "-m", "adapters.erp", "--once"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("kind", ["none", "tryton"])
def test_adapter_does_not_start_while_the_hub_expects_another_erp(drop_folder: DropFolder, kind: str) -> None:
    before = drop_folder.stock("CSV-5")
    file = drop_folder.drop("stock-k.csv", "sku;quantity\nCSV-5;1\n")
    expect_erp(drop_folder.conn, kind)
    try:
        adapter = run_adapter(drop_folder)
        assert (adapter.returncode, f"config erp.kind is {kind}" in adapter.stderr) == (2, True), (
            adapter.stderr
        )
        # an adapter that runs already stops exchanging
        assert not drop_folder.exchange()
        assert (file.exists(), drop_folder.stock("CSV-5")) == (True, before)
    finally:
        expect_erp(drop_folder.conn, "csv")
    assert run_adapter(drop_folder).returncode == 0
    assert drop_folder.stock("CSV-5") == 1
