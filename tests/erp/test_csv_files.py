"""Parsing dropped files: Indonesian numbers and dates, bad rows with their line."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from adapters.erp.csv_files import MAX_ROWS, UnreadableFileError, parse, parse_number


def rows(stream: str, text: str) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The rows of a file, and the line and reason of its bad rows."""
    parsed = parse(stream, text.encode(), 7)
    return [row.model_dump(exclude_none=True) for row in parsed.rows], [
        (b.line, b.reason) for b in parsed.bad
    ]


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
def test_indonesian_number_is_parsed(text: str, value: str) -> None:
    assert parse_number(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "dua", "1,250.50", "1e5", "NaN", "Infinity", "--1", "1.2.3", "12 x"])
def test_text_that_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)


def test_ambiguous_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'1\.250' can mean 1250 or 1\.250"):
        parse_number("1.250")


@pytest.mark.parametrize(
    "text", ["\ufeffSKU;Quantity\r\nA;3\r\n", "quantity,sku\n3,A\n", "sku\tquantity\nA\t3\n\n"]
)
def test_separators_byte_order_mark_and_column_order_are_recognised(text: str) -> None:
    assert rows("stock", text) == ([{"sku": "A", "quantity": Decimal(3)}], [])


def test_bad_rows_are_returned_with_their_line_beside_the_good_ones() -> None:
    good, bad = rows("stock", 'sku;quantity\nA;1\n;2\nC;many\n"D\nD";4\nE;5;6\nF;7\n')
    assert [row["sku"] for row in good] == ["A", "D\nD", "F"]
    assert bad == [
        (3, "sku is empty"),
        (4, "'many' is not a number"),
        (7, "the row has more cells than the first line has columns"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sku;jumlah\nA;1\n", "lacks the columns quantity"),
        ("sku;quantity;warna\nA;1;red\n", "unknown columns: warna"),
        ("sku;sku;quantity\nA;A;1\n", "a column occurs twice"),
        ("", "lacks the columns quantity, sku"),
        ("sku;quantity\nA;1\0\n", "not a text file"),
        ('sku;quantity\n"A;1\n', "unexpected end of data"),
    ],
)
def test_file_with_an_invalid_structure_is_refused(text: str, why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        parse("stock", text.encode(), 7)


def test_file_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UnreadableFileError, match="not UTF-8"):
        parse("products", "sku;name;base_price\nA;Café;1\n".encode("cp1252"), 7)


def test_file_above_the_maximum_of_rows_is_refused() -> None:
    lines = "\n".join(f"S{i};1" for i in range(MAX_ROWS["stock"] + 1))
    with pytest.raises(UnreadableFileError, match="more than 50000 rows"):
        parse("stock", f"sku;quantity\n{lines}".encode(), 7)


def test_optional_product_columns_are_parsed() -> None:
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
    assert bad == [(4, "is_active is 'mungkin': write ya or tidak")]


def test_dates_are_in_the_accountants_zone() -> None:
    head = "invoice_number;amount;reference_number;paid_at\n"
    good, bad = rows(
        "payments", head + "I1;1000;R1;31/01/2026\nI1;1000;R2;2026-01-31 15:04\nI1;1;R3;31.1.26\n"
    )
    assert [row["paid_at"] for row in good] == ["2026-01-31T00:00:00+07:00", "2026-01-31T15:04:00+07:00"]
    assert bad == [
        (4, "paid_at is '31.1.26': write 2026-01-31 or 31/01/2026, optionally followed by 15:04"),
    ]
    today, _ = rows("payments", head + "I1;1000;R1;\n")
    age = datetime.now(timezone(timedelta(hours=7))) - datetime.fromisoformat(today[0]["paid_at"])
    assert timedelta() <= age < timedelta(minutes=1)
