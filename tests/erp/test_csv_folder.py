"""The drop folder and a real hub: files in, orders out, and what goes wrong on the way."""

import asyncio
import csv
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.erp.app import working
from adapters.erp.exchange import PAYMENTS_AT_ONCE
from adapters.erp.settings import Settings
from tests.support.client import RunningGateway
from tests.support.context import Context, approve, broken_invariants, call, line, submit, value

HOUR = 3600
SETTLE = 0.5


@dataclass
class Desk:
    """The accountant's desk, and the hub behind it."""

    gateway: RunningGateway
    context: Context
    conn: psycopg.Connection[Any]
    folder: Path

    def drop(self, name: str, text: str, *, age: float = 60) -> Path:
        """A file that was written so many seconds ago."""
        path = self.folder / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        moment = time.time() - age
        os.utime(path, (moment, moment))
        return path

    def look(self, settle: float = SETTLE) -> bool:
        """The adapter looks once at everything; whether all went well."""
        settings = Settings(
            gateway_url=self.gateway.url,
            jwt_secret=self.gateway.jwt_secret,
            erp_kind="csv",
            erp_folder=self.folder,
            erp_csv_settle_seconds=settle,
        )

        async def once() -> bool:
            async with working(settings) as worker:
                return await worker.once()

        return asyncio.run(once())

    def names(self, where: str) -> list[str]:
        """Names of the files in a folder, without the moment before them."""
        found = (path for path in (self.folder / where).glob("*") if path.is_file())
        return sorted(path.name.split("-", 1)[1] if where != "orders" else path.name for path in found)

    def stock(self, sku: str) -> int:
        """What the hub can sell of a product."""
        query = "select s.display_stock from app.inventory s join app.products p on p.id = s.product_id"
        return int(value(self.conn, f"{query} where p.sku = %s", sku) or 0)


@pytest.fixture(scope="module")
def opened(
    gateway: RunningGateway, context: Context, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A desk on whose products there is stock."""
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        desk = Desk(gateway, context, conn, tmp_path_factory.mktemp("drop"))
        rows = "".join(f"CSV-{i};Sampo {i};50.000,00;Ayu\n" for i in range(1, 9))
        desk.drop("products 2026.csv", f"sku;name;base_price;brand\n{rows}", age=HOUR)
        desk.drop("stock.csv", "sku;quantity\n" + "".join(f"CSV-{i};100\n" for i in range(1, 9)), age=HOUR)
        assert desk.look()
        yield desk


@pytest.fixture
def desk(opened: Desk) -> Desk:
    """The module's desk with an empty in/."""
    for path in (opened.folder / "in").iterdir():
        path.unlink()
    return opened


def test_products_and_stock_are_taken_and_the_files_are_put_away(desk: Desk) -> None:
    assert desk.stock("CSV-1") == 100
    assert value(desk.conn, "select base_price from app.products where sku = 'CSV-8'") == 50000
    assert {"products 2026.csv", "stock.csv"} <= set(desk.names("done"))


def test_bad_rows_are_set_aside_with_their_lines_and_the_good_ones_count(desk: Desk) -> None:
    desk.drop("stock-b.csv", "sku;quantity\nCSV-2;90\nCSV-3;banyak\nNEW-1;7\n")
    assert desk.look()
    assert (desk.stock("CSV-2"), desk.stock("CSV-3")) == (90, 100)
    [aside] = (desk.folder / "rejected").glob("*stock-b.csv")
    with aside.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file, delimiter=";")) == [
            ["line", "reason", "sku", "quantity"],
            ["3", "'banyak' is no number", "CSV-3", "banyak"],
        ]
    # What the hub does not know is its own to list; it counts once the product comes.
    assert value(desk.conn, "select count(*) from app.erp_quarantine where key = 'NEW-1'") == 1
    desk.drop("products-new.csv", "sku,name,base_price\nNEW-1,Masker,1000\n")
    assert desk.look()
    assert desk.stock("NEW-1") == 7
    # Put right and dropped again, as it is.
    desk.drop("stock-again.csv", aside.read_text("utf-8-sig").replace("banyak", "80"))
    assert desk.look()
    assert desk.stock("CSV-3") == 80


def test_a_file_that_is_none_of_ours_is_put_aside_whole(desk: Desk) -> None:
    desk.drop("stock-c.csv", "kode;jumlah\nCSV-4;1\n")
    assert desk.look()
    assert desk.stock("CSV-4") == 100
    [reason] = (desk.folder / "rejected").glob("*stock-c.csv.reason.txt")
    assert "names no quantity, sku" in reason.read_text("utf-8-sig")
    assert desk.names("in") == []


def test_more_payments_than_the_hub_takes_at_once_are_all_taken(desk: Desk) -> None:
    order = submit(desk.conn, desk.context.partners[0], [line("CSV-2", 1)])
    invoice = approve(desk.conn, desk.context, order)
    rows = "".join(f"{invoice['invoice_number']};1;R-{n}\n" for n in range(PAYMENTS_AT_ONCE + 1))
    desk.drop("payments-many.csv", f"invoice_number;amount;reference_number\n{rows}")
    assert desk.look()
    assert "payments-many.csv" in desk.names("done")
    paid = "select amount_paid from app.invoices where id = %s"
    assert value(desk.conn, paid, invoice["id"]) == PAYMENTS_AT_ONCE + 1


