"""Rows of dropped files: numbers and days as Indonesians write them, each fault with its line."""

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

from adapters.erp.port import Level, Payment, Product

Row = TypeVar("Row", bound=BaseModel)

MOST_ROWS = {"products": 10_000, "stock": 50_000, "payments": 10_000}
"""Of one file."""

_COLUMNS: dict[str, tuple[set[str], set[str]]] = {
    "products": (
        {"sku", "name", "base_price"},
        {"retail_price", "description", "brand", "category", "is_active"},
    ),
    "stock": ({"sku", "quantity"}, set()),
    "payments": ({"invoice_number", "amount", "reference_number"}, {"paid_at", "payment_method", "notes"}),
}
"""By stream the columns that must be there, and those that may."""

_OURS = {"line", "reason"}
"""Columns of the rows that we set aside: dropped again, they are not read."""

_YES = {"": True, "1": True, "ya": True, "yes": True, "true": True, "aktif": True}
_NO = {"0": False, "tidak": False, "no": False, "false": False, "nonaktif": False}
_DAYS = ("%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y", "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M")
_NUMBER = re.compile(r"-?[0-9][0-9.,]*")
_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class UnreadableFileError(Exception):
    """The file as a whole is none of ours; the text says why."""


@dataclass(frozen=True)
class BadRow:
    """A row that was set aside."""

    line: int
    reason: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Read(Generic[Row]):
    """What a file holds."""

    rows: list[Row]
    bad: list[BadRow] = field(default_factory=list)


def read(stream: str, content: bytes, utc_offset_hours: float) -> Read[BaseModel]:
    """The rows of a file of this stream; raises UnreadableFileError where no row can be told."""
    reader = _reader(content)
    required, optional = _COLUMNS[stream]
    columns = set(reader.fieldnames or ())
    if missing := required - columns:
        raise UnreadableFileError(f"the first line names no {', '.join(sorted(missing))}")
    if unknown := columns - required - optional - _OURS:
        raise UnreadableFileError(f"unknown columns: {', '.join(sorted(unknown))}")
    zone = timezone(timedelta(hours=utc_offset_hours))
    make: Callable[[Mapping[str, str]], BaseModel] = {
        "products": _product,
        "stock": _level,
        "payments": lambda cells: _payment(cells, zone),
    }[stream]
    found = Read[BaseModel]([])
    try:
        for row in reader:
            cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
            if not any(cells.values()):
                continue
            try:
                if None in row:
                    raise ValueError("more cells than the first line has columns")  # noqa: TRY301
                found.rows.append(make(cells))
            except ValueError as error:
                found.bad.append(BadRow(reader.line_num, str(error), cells))
    except csv.Error as error:
        raise UnreadableFileError(f"line {reader.line_num}: {error}") from None
    if len(found.rows) > MOST_ROWS[stream]:
        raise UnreadableFileError(f"more than {MOST_ROWS[stream]} rows: divide it")
    return found


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
        raise UnreadableFileError("the first line names a column twice")
    return reader


def number(text: str) -> Decimal:
    """1250000, 1250000.50, 1.250.000,50, Rp1.250.000; raises ValueError, also for what may be two numbers."""
    bare = text.removeprefix("Rp").strip().replace(" ", "")
    meanings: set[Decimal] = set()
    if _PLAIN.fullmatch(bare):
        meanings.add(Decimal(bare))
    if _NUMBER.fullmatch(bare):
        with suppress(NumberFormatError, InvalidOperation):
            meanings.add(parse_decimal(bare, locale="id", strict=True))
    if len(meanings) > 1:
        whole, part = (f"{value:f}" for value in sorted(meanings, reverse=True))
        raise ValueError(f"{text!r} may be {whole} or {part}: write it without dots")
    if not meanings:
        raise ValueError(f"{text!r} is no number")
    return meanings.pop()


def _filled(cells: Mapping[str, str], name: str) -> str:
    if not cells[name]:
        raise ValueError(f"{name} is empty")
    return cells[name]


def _product(cells: Mapping[str, str]) -> Product:
    active = cells.get("is_active", "").lower()
    if active not in _YES | _NO:
        raise ValueError(f"is_active is {active!r}: ya or tidak")
    retail = cells.get("retail_price")
    return Product(
        sku=_filled(cells, "sku"),
        name=_filled(cells, "name"),
        base_price=number(_filled(cells, "base_price")),
        retail_price=number(retail) if retail else None,
        is_active=(_YES | _NO)[active],
        description=cells.get("description") or None,
        brand=cells.get("brand") or None,
        category=cells.get("category") or None,
    )


def _level(cells: Mapping[str, str]) -> Level:
    return Level(sku=_filled(cells, "sku"), quantity=number(_filled(cells, "quantity")))


def _payment(cells: Mapping[str, str], zone: timezone) -> Payment:
    return Payment(
        invoice_number=_filled(cells, "invoice_number"),
        amount=number(_filled(cells, "amount")),
        reference_number=_filled(cells, "reference_number"),
        paid_at=_moment(cells.get("paid_at", ""), zone).isoformat(),
        payment_method=cells.get("payment_method") or None,
        notes=cells.get("notes") or None,
    )


def _moment(text: str, zone: timezone) -> datetime:
    if not text:
        return datetime.now(zone)
    for form in _DAYS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=zone)
        except ValueError:
            continue
    raise ValueError(f"paid_at is {text!r}: 2026-01-31 or 31/01/2026, with 15:04 after it if need be")
