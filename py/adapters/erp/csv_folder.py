"""A drop folder as the ERP: files dropped into in/ are read, orders are laid into orders/."""

import csv
import hashlib
import io
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.erp import csv_files
from adapters.erp.csv_files import BadRow, UnreadableFileError
from adapters.erp.port import (
    Batch,
    Cancellation,
    Cancelled,
    Cursor,
    Level,
    Order,
    Payment,
    Product,
    UnreachableError,
)
from adapters.erp.settings import Settings

logger = logging.getLogger(__name__)
_ORDER_COLUMNS = [
    "order_number",
    "business_name",
    "phone",
    "email",
    "address",
    "sku",
    "quantity",
    "unit_price",
    "grand_total",
    "invoice_number",
]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is run by spreadsheets; partners choose their own names."""


@dataclass(frozen=True)
class _Dropped:
    """A file in in/, and what tells it from another of the same name."""

    path: Path
    content: bytes
    dropped_at: float

    @property
    def mark(self) -> str:
        """Name, moment and content: dropped again it counts again."""
        return f"{self.path.name}:{self.dropped_at:.6f}:{hashlib.sha256(self.content).hexdigest()}"


class CsvFolder:
    """`adapters.erp.port.Erp` over a folder. docs/erp-csv.md tells the files' columns."""

    def __init__(self, settings: Settings) -> None:
        if settings.erp_folder is None:
            raise ValueError("HUB_ERP_FOLDER is missing")
        self._folder = settings.erp_folder
        self._settle_seconds = settings.erp_csv_settle_seconds
        self._utc_offset_hours = settings.erp_utc_offset_hours
        self._stored: dict[str, list[Path]] = {}

    def products(self, cursor: Cursor | None) -> AsyncIterator[Batch[Product]]:
        """Files products*.csv."""
        return self._batches("products", cursor)

    def stock(self, cursor: Cursor | None) -> AsyncIterator[Batch[Level]]:
        """Files stock*.csv, each as of the moment it was written."""
        return self._batches("stock", cursor)

    def payments(self, cursor: Cursor | None) -> AsyncIterator[Batch[Payment]]:
        """Files payments*.csv."""
        return self._batches("payments", cursor)

    async def _batches(self, stream: str, cursor: Cursor | None) -> AsyncIterator[Batch[Any]]:
        """One batch a file; its mark is stored with the last of its rows."""
        stored = set((cursor or {}).get("stored", ()))
        marks: list[str] = []
        self._stored[stream] = []
        for file in self._dropped(stream):
            if file.mark in stored:
                # The hub has it: we died before it was moved away.
                marks.append(file.mark)
                self._move(file.path, "done")
                continue
            try:
                found = csv_files.read(stream, file.content, self._utc_offset_hours)
            except UnreadableFileError as error:
                self._refuse(file.path, str(error))
                yield Batch([], remarks=[f"{file.path.name}: {error}"])
                continue
            marks.append(file.mark)
            remarks = [f"{file.path.name} line {bad.line}: {bad.reason}" for bad in found.bad]
            self._set_aside(file.path.name, found.bad)
            self._stored[stream].append(file.path)
            yield Batch(
                found.rows,
                {"stored": list(marks)},
                remarks,
                read_at=datetime.fromtimestamp(file.dropped_at, UTC).isoformat(),
            )

    async def stored(self, stream: str) -> None:
        """The hub has what was read last: the files go to done/."""
        for path in self._stored.pop(stream, []):
            self._move(path, "done")

    async def take_order(self, order: Order) -> str:
        """Write orders/<order number>.csv, once: whoever took it away does not find it there again."""
        name = f"{_file_name(order.order_number)}.csv"
        written = self._sub("orders/.written") / name
        if not written.exists():
            self._write(self._sub("orders") / name, _order_text(order))
            written.touch()
        return order.order_number

    async def cancel_order(self, order: Cancellation) -> Cancelled:
        """Take the file back while it lies there; else somebody has to undo it by hand."""
        name = f"{_file_name(order.order_number)}.csv"
        marker = self._sub("orders/.written") / name
        if not marker.exists():
            return Cancelled("CANCELLED")
        try:
            (self._sub("orders") / name).rename(self._sub("orders/cancelled") / name)
        except FileNotFoundError:
            return Cancelled("REFUSED", f"{name} was taken out of orders/: undo it by hand")
        return Cancelled("CANCELLED")

    async def tidy(self) -> list[str]:
        """Remove what a write that was cut short left."""
        left = list(self._sub("orders").glob(".*.part"))
        for path in left:
            path.unlink(missing_ok=True)
        return [f"removed {path.name}" for path in left]

    async def aclose(self) -> None:
        """Nothing is held."""

    def _sub(self, name: str) -> Path:
        """A folder of ours, made if need be; a missing drop folder itself is trouble, not ours to make."""
        if not self._folder.is_dir():
            raise UnreachableError(f"{self._folder} is no folder: is the share mounted?")
        path = self._folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _dropped(self, stream: str) -> Iterator[_Dropped]:
        """Files of the stream by age; what was touched a moment ago may still be being written."""
        found: list[_Dropped] = []
        for path in self._sub("in").glob("*"):
            name = path.name.lower()
            if not (name.startswith(stream) and name.endswith(".csv") and path.is_file()):
                continue
            try:
                before = path.stat()
                content = path.read_bytes()
                after = path.stat()
            except OSError as error:
                raise UnreachableError(f"{path.name} cannot be read: {error.strerror}") from None
            same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if same and time.time() - after.st_mtime >= self._settle_seconds:
                found.append(_Dropped(path, content, after.st_mtime))
        yield from sorted(found, key=lambda file: (file.dropped_at, file.path.name))

    def _move(self, path: Path, where: str) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        try:
            path.rename(self._sub(where) / f"{stamp}-{path.name}")
        except FileNotFoundError:
            logger.warning("%s is gone already", path.name)

    def _refuse(self, path: Path, reason: str) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._write(self._sub("rejected") / f"{stamp}-{path.name}.reason.txt", f"{reason}\n")
        self._move(path, "rejected")

    def _set_aside(self, name: str, bad: list[BadRow]) -> None:
        """The bad rows with line and reason, as a file that can be put right and dropped again."""
        if bad:
            columns = ["line", "reason", *bad[0].cells]
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            rows = ([str(row.line), row.reason, *row.cells.values()] for row in bad)
            self._write(self._sub("rejected") / f"{stamp}-{name}", _csv_text(columns, rows))

    def _write(self, path: Path, text: str) -> None:
        """Whole or not at all, and on disk before anybody is told."""
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8-sig", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def _order_text(order: Order) -> str:
    invoices = " ".join(invoice.invoice_number for invoice in order.invoices or [])
    who = [order.order_number, order.business_name, order.phone or "", order.email or "", order.address or ""]
    sums = [f"{order.grand_total:f}", invoices]
    lines = ([*who, item.sku, str(item.quantity), f"{item.unit_price:f}", *sums] for item in order.items)
    return _csv_text(_ORDER_COLUMNS, lines)


def _csv_text(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """With semicolons, as a spreadsheet set to Indonesian wants them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";")
    writer.writerow(columns)
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    return text.getvalue()


def _file_name(order_number: str) -> str:
    """Order numbers are ours (ORD-YYMMDD-NNNNNN); a path must never be made of anything else."""
    if not order_number.replace("-", "").isalnum():
        raise ValueError(f"{order_number!r} is no order number")
    return order_number
