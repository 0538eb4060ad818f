"""A drop folder as the ERP: files in in/ are imported, orders are exported to orders/."""

import asyncio
import csv
import hashlib
import io
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.erp import csv_files
from adapters.erp.csv_files import BadRow, UnreadableFileError
from adapters.erp.port import (
    Batch,
    Cancellation,
    CancellationResult,
    Cursor,
    Order,
    Payment,
    Product,
    StockLevel,
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
"""Spreadsheets execute a cell with such a beginning; partners choose their own names."""


@dataclass(frozen=True)
class _DroppedFile:
    """A file in in/, with what distinguishes it from another of the same name."""

    path: Path
    content: bytes
    dropped_at: float

    @property
    def fingerprint(self) -> str:
        """Name, time and content: a file that is dropped again is applied again."""
        return f"{self.path.name}:{self.dropped_at:.6f}:{hashlib.sha256(self.content).hexdigest()}"


class CsvFolder:
    """Implements `adapters.erp.port.Erp`; docs/erp/csv.md describes the files."""

    def __init__(self, settings: Settings) -> None:
        if settings.erp_folder is None:
            raise ValueError("HUB_ERP_FOLDER is not set")
        self._folder = settings.erp_folder
        self._settle_seconds = settings.erp_csv_settle_seconds
        self._utc_offset_hours = settings.erp_utc_offset_hours
        self._stored: dict[str, list[Path]] = {}

    def products(self, cursor: Cursor | None) -> AsyncIterator[Batch[Product]]:
        """The files products*.csv."""
        return self._batches("products", cursor)

    def stock(self, cursor: Cursor | None) -> AsyncIterator[Batch[StockLevel]]:
        """The files stock*.csv, each as of the time it was written."""
        return self._batches("stock", cursor)

    def payments(self, cursor: Cursor | None) -> AsyncIterator[Batch[Payment]]:
        """The files payments*.csv."""
        return self._batches("payments", cursor)

    async def _batches(self, stream: str, cursor: Cursor | None) -> AsyncIterator[Batch[Any]]:
        """A batch for each file; the cursor holds the fingerprints of the files that the hub has stored."""
        stored = set((cursor or {}).get("stored", ()))
        fingerprints: list[str] = []
        self._stored[stream] = []
        for file in await asyncio.to_thread(self._dropped, stream):
            if file.fingerprint in stored:
                # The hub has stored it; the adapter was killed before it moved the file.
                fingerprints.append(file.fingerprint)
                await asyncio.to_thread(self._move, file.path, "done")
                continue
            try:
                parsed = await asyncio.to_thread(
                    csv_files.parse, stream, file.content, self._utc_offset_hours
                )
            except UnreadableFileError as error:
                await asyncio.to_thread(self._refuse, file.path, str(error))
                yield Batch([], remarks=[f"{file.path.name}: {error}"])
                continue
            fingerprints.append(file.fingerprint)
            remarks = [f"{file.path.name} line {bad.line}: {bad.reason}" for bad in parsed.bad]
            await asyncio.to_thread(self._quarantine, file.path.name, parsed.bad)
            self._stored[stream].append(file.path)
            yield Batch(
                parsed.rows,
                {"stored": list(fingerprints)},
                remarks,
                read_at=datetime.fromtimestamp(file.dropped_at, UTC).isoformat(),
            )

    async def confirm_stored(self, stream: str) -> None:
        """Move the files that were last read to done/."""
        for path in self._stored.pop(stream, []):
            await asyncio.to_thread(self._move, path, "done")

    async def take_order(self, order: Order) -> str:
        """Write orders/<order number>.csv once; a removed file is not written again."""
        await asyncio.to_thread(self._export, order)
        return order.order_number

    async def cancel_order(self, order: Cancellation) -> CancellationResult:
        """Move the order's file to orders/cancelled/; refused if it was already removed."""
        return await asyncio.to_thread(self._withdraw, order.order_number)

    async def clean_up(self) -> list[str]:
        """Remove incomplete files, left by an adapter that was killed while it wrote."""
        return await asyncio.to_thread(self._remove_incomplete)

    async def aclose(self) -> None:
        """Nothing to close."""

    def _export(self, order: Order) -> None:
        name = f"{_file_name(order.order_number)}.csv"
        written = self._sub("orders/.written") / name
        if not written.exists():
            self._write(self._sub("orders") / name, _order_text(order))
            written.touch()

    def _withdraw(self, order_number: str) -> CancellationResult:
        name = f"{_file_name(order_number)}.csv"
        marker = self._sub("orders/.written") / name
        if not marker.exists():
            return CancellationResult("CANCELLED")
        try:
            (self._sub("orders") / name).rename(self._sub("orders/cancelled") / name)
        except FileNotFoundError:
            return CancellationResult(
                "REFUSED", f"{name} was already removed from orders/: undo the order by hand"
            )
        return CancellationResult("CANCELLED")

    def _remove_incomplete(self) -> list[str]:
        left = list(self._sub("orders").glob(".*.part"))
        for path in left:
            path.unlink(missing_ok=True)
        return [f"removed {path.name}" for path in left]

    def _sub(self, name: str) -> Path:
        """A subfolder, created if missing. Raises UnreachableError if the drop folder itself is missing."""
        if not self._folder.is_dir():
            raise UnreachableError(f"{self._folder} is not a folder: is the share mounted?")
        path = self._folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _dropped(self, stream: str) -> list[_DroppedFile]:
        """The complete files of a stream, oldest first. A recently modified file may be incomplete."""
        found: list[_DroppedFile] = []
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
            unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if unchanged and time.time() - after.st_mtime >= self._settle_seconds:
                found.append(_DroppedFile(path, content, after.st_mtime))
        return sorted(found, key=lambda file: (file.dropped_at, file.path.name))

    def _move(self, path: Path, where: str) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        try:
            path.rename(self._sub(where) / f"{stamp}-{path.name}")
        except FileNotFoundError:
            logger.warning("%s was already removed", path.name)

    def _refuse(self, path: Path, reason: str) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._write(self._sub("rejected") / f"{stamp}-{path.name}.reason.txt", f"{reason}\n")
        self._move(path, "rejected")

    def _quarantine(self, name: str, bad: list[BadRow]) -> None:
        """Write the bad rows with line and reason to a file that can be corrected and dropped again."""
        if bad:
            columns = ["line", "reason", *bad[0].cells]
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            rows = ([str(row.line), row.reason, *row.cells.values()] for row in bad)
            self._write(self._sub("rejected") / f"{stamp}-{name}", _csv_text(columns, rows))

    def _write(self, path: Path, text: str) -> None:
        """Write a file atomically; it is on disk when this returns."""
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8-sig", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def _order_text(order: Order) -> str:
    invoices = " ".join(invoice.invoice_number for invoice in order.invoices or [])
    head = [
        order.order_number,
        order.business_name,
        order.phone or "",
        order.email or "",
        order.address or "",
    ]
    sums = [f"{order.grand_total:f}", invoices]
    lines = ([*head, item.sku, str(item.quantity), f"{item.unit_price:f}", *sums] for item in order.items)
    return _csv_text(_ORDER_COLUMNS, lines)


def _csv_text(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """CSV with semicolons, which spreadsheets with Indonesian settings expect."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";")
    writer.writerow(columns)
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    return text.getvalue()


def _file_name(order_number: str) -> str:
    """The order number, verified: any other text could name a path outside the folder."""
    if not order_number.replace("-", "").isalnum():
        raise ValueError(f"{order_number!r} is not an order number")
    return order_number
