"""Reads dropped CSV files as Indonesian spreadsheets write them; bad rows are returned with their line."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timezone
from pathlib import Path
from typing import BinaryIO, Generic, TextIO, TypeVar

from pydantic import BaseModel

from adapters.erp.csv_cells import (
    Convention,
    clean,
    detect_convention,
    parse_flag,
    parse_identifier,
    parse_number,
    parse_time,
    refuse_spreadsheet_error,
)
from adapters.erp.port import Payment, Product, StockLevel

Row = TypeVar("Row", bound=BaseModel)

MAX_ROWS = {"products": 10_000, "stock": 50_000, "payments": 10_000}
"""Rows of one file, by stream; the hub applies a file in one transaction."""

MAX_BYTES = 16 * 1024 * 1024
"""Size of one file. It is checked before the file is read."""

_MAX_LINE_LENGTH = 65_536
_MAX_LINES_PER_ROW = 100
_MAX_COLUMNS = 50


@dataclass(frozen=True)
class _Layout:
    """The columns of a stream's files."""

    required: frozenset[str]
    optional: frozenset[str]
    key: tuple[str, ...]
    numbers: tuple[str, ...]


_LAYOUTS = {
    "products": _Layout(
        frozenset({"sku", "name", "base_price"}),
        frozenset({"retail_price", "description", "brand", "category", "is_active", "is_free"}),
        ("sku",),
        ("base_price", "retail_price"),
    ),
    "stock": _Layout(frozenset({"sku", "quantity"}), frozenset(), ("sku",), ("quantity",)),
    "payments": _Layout(
        frozenset({"invoice_number", "amount", "reference_number"}),
        frozenset({"paid_at", "payment_method", "notes"}),
        ("invoice_number", "reference_number"),
        ("amount",),
    ),
}

_ADDED_COLUMNS = {"line", "reason"}
"""Columns of rejected rows, ignored when the corrected rows are dropped again."""

