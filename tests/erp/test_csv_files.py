"""Dropped files: layouts and encodings of spreadsheets, limits, bad rows with their line."""

import asyncio
import random
import time
import tracemalloc
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.erp.csv_cells import Convention
from adapters.erp.csv_files import MAX_BYTES, MAX_ROWS, UnreadableFileError, parse

JAKARTA = timezone(timedelta(hours=7))
BAR_A: tuple[list[dict[str, Any]], list[tuple[int, str]]] = ([{"sku": "BAR-A", "quantity": Decimal(5)}], [])
PAYMENT = "invoice_number;amount;reference_number"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dropped.csv"


def rows(
    path: Path, stream: str, content: str | bytes, convention: Convention | None = None
) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The rows of a file, and the line and reason of its bad rows."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    parsed = parse(stream, path, JAKARTA, convention)
    return [row.model_dump(exclude_defaults=True) for row in parsed.rows], [
        (b.line, b.reason) for b in parsed.bad
    ]


@pytest.mark.regression("firefly-iii/firefly-iii#1262", "frappe/erpnext#5239")
@pytest.mark.parametrize(
    "text",
    [
        "sku;quantity\nBAR-A;5\n",
        "\ufeffSKU;Quantity\r\nBAR-A;5\r\n",
        "quantity,sku\n5,BAR-A\n",
        "sku\tquantity\nBAR-A\t5\n\n",
        "sku|quantity\nBAR-A|5",
        "sku;quantity;;;\nBAR-A;5;;;\n;;;;\n",
        "sku;quantity\nBAR-A;5;\n",
        "sku;;quantity\nBAR-A;;5\n",
        "sep=;\nsku;quantity\nBAR-A;5\n",
        '"sep=,"\nsku,quantity\nBAR-A,5\n',
        "\n;;\nsku;quantity\n;\nBAR-A;5\n",
        "sku;quantity\rBAR-A;5\r",
        '"sku";"quantity"\n"BAR-A";"5"\n',
        "line;reason;sku;quantity\n7;wrong;BAR-A;5\n",
        "\N{ZERO WIDTH SPACE}sku;quantity\n\N{NO-BREAK SPACE}BAR-A\N{ZERO WIDTH SPACE};5\n",
    ],
)
def test_layout_of_a_spreadsheet_is_accepted(path: Path, text: str) -> None:
    assert rows(path, "stock", text) == BAR_A


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_encoding_of_a_spreadsheet_is_recognised(path: Path, encoding: str) -> None:
    text = "sku;name;base_price\nA;Café Crème;1.000,00\nB;Sampo \u201chalus\u201d;2.500,00\n"
    good, bad = rows(path, "products", text.encode(encoding))
    assert [row["name"] for row in good] == ["Café Crème", "Sampo \u201chalus\u201d"]
    assert bad == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sku;jumlah\nA;1\n", "lacks the columns quantity"),
        ("sku;quantity;warna\nA;1;red\n", "unknown columns: warna"),
        ("sku;sku;quantity\nA;A;1\n", "a column occurs twice"),
        ("", "lacks the columns quantity, sku"),
        ("sku;quantity" + 60 * ";" + "\nA;1\n", "more than 50 columns"),
        ("sku;quantity\nA;1\0\n", "not a text file"),
        ('sku;quantity\n"A;1\n', "unexpected end of data"),
        ('sku;quantity\n"A\n' + 200 * "B;1\n", "is a quotation mark missing"),
        ("sku;quantity\n" + "A" * 70_000 + ";1\n", "line 2 is longer than 65536 characters"),
        (b"sku;quantity\nA\x81;1\n", "not a text file"),
        (b"PK\x03\x04rest of an archive", "an Excel or OpenDocument workbook: save it as 'CSV UTF-8'"),
        (b"\xd0\xcf\x11\xe0rest of a workbook", "an Excel workbook"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_file_with_an_invalid_structure_is_refused(path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        rows(path, "stock", text)


def test_bad_rows_are_returned_with_their_line_beside_the_good_ones(path: Path) -> None:
    good, bad = rows(path, "stock", 'sku;quantity\nA;1\n;2\nC;many\n"D\nD";4\nE;5;6\nF;7\nG;#REF!\n')
    assert [row["sku"] for row in good] == ["A", "F"]
    assert bad == [
        (3, "sku is empty"),
        (4, "'many' is not a number"),
        (6, "sku has a line break"),
        (7, "the row has more cells than the first line has columns"),
        (9, "the cell is #REF!: correct it in the spreadsheet"),
    ]


@pytest.mark.regression("frappe/erpnext#7578")
@pytest.mark.parametrize(
    ("text", "amounts", "bad_lines"),
    [
        (f'{PAYMENT}\nI;"960,000";T1\n', [], [2]),
        (f'{PAYMENT}\nI;"960,000";T1\nI;"1,250,000";T2\n', [960_000, 1_250_000], []),
        (f"{PAYMENT}\nI;45.000;T1\nI;1.250.000;T2\n", [45_000, 1_250_000], []),
        (f"{PAYMENT}\nI;45.000;T1\nI;200.000,00;T2\nI;850;T3\n", [45_000, 200_000, 850], []),
        (f"{PAYMENT}\nI;45.000;T1\nI;1,250.00;T2\nI;1.250,00;T3\n", [1250, 1250], [2]),
        (f"{PAYMENT}\nI;960,000;T1\nI;1.250.000;T2\n", [1_250_000], [2]),
    ],
)
def test_ambiguous_amounts_are_decided_by_their_file_or_quarantined(
    path: Path, text: str, amounts: list[int], bad_lines: list[int]
) -> None:
    good, bad = rows(path, "payments", text)
    assert [row["amount"] for row in good] == amounts
    assert [line for line, _ in bad] == bad_lines


def test_setting_decides_how_numbers_are_read(path: Path) -> None:
    good, bad = rows(path, "stock", "sku;quantity\nA;1.200\nB;1,200\nC;1,200,300\n", Convention.INDONESIAN)
    assert (good, [line for line, _ in bad]) == ([{"sku": "A", "quantity": 1200}], [3, 4])


@pytest.mark.regression("dilshod/xlsx2csv#190")
def test_references_in_scientific_notation_are_quarantined(path: Path) -> None:
    text = f"{PAYMENT};paid_at\n" + 2 * "INV-1;200.000,00;2,02611E+16;26/11/2026\n"
    good, bad = rows(path, "payments", text)
    assert good == []
    assert [(line, reason.split(":")[0]) for line, reason in bad] == [
        (2, "reference_number is 2,02611E+16, a rounded number"),
        (3, "reference_number is 2,02611E+16, a rounded number"),
    ]


@pytest.mark.regression("nopSolutions/nopCommerce#6452")
@pytest.mark.parametrize(
    ("stream", "text", "bad_lines"),
    [
        ("stock", "sku;quantity\nA;40\nB;1\nA;60\n", [2, 4]),
        ("stock", "sku;quantity\nA;40\nB;1\n\N{ZERO WIDTH SPACE}A ;x\n", [2, 4]),
        ("products", "sku;name;base_price\nA;Sampo;1\nB;X;1\nA;Sampo;1\n", [2, 4]),
        ("payments", f"{PAYMENT}\nI1;1;BCA 7\nI2;1;BCA 7\nI1;1;bca7\n", [2, 4]),
        ("stock", "sku,quantity\nA,40\nB,1\nA,40\n", [2, 4]),
        ("products", 'sku;name;base_price\n"A";X;1\nB;X;1\nA\N{NO-BREAK SPACE};Y;2\n', [2, 4]),
        ("payments", f"{PAYMENT}\nI1;1;R-1\nI2;1;R-1\nI1;2;R-1\n", [2, 4]),
    ],
)
def test_all_rows_of_a_repeated_key_are_quarantined(
    path: Path, stream: str, text: str, bad_lines: list[int]
) -> None:
    good, bad = rows(path, stream, text)
    assert len(good) == 1
    assert [line for line, _ in bad] == bad_lines
    assert all("in lines 2, 4" in reason for _, reason in bad)


def test_optional_product_columns_are_parsed(path: Path) -> None:
    head = "sku;name;base price;retail_price;brand;is_active;is_free\n"
    text = f"{head}A;Sampo;45.000,00;;Ayu;tidak;\nB;Masker;1000;1500;;;ya\nC;X;1;;;mungkin;\n"
    good, bad = rows(path, "products", text)
    assert good == [
        {"sku": "A", "name": "Sampo", "base_price": Decimal(45000), "brand": "Ayu", "is_active": False},
        {
            "sku": "B",
            "name": "Masker",
            "base_price": Decimal(1000),
            "retail_price": Decimal(1500),
            "is_free": True,
        },
    ]
    assert bad == [(4, "is_active is 'mungkin': write ya or tidak")]


def test_dates_are_in_the_accountants_zone_and_now_if_missing(path: Path) -> None:
    good, _ = rows(path, "payments", f"{PAYMENT};paid_at\nI1;1000;R1;31 Januari 2026\nI1;1000;R2;\n")
    assert good[0]["paid_at"] == "2026-01-31T00:00:00+07:00"
    age = datetime.now(JAKARTA) - datetime.fromisoformat(good[1]["paid_at"])
    assert timedelta() <= age < timedelta(minutes=1)


def test_file_above_the_maximum_of_rows_is_refused(path: Path) -> None:
    lines = "\n".join(f"S{i};1" for i in range(MAX_ROWS["stock"] + 1))
    with pytest.raises(UnreadableFileError, match="more than 50000 rows"):
        rows(path, "stock", f"sku;quantity\n{lines}")


def test_size_is_refused_before_the_file_is_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableFileError, match="larger than 16 MiB"):
            parse("stock", path, JAKARTA)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def huge(kind: str) -> bytes:
    """Content of about the maximum size that costs a parser the most."""
    size = MAX_BYTES - 100
    return {
        "one number": b"sku;quantity\nA;" + b"9" * size,
        "one line of delimiters": b"sku;quantity\n" + b";" * size,
        "a head of delimiters": b";" * size,
        "a row of quoted line breaks": b'sku;quantity\n"' + b'\n";"' * (size // 4),
        "a million rows": b"sku;quantity\n" + b"".join(b"S%d;1\n" % i for i in range(1_000_000)),
        "an open quotation mark": b'sku;quantity\n"' + b"x\n" * (size // 2),
        "no text": random.Random(1).randbytes(size),  # noqa: S311
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "one number",
        "one line of delimiters",
        "a head of delimiters",
        "a row of quoted line breaks",
        "a million rows",
        "an open quotation mark",
        "no text",
    ],
)
def test_huge_file_is_refused_without_blocking_the_loop(path: Path, kind: str) -> None:
    path.write_bytes(huge(kind))

    async def longest_pause() -> float:
        task = asyncio.create_task(asyncio.to_thread(parse, "stock", path, JAKARTA))
        longest = 0.0
        while not task.done():
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - before)
        with pytest.raises(UnreadableFileError):
            await task
        return longest

    assert asyncio.run(longest_pause()) < 1


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_parsed_or_refused_with_a_reason(path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    text = bytearray(b"sku;quantity\n" + b"".join(b'"S%d";1.250,5\n' % i for i in range(40)))
    for _ in range(chance.randrange(1, 12)):
        text[chance.randrange(len(text))] = chance.randrange(256)
    path.write_bytes(bytes(text))
    with suppress(UnreadableFileError):
        parse("stock", path, JAKARTA)
