"""Dropped files: numbers and days as Indonesians write them, and faults with their line."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from adapters.erp.csv_files import MOST_ROWS, UnreadableFileError, number, read


def rows(stream: str, text: str) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The rows of a file and its faults."""
    found = read(stream, text.encode(), 7)
    return [row.model_dump(exclude_none=True) for row in found.rows], [(b.line, b.reason) for b in found.bad]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1250000", "1250000"),
        ("1250000.50", "1250000.50"),
        ("1.250.000,50", "1250000.50"),
        ("1250000,5", "1250000.5"),
        ("Rp1.250.000", "1250000"),
        ("Rp 45.000,00", "45000"),
        ("-3", "-3"),
        ("0", "0"),
    ],
)
def test_a_number_is_read_as_it_is_meant(text: str, value: str) -> None:
    assert number(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "dua", "1,250.50", "1e5", "NaN", "Infinity", "--1", "1.2.3", "12 x"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        number(text)


def test_what_may_be_two_numbers_is_not_guessed() -> None:
    with pytest.raises(ValueError, match=r"'1\.250' may be 1250 or 1\.250"):
        number("1.250")


def test_semicolons_commas_tabs_a_byte_order_mark_and_any_order_of_columns() -> None:
    for text in ("\ufeffSKU;Quantity\r\nA;3\r\n", "quantity,sku\n3,A\n", "sku\tquantity\nA\t3\n\n"):
        assert rows("stock", text) == ([{"sku": "A", "quantity": Decimal(3)}], [])


def test_a_bad_row_is_set_aside_with_its_line_and_the_others_are_read() -> None:
    good, bad = rows("stock", 'sku;quantity\nA;1\n;2\nC;many\n"D\nD";4\nE;5;6\nF;7\n')
    assert [row["sku"] for row in good] == ["A", "D\nD", "F"]
    assert bad == [
        (3, "sku is empty"),
        (4, "'many' is no number"),
        (7, "more cells than the first line has columns"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sku;jumlah\nA;1\n", "names no quantity"),
        ("sku;quantity;warna\nA;1;red\n", "unknown columns: warna"),
        ("sku;sku;quantity\nA;A;1\n", "names a column twice"),
        ("", "names no quantity, sku"),
        ("sku;quantity\nA;1\0\n", "not a text file"),
        ('sku;quantity\n"A;1\n', "unexpected end of data"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_whole(text: str, why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        read("stock", text.encode(), 7)


def test_another_encoding_is_named() -> None:
    with pytest.raises(UnreadableFileError, match="not UTF-8"):
        read("products", "sku;name;base_price\nA;Café;1\n".encode("cp1252"), 7)


def test_more_rows_than_one_transaction_takes_are_refused_whole() -> None:
    lines = "\n".join(f"S{i};1" for i in range(MOST_ROWS["stock"] + 1))
    with pytest.raises(UnreadableFileError, match="more than 50000 rows"):
        read("stock", f"sku;quantity\n{lines}".encode(), 7)


def test_products_with_what_is_optional() -> None:
    head = "sku;name;base_price;retail_price;brand;is_active\n"
    text = f"{head}A;Sampo;45.000,00;;Ayu;tidak\nB;Masker;1000;1500;;\nC;X;1;;;mungkin\n"
    good, bad = rows("products", text)
    assert good == [
        {"sku": "A", "name": "Sampo", "base_price": Decimal(45000), "brand": "Ayu", "is_active": False},
        {
            "sku": "B",
            "name": "Masker",
            "base_price": Decimal(1000),
            "retail_price": Decimal(1500),
            "is_active": True,
        },
    ]
    assert bad == [(4, "is_active is 'mungkin': ya or tidak")]


def test_days_are_of_the_accountants_zone() -> None:
    head = "invoice_number;amount;reference_number;paid_at\n"
    good, bad = rows(
        "payments", head + "I1;1000;R1;31/01/2026\nI1;1000;R2;2026-01-31 15:04\nI1;1;R3;31.1.26\n"
    )
    assert [row["paid_at"] for row in good] == ["2026-01-31T00:00:00+07:00", "2026-01-31T15:04:00+07:00"]
    assert bad == [
        (4, "paid_at is '31.1.26': 2026-01-31 or 31/01/2026, with 15:04 after it if need be"),
    ]
    today, _ = rows("payments", head + "I1;1000;R1;\n")
    age = datetime.now(timezone(timedelta(hours=7))) - datetime.fromisoformat(today[0]["paid_at"])
    assert timedelta() <= age < timedelta(minutes=1)