_SIGNATURES = {
    b"PK\x03\x04": "an Excel or OpenDocument workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class UnreadableFileError(Exception):
    """The whole file is rejected; the text is the reason."""


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


@dataclass(frozen=True)
class _RawRow:
    line: int
    cells: Mapping[str, str]
    surplus: bool
    """Whether there are cells that belong to no column."""


def parse(
    stream: str, path: Path, zone: timezone, convention: Convention | None = None
) -> ParsedFile[BaseModel]:
    """Parse a file of a stream; `zone` is that of dates without one.

    Without a `convention`, the file's numbers show it. Raises UnreadableFileError if the file as a whole
    is invalid, and OSError.
    """
    layout = _LAYOUTS[stream]
    rows = _read(path, layout, MAX_ROWS[stream])
    convention = convention or detect_convention(
        row.cells[name] for row in rows for name in layout.numbers if row.cells.get(name)
    )
    lines: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        lines.setdefault(_key(row, layout), []).append(row.line)
    to_model: Callable[[Mapping[str, str]], BaseModel] = {
        "products": lambda cells: _product(cells, convention),
        "stock": lambda cells: _stock_level(cells, convention),
        "payments": lambda cells: _payment(cells, convention, zone),
    }[stream]
    parsed = ParsedFile[BaseModel]([])
    for row in rows:
        try:
            _refuse_malformed(row, layout, lines[_key(row, layout)])
            parsed.rows.append(to_model(row.cells))
        except ValueError as error:
            parsed.bad.append(BadRow(row.line, str(error), row.cells))
    return parsed


def _key(row: _RawRow, layout: _Layout) -> tuple[str, ...]:
    """What identifies a row. The hub compares references without case and spaces."""
    return tuple(
        row.cells[name].replace(" ", "").casefold() if name == "reference_number" else row.cells[name]
        for name in layout.key
    )


def _refuse_malformed(row: _RawRow, layout: _Layout, lines: Sequence[int]) -> None:
    if row.surplus:
        raise ValueError("the row has more cells than the first line has columns")
    for text in row.cells.values():
        refuse_spreadsheet_error(text)
    for name in layout.key:
        parse_identifier(name, row.cells[name])
    if len(lines) > 1:
        named = ", ".join(str(line) for line in lines[:5])
        raise ValueError(f"the same {' and '.join(layout.key)} in lines {named}: leave the right row only")


def _read(path: Path, layout: _Layout, max_rows: int) -> list[_RawRow]:
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        if size > MAX_BYTES:
            raise UnreadableFileError(f"larger than {MAX_BYTES // 1024 // 1024} MiB: split the file")
        file.seek(0)
        # Text of another encoding is hardly ever valid UTF-8, whereas any text is valid in Windows-1252.
        for encoding in _encodings(file):
            file.seek(0)
            text = io.TextIOWrapper(file, encoding, newline="")
            try:
                return list(_rows(text, layout, max_rows))
            except UnicodeDecodeError:
                continue
            finally:
                text.detach()
    raise UnreadableFileError("not a text file: save it as 'CSV UTF-8'")


def _encodings(file: BinaryIO) -> Sequence[str]:
    """The encodings to try."""
    start = file.read(4096)
    for signature, what in _SIGNATURES.items():
        if start.startswith(signature):
            raise UnreadableFileError(f"{what}: save it as 'CSV UTF-8'")
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return [encoding]
    zeros = Counter(position % 2 for position, byte in enumerate(start) if byte == 0)
    if max(zeros.values(), default=0) > len(start) / 4:  # UTF-16 without a mark: every second byte is zero
        return ["utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"]
    return ["utf-8", "cp1252"]


class _Lines:
    """The lines of a file, within limits that hold before a line is parsed."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0
        self._since_row = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(_MAX_LINE_LENGTH + 1):
            self.number += 1
            self._since_row += 1
            if len(line) > _MAX_LINE_LENGTH:
                raise UnreadableFileError(f"line {self.number} is longer than {_MAX_LINE_LENGTH} characters")
            if self._since_row > _MAX_LINES_PER_ROW:
                raise UnreadableFileError(
                    f"the row that ends in line {self.number} has more than {_MAX_LINES_PER_ROW} lines:"
                    " is a quotation mark missing?"
                )
            if "\0" in line:
                raise UnreadableFileError("not a text file")
            yield line

    def end_row(self) -> None:
        """A row is complete."""
        self._since_row = 0


def _rows(file: TextIO, layout: _Layout, max_rows: int) -> Iterator[_RawRow]:
    lines = _Lines(file)
    names, delimiter = _head(lines, layout)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    count = 0
    try:
        for texts in reader:
            lines.end_row()
            cells = [clean(text) for text in texts]
            if not any(cells):
                continue
            count += 1
            if count > max_rows:
                raise UnreadableFileError(f"more than {max_rows} rows: split the file")
            padded = cells + [""] * (len(names) - len(cells))
            named = {name: cell for name, cell in zip(names, padded, strict=False) if name}
            surplus = any(cells[len(names) :]) or any(
                cell for name, cell in zip(names, cells, strict=False) if not name
            )
            yield _RawRow(lines.number, named, surplus)
    except csv.Error as error:
        raise UnreadableFileError(f"line {lines.number}: {error}") from None


def _head(lines: _Lines, layout: _Layout) -> tuple[list[str], str]:
    """The names of the columns (empty for an unnamed one), and the delimiter."""
    delimiter = ""
    for line in lines:
        lines.end_row()
        text = clean(line)
        if text.strip('"').lower().startswith("sep=") and len(text.strip('"')) <= len("sep=;"):
            delimiter = line.strip().strip('"')[len("sep=") :] or "\t"
            continue
        delimiter = delimiter or max(";,\t|", key=line.count)
        names = [_column(text) for text in next(csv.reader([line], delimiter=delimiter))]
        if any(names):
            _refuse_columns(names, layout)
            return names, delimiter
    raise UnreadableFileError(f"the first line lacks the columns {', '.join(sorted(layout.required))}")


def _column(text: str) -> str:
    return clean(text).lower().replace(" ", "_").replace("-", "_")


def _refuse_columns(names: Sequence[str], layout: _Layout) -> None:
    named = [name for name in names if name]
    if missing := layout.required - set(named):
        raise UnreadableFileError(f"the first line lacks the columns {', '.join(sorted(missing))}")
    if unknown := set(named) - layout.required - layout.optional - _ADDED_COLUMNS:
        raise UnreadableFileError(f"unknown columns: {', '.join(sorted(unknown))}")
    if len(set(named)) < len(named):
        raise UnreadableFileError("a column occurs twice in the first line")
    if len(names) > _MAX_COLUMNS:
        raise UnreadableFileError(f"more than {_MAX_COLUMNS} columns")


def _text(name: str, cells: Mapping[str, str]) -> str:
    if not cells[name]:
        raise ValueError(f"{name} is empty")
    return cells[name]


def _product(cells: Mapping[str, str], convention: Convention | None) -> Product:
    retail = cells.get("retail_price")
    return Product(
        sku=cells["sku"],
        name=_text("name", cells),
        base_price=parse_number(_text("base_price", cells), convention),
        retail_price=parse_number(retail, convention) if retail else None,
        is_active=parse_flag("is_active", cells.get("is_active", "")),
        is_free=bool(cells.get("is_free")) and parse_flag("is_free", cells["is_free"]),
        description=cells.get("description") or None,
        brand=cells.get("brand") or None,
        category=cells.get("category") or None,
    )


def _stock_level(cells: Mapping[str, str], convention: Convention | None) -> StockLevel:
    return StockLevel(sku=cells["sku"], quantity=parse_number(_text("quantity", cells), convention))


def _payment(cells: Mapping[str, str], convention: Convention | None, zone: timezone) -> Payment:
    return Payment(
        invoice_number=cells["invoice_number"],
        amount=parse_number(_text("amount", cells), convention),
        reference_number=cells["reference_number"],
        paid_at=parse_time("paid_at", cells.get("paid_at", ""), zone).isoformat(),
        payment_method=cells.get("payment_method") or None,
        notes=cells.get("notes") or None,
    )
