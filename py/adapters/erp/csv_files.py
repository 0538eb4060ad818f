"""Parses dropped CSV files with Indonesian numbers and dates; bad rows are returned with their line."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Generic, TypeVar

from babel.numbers import NumberFormatError, parse_decimal
from pydantic import BaseModel

from adapters.erp.port import Payment, Product, StockLevel

Row = TypeVar("Row", bound=BaseModel)

MAX_ROWS = {"products": 10_000, "stock": 50_000, "payments": 10_000}
"""Rows of one file, by stream; the hub applies a file in one transaction."""

_COLUMNS: dict[str, tuple[set[str], set[str]]] = {
    "products": (
        {"sku", "name", "base_price"},
        {"retail_price", "description", "brand", "category", "is_active"},
    ),
    "stock": ({"sku", "quantity"}, set()),
    "payments": ({"invoice_number", "amount", "reference_number"}, {"paid_at", "payment_method", "notes"}),
}
"""Required and optional columns, by stream."""

_ADDED_COLUMNS = {"line", "reason"}
"""Columns of quarantined rows, ignored when the corrected rows are dropped again."""

_YES = {"": True, "1": True, "ya": True, "yes": True, "true": True, "aktif": True}
_NO = {"0": False, "tidak": False, "no": False, "false": False, "nonaktif": False}
_DATE_FORMATS = ("%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y", "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M")
_NUMBER = re.compile(r"-?[0-9][0-9.,]*")
_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class UnreadableFileError(Exception):
    """The whole file is refused; the text is the reason."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be applied."""

    line: int
    reason: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class ParsedFile(Generic[Row]):
    """The rows of a file."""

    rows: list[Row]
    bad: list[BadRow] = field(default_factory=list)


def parse(stream: str, content: bytes, utc_offset_hours: float) -> ParsedFile[BaseModel]:
    """Parse a file of a stream; dates without zone have the given UTC offset.

    Raises UnreadableFileError if the file as a whole is invalid.
    """
    reader = _reader(content)
    required, optional = _COLUMNS[stream]
    columns = set(reader.fieldnames or ())
    if missing := required - columns:
        raise UnreadableFileError(f"the first line lacks the columns {', '.join(sorted(missing))}")
    if unknown := columns - required - optional - _ADDED_COLUMNS:
        raise UnreadableFileError(f"unknown columns: {', '.join(sorted(unknown))}")
    zone = timezone(timedelta(hours=utc_offset_hours))
    to_model: Callable[[Mapping[str, str]], BaseModel] = {
        "products": _product,
        "stock": _stock_level,
        "payments": lambda cells: _payment(cells, zone),
    }[stream]
    parsed = ParsedFile[BaseModel]([])
    try:
        for row in reader:
            cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
            if not any(cells.values()):
                continue
            try:
                if None in row:
                    raise ValueError("the row has more cells than the first line has columns")  # noqa: TRY301
                parsed.rows.append(to_model(cells))
            except ValueError as error:
                parsed.bad.append(BadRow(reader.line_num, str(error), cells))
    except csv.Error as error:
        raise UnreadableFileError(f"line {reader.line_num}: {error}") from None
    if len(parsed.rows) > MAX_ROWS[stream]:
        raise UnreadableFileError(f"more than {MAX_ROWS[stream]} rows: split the file")
    return parsed


def _reader(content: bytes) -> "csv.DictReader[str]":
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFileError("not UTF-8: save it as 'CSV UTF-8'") from None
    if "\0" in text:
        raise UnreadableFileError("not a text file")
    first = text.split("\n", 1)[0]
    delimiter = max(";,\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    if len(set(reader.fieldnames)) < len(reader.fieldnames):
        raise UnreadableFileError("a column occurs twice in the first line")
    return reader


def parse_number(text: str) -> Decimal:
    """Parse a number such as 1250000, 1250000.50, 1.250.000,50 or Rp1.250.000.

    Raises ValueError if the text is not a number or may mean two different ones, such as 1.250.
    """
    bare = text.removeprefix("Rp").strip().replace(" ", "")
    meanings: set[Decimal] = set()
    if _PLAIN.fullmatch(bare):
        meanings.add(Decimal(bare))
    if _NUMBER.fullmatch(bare):
        with suppress(NumberFormatError, InvalidOperation):
            meanings.add(parse_decimal(bare, locale="id", strict=True))
    if len(meanings) > 1:
        whole, part = (f"{value:f}" for value in sorted(meanings, reverse=True))
        raise ValueError(f"{text!r} can mean {whole} or {part}: write it without dots")
    if not meanings:
        raise ValueError(f"{text!r} is not a number")
    return meanings.pop()


def _required(cells: Mapping[str, str], name: str) -> str:
    if not cells[name]:
        raise ValueError(f"{name} is empty")
    return cells[name]


def _product(cells: Mapping[str, str]) -> Product:
    active = cells.get("is_active", "").lower()
    if active not in _YES | _NO:
        raise ValueError(f"is_active is {active!r}: write ya or tidak")
    retail = cells.get("retail_price")
    return Product(
        sku=_required(cells, "sku"),
        name=_required(cells, "name"),
        base_price=parse_number(_required(cells, "base_price")),
        retail_price=parse_number(retail) if retail else None,
        is_active=(_YES | _NO)[active],
        description=cells.get("description") or None,
        brand=cells.get("brand") or None,
        category=cells.get("category") or None,
    )


def _stock_level(cells: Mapping[str, str]) -> StockLevel:
    return StockLevel(sku=_required(cells, "sku"), quantity=parse_number(_required(cells, "quantity")))


def _payment(cells: Mapping[str, str], zone: timezone) -> Payment:
    return Payment(
        invoice_number=_required(cells, "invoice_number"),
        amount=parse_number(_required(cells, "amount")),
        reference_number=_required(cells, "reference_number"),
        paid_at=_parse_time(cells.get("paid_at", ""), zone).isoformat(),
        payment_method=cells.get("payment_method") or None,
        notes=cells.get("notes") or None,
    )


def _parse_time(text: str, zone: timezone) -> datetime:
    """The time that a text states; now for an empty one."""
    if not text:
        return datetime.now(zone)
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=zone)
        except ValueError:
            continue
    raise ValueError(f"paid_at is {text!r}: write 2026-01-31 or 31/01/2026, optionally followed by 15:04")
