"""A drop folder as the ERP: files in in/ are imported, orders are exported to orders/.

A file is claimed by moving it to processing/ before it is read: a file of the same name that is dropped
meanwhile is another file. The time in the name of a claimed file makes the name unique, so the cursor of
a stream is the names that the hub has stored.
"""

import asyncio
import csv
import io
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from adapters.erp import csv_files
from adapters.erp.csv_cells import FORMULA, Convention
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
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

STREAMS = ("products", "stock", "payments")
"""The streams of files; a file's name begins with that of its stream."""

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
_INCOMPLETE = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".lock")
"""Endings of files that another program is still writing; such files and hidden ones may stay a day."""
_INCOMPLETE_SECONDS = 24 * 3600
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _ClaimedFile:
    """A file in processing/."""

    path: Path
    written_at: datetime


class CsvFolder:
    """Implements `adapters.erp.port.Erp`; docs/erp/csv.md describes the files."""

    def __init__(self, settings: Settings) -> None:
        if settings.erp_folder is None:
            raise ValueError("HUB_ERP_FOLDER is not set")
        self._folder = settings.erp_folder
        self._settle_seconds = settings.erp_csv_settle_seconds
        self._zone = timezone(timedelta(hours=settings.erp_utc_offset_hours))
        numbers = settings.erp_csv_numbers
        self._convention = None if numbers == "auto" else Convention(numbers)
        self._read: dict[str, list[Path]] = {}
        """The files that were last read, by stream, without the rejected ones."""

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
        """A batch for each file; the cursor holds the names of the claimed files that the hub has stored."""
        stored = set((cursor or {}).get("stored", ()))
        self._read[stream] = []
        if misnamed := await _in_thread(self._reject_misnamed):
            yield Batch([], rejected=misnamed)
        for file in await _in_thread(self._claim, stream):
            if file.path.name in stored:
                # The hub has stored it; the adapter was killed before it moved the file.
                self._read[stream].append(file.path)
                continue
            yield await _in_thread(self._batch, stream, file)

    def _batch(self, stream: str, file: _ClaimedFile) -> Batch[Any]:
        """The rows of a file. Bad rows go to rejected/, and so does the whole file if it is unreadable."""
        name = file.path.name
        try:
            if stream == "stock":
                _refuse_impossible_date(file.written_at)
            parsed = csv_files.parse(stream, file.path, self._zone, self._convention)
        except UnreadableFileError as error:
            self._reject_file(file.path, str(error))
            return Batch([], rejected=[f"{name}: {error}"])
        if parsed.bad:
            self._write(self._sub("rejected") / name, _bad_rows_text(parsed.bad))
        self._read[stream].append(file.path)
        return Batch(
            parsed.rows,
            {"stored": [path.name for path in self._read[stream]]},
            rejected=[f"{name} line {bad.line}: {bad.reason}" for bad in parsed.bad],
            read_at=file.written_at.isoformat(),
            reject=partial(self._reject_read, stream, file.path),
        )

    async def _reject_read(self, stream: str, path: Path, reason: str) -> str:
        self._read[stream].remove(path)
        await _in_thread(self._reject_file, path, reason)
        return f"{path.name}: {reason}"

    async def confirm_stored(self, stream: str) -> None:
        """Move the files that were last read to done/."""
        for path in self._read.pop(stream, []):
            await _in_thread(self._move, path, "done")

    async def take_order(self, order: Order) -> str:
        """Write orders/<order number>.csv once; a removed file is not written again."""
        await _in_thread(self._export, order)
        return order.order_number

    async def cancel_order(self, order: Cancellation) -> CancellationResult:
        """Move the order's file to orders/cancelled/; refused if it was already removed."""
        return await _in_thread(self._withdraw, order.order_number)

    async def clean_up(self) -> list[str]:
        """Remove incomplete files, left by an adapter that was killed while it wrote."""
        return await _in_thread(self._remove_incomplete)

    async def aclose(self) -> None:
        """Nothing to close."""

    # An order is prepared as staged/<name>, then recorded in written/, then moved to orders/. The move is
    # the moment at which the accountant gets it: a recorded order that is no longer staged was placed,
    # even if its file has been removed since.

    def _export(self, order: Order) -> None:
        name = f"{_file_name(order.order_number)}.csv"
        staged, written = self._sub("orders/.staged") / name, self._sub("orders/.written") / name
        if not written.exists():
            self._write(staged, _order_text(order))
            written.touch()
            _sync_folder(written.parent)
        with suppress(FileNotFoundError):
            staged.rename(self._sub("orders") / name)
            _sync_folder(self._folder / "orders")

    def _withdraw(self, order_number: str) -> CancellationResult:
        name = f"{_file_name(order_number)}.csv"
        cancelled = self._sub("orders/cancelled") / name
        if cancelled.exists() or not (self._sub("orders/.written") / name).exists():
            (self._sub("orders/.staged") / name).unlink(missing_ok=True)
            return CancellationResult("CANCELLED")
        for source in (self._sub("orders/.staged") / name, self._sub("orders") / name):
            with suppress(FileNotFoundError):
                source.rename(cancelled)
                return CancellationResult("CANCELLED")
        return CancellationResult(
            "REFUSED", f"{name} was already removed from orders/: undo the order by hand"
        )

    def _remove_incomplete(self) -> list[str]:
        # Only those of this stream: the others write at the same time.
        left = list(self._sub("orders/.staged").glob(".*.part"))
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

    def _settled(self) -> Iterator[Path]:
        """The complete files in in/. One that was modified a moment ago may be incomplete."""
        now = time.time()
        for path in self._sub("in").iterdir():
            with suppress(FileNotFoundError):  # taken back
                age = now - path.stat().st_mtime
                if not path.is_file():
                    continue
                incomplete = path.name.startswith((".", "~$")) or path.name.lower().endswith(_INCOMPLETE)
                if incomplete and 0 <= age < _INCOMPLETE_SECONDS:
                    continue
                # A time in the future is another clock's: there is no telling since when.
                if age >= self._settle_seconds or age < -60:
                    yield path

    def _claim(self, stream: str) -> list[_ClaimedFile]:
        """The complete files of a stream, oldest first, moved to processing/."""
        processing = self._sub("processing")
        for path in self._settled():
            if _stream_of(path.name) == stream:
                with suppress(FileNotFoundError):
                    path.rename(processing / _stamped(path.name))
        files: list[_ClaimedFile] = []
        for path in processing.iterdir():
            if _stream_of(path.name) == stream:
                modified = path.stat().st_mtime
                # A program that still had it open may go on writing.
                if not 0 <= time.time() - modified < self._settle_seconds:
                    files.append(_ClaimedFile(path, datetime.fromtimestamp(modified, UTC)))
        return sorted(files, key=lambda file: (file.written_at, file.path.name))

    def _reject_misnamed(self) -> list[str]:
        """Move the files that belong to no stream to rejected/; returns a text for each."""
        names = ", ".join(f"{stream}*.csv" for stream in STREAMS)
        texts: list[str] = []
        for path in self._settled():
            if _stream_of(path.name) is None:
                reason = f"not a file of the exchange: name it {names}"
                if path.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".ods"):
                    reason = f"a workbook: save it as 'CSV UTF-8' and name it {names}"
                claimed = self._sub("processing") / _stamped(path.name)
                with suppress(FileNotFoundError):
                    path.rename(claimed)
                    self._reject_file(claimed, reason)
                    texts.append(f"{path.name}: {reason}")
        return texts

    def _move(self, path: Path, where: str) -> None:
        try:
            path.rename(self._sub(where) / path.name)
        except FileNotFoundError:
            logger.warning("%s was already removed", path.name)

    def _reject_file(self, path: Path, reason: str) -> None:
        self._write(self._sub("rejected") / f"{path.name}.reason.txt", f"{reason}\n")
        self._move(path, "rejected")

    def _write(self, path: Path, text: str) -> None:
        """Write a file atomically; it is on disk when this returns."""
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8-sig", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)