def test_a_file_that_is_still_being_written_is_left_alone(desk: Desk) -> None:
    path = desk.drop("stock-d.csv", "sku;quantity\nCSV-5;5", age=0)
    assert desk.look(settle=HOUR)
    assert (path.exists(), desk.stock("CSV-5")) == (True, 100)


def test_died_before_the_file_was_put_away_it_is_not_taken_again(desk: Desk) -> None:
    path = desk.drop("stock-e.csv", "sku;quantity\nCSV-6;60\n")
    moment = path.stat().st_mtime
    assert desk.look()
    desk.conn.execute(
        "update app.inventory set erp_stock = 55"
        " where product_id = (select id from app.products where sku = 'CSV-6')"
    )
    path = desk.drop("stock-e.csv", "sku;quantity\nCSV-6;60\n")
    os.utime(path, (moment, moment))
    assert desk.look()
    assert (desk.stock("CSV-6"), desk.names("in")) == (55, [])


def test_an_order_is_laid_out_once_and_an_older_reading_does_not_bring_its_units_back(
    desk: Desk,
) -> None:
    order = submit(desk.conn, desk.context.partners[0], [line("CSV-7", 10)])
    invoice = approve(desk.conn, desk.context, order)
    assert desk.look()
    name = f"{order['order_number']}.csv"
    path = desk.folder / "orders" / name
    with path.open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file, delimiter=";")
    assert (row["sku"], row["quantity"], row["invoice_number"]) == ("CSV-7", "10", invoice["invoice_number"])
    path.unlink()  # the accountant took it
    assert desk.look()
    assert not path.exists()
    assert desk.stock("CSV-7") == 90
    desk.drop("stock-f.csv", "sku;quantity\nCSV-7;100\n", age=30)  # exported before the order was there
    assert desk.look()
    assert desk.stock("CSV-7") == 90
    desk.drop("stock-g.csv", "sku;quantity\nCSV-7;88\n", age=0)
    time.sleep(SETTLE)
    assert desk.look()
    assert desk.stock("CSV-7") == 88
    assert broken_invariants(desk.conn) == {}


def test_a_payment_counts_once_however_often_it_is_dropped(desk: Desk) -> None:
    order = submit(desk.conn, desk.context.partners[1], [line("CSV-8", 20)])
    invoice = approve(desk.conn, desk.context, order)
    text = (
        "invoice_number;amount;reference_number;paid_at\n"
        f"{invoice['invoice_number']};{order['grand_total']:.2f};BCA-77;{time.strftime('%d/%m/%Y')}\nINV-NONE;1;X;\n"
    )
    for name in ("payments.csv", "payments.csv", "payments-again.csv"):
        desk.drop(name, text, age=HOUR)
        assert desk.look()
    query = "select count(*), sum(amount) from app.invoice_payments where invoice_id = %s"
    assert desk.conn.execute(query, [invoice["id"]]).fetchone() == (1, order["grand_total"])
    assert value(desk.conn, "select status from app.invoices where id = %s", invoice["id"]) == "PAID"
    assert value(desk.conn, "select count(*) from app.erp_quarantine where key like 'INV-NONE%%'") == 1
    assert broken_invariants(desk.conn) == {}


@pytest.mark.parametrize("taken", [False, True])
def test_cancelled_after_it_was_laid_out(desk: Desk, *, taken: bool) -> None:
    order = submit(desk.conn, desk.context.partners[0], [line("CSV-1", 1)])
    approve(desk.conn, desk.context, order)
    assert desk.look()
    path = desk.folder / "orders" / f"{order['order_number']}.csv"
    if taken:
        path.unlink()
    call(desk.conn, desk.context.admin, "reject_order", order_id=order["id"], reason="salah")
    assert desk.look()
    assert not path.exists()
    query = "select outcome, note from app.erp_cancellations where order_id = %s"
    outcome = desk.conn.execute(query, [order["id"]]).fetchone()
    expected = (
        ("REFUSED", f"{path.name} was taken out of orders/: undo it by hand")
        if taken
        else ("CANCELLED", None)
    )
    assert outcome == expected
    told = value(
        desk.conn,
        "select count(*) from app.messages where order_id = %s and recipient_type = 'AGENT'",
        order["id"],
    )
    assert (told > 0) == taken
    assert broken_invariants(desk.conn) == {}


def test_a_share_that_is_not_mounted_is_trouble(desk: Desk) -> None:
    away = desk.folder.with_name("away")
    desk.folder.rename(away)
    try:
        assert not desk.look()
    finally:
        away.rename(desk.folder)
    assert value(desk.conn, "select last_error from app.erp_streams where stream = 'stock'").endswith(
        "mounted?"
    )