async def _in_thread(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function that uses files. Raises UnreachableError instead of OSError."""
    try:
        return await asyncio.to_thread(function, *args, **kwargs)
    except OSError as error:
        raise UnreachableError(f"{error.filename or 'the drop folder'}: {error.strerror}") from None


def _refuse_impossible_date(written_at: datetime) -> None:
    """Raise UnreadableFileError if the time of a file is that of a wrong clock."""
    if not _EARLIEST <= written_at <= datetime.now(UTC) + timedelta(days=1):
        raise UnreadableFileError(
            f"dated {written_at:%d-%m-%Y}: stock counts as of that time; save the file again"
        )


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _stream_of(name: str) -> str | None:
    """The stream whose files have such a name."""
    name = name.lower()
    return next((s for s in STREAMS if name.startswith(s) and name.endswith(".csv")), None)


def _stamped(name: str) -> str:
    """A unique name that still begins with that of its stream, so that the file can be dropped again."""
    path = Path(name)
    return f"{path.stem}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}{path.suffix}"


def _order_text(order: Order) -> str:
    invoices = " ".join(invoice.invoice_number for invoice in order.invoices or [])
    head = [
        order.order_number,
        order.business_name,
        order.phone or "",
        order.email or "",
        order.address or "",
    ]
    sums = [_rupiah(order.grand_total), invoices]
    lines = ([*head, item.sku, str(item.quantity), _rupiah(item.unit_price), *sums] for item in order.items)
    return _csv_text(_ORDER_COLUMNS, lines)


def _rupiah(amount: Decimal) -> str:
    """Whole rupiah: a spreadsheet with Indonesian settings reads 960000.00 as 96 million."""
    return f"{amount:.0f}" if amount == amount.to_integral_value() else f"{amount:f}".replace(".", ",")


def _bad_rows_text(bad: list[BadRow]) -> str:
    """The bad rows with line and reason, as a file that can be corrected and dropped again."""
    columns = list(dict.fromkeys(["line", "reason", *bad[0].cells]))
    rows = ({**row.cells, "line": str(row.line), "reason": row.reason} for row in bad)
    return _csv_text(columns, ([row[column] for column in columns] for row in rows))


def _csv_text(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """CSV with semicolons, which spreadsheets with Indonesian settings expect."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";")
    writer.writerow(columns)
    writer.writerows([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row] for row in rows)
    return text.getvalue()


def _file_name(order_number: str) -> str:
    """The order number, verified: any other text could name a path outside the folder."""
    if not order_number.replace("-", "").isalnum():
        raise ValueError(f"{order_number!r} is not an order number")
    return order_number
