"""The port: what the adapter requires of an ERP. docs/erp/index.md describes the implementations."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

Cursor = dict[str, Any]
"""The position of a stream in the ERP's own terms; the hub stores it with the data that it covers."""

Row = TypeVar("Row")


class ErpError(Exception):
    """The ERP did not do what was requested; the text is shown to headquarters."""


class UnreachableError(ErpError):
    """The ERP did not answer and did nothing: the call may be repeated at any time."""


class UnknownOutcomeError(ErpError):
    """The call may have been executed or may still run: a timeout, cut connection, 500 or invalid answer."""


class BusyError(ErpError):
    """The ERP did nothing and asks for a repetition after at least `seconds`."""

    def __init__(self, message: str, seconds: float = 1) -> None:
        super().__init__(message)
        self.seconds = seconds


class RefusedError(ErpError):
    """The ERP refused the call for the reason in the text; a repetition is refused too."""


class RejectedError(ErpError):
    """Files or rows were rejected, for the reasons in the text; everything else is stored."""


class ErpKindError(RefusedError):
    """The hub's config erp.kind names another ERP than HUB_ERP_KIND, or none."""


class LoginRefusedError(RefusedError):
    """Login, password, address or rights are wrong. Do not retry soon: a few failures lock the account."""


class Product(BaseModel):
    """A product of the ERP with its price in IDR."""

    sku: str
    name: str
    base_price: Decimal
    is_active: bool = True
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    retail_price: Decimal | None = None
    is_free: bool = False
    """A price of 0 is intended; otherwise it is quarantined as an error of the source."""
    set_aside: str | None = None
    """Why the hub may not import the row, such as a code that several products share: it is quarantined."""


class StockLevel(BaseModel):
    """The units that can be sold: on hand, less those of exported sales that have not left yet."""

    sku: str
    quantity: Decimal


class Payment(BaseModel):
    """A payment that an accountant recorded in the ERP for an invoice of the hub; the amount is in IDR."""

    invoice_number: str
    amount: Decimal
    """Negative for a reversal, of an invoice whose payments are all listed."""
    reference_number: str
    """The same at every reading; the bank's own reference if the accountant recorded it."""
    paid_at: str
    payment_method: str | None = None
    notes: str | None = None


class OrderItem(BaseModel):
    """A line of an order; the price is in IDR."""

    sku: str
    quantity: int
    unit_price: Decimal


class OrderInvoice(BaseModel):
    """An invoice that the hub issued for an order."""

    invoice_number: str
    status: str = ""


class Order(BaseModel):
    """An approved order; amounts are in IDR."""

    order_id: UUID
    order_number: str
    partner_id: UUID
    business_name: str
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    point_discount: Decimal = Decimal(0)
    grand_total: Decimal
    items: list[OrderItem]
    invoices: list[OrderInvoice] | None = None


class Cancellation(BaseModel):
    """An order that was cancelled or rejected after its export, or perhaps after it."""

    order_id: UUID
    order_number: str
    erp_reference: str | None = None


@dataclass(frozen=True)
class Batch(Generic[Row]):
    """Rows and the position of the stream once they are stored."""

    rows: list[Row]
    cursor: Cursor | None = None
    remarks: list[str] = field(default_factory=list)
    """Texts about skipped rows, for headquarters."""
    read_at: str | None = None
    """Of stock that was read before this call: the time of that reading (ISO 8601)."""
    reject: Callable[[str], Awaitable[str]] | None = None
    """Puts the source of the rows aside if the hub refuses them for the given reason; returns a text about
    that. None: the whole stream waits."""
    rejected: list[str] = field(default_factory=list)
    """Texts about what the source has to correct: headquarters is notified."""
    complete: list[str] = field(default_factory=list)
    """Invoices whose payments are all among the rows: what the hub has beyond them was taken back."""


@dataclass(frozen=True)
class CancellationResult:
    """The outcome of a cancellation; `note` is the ERP's reason for a refusal."""

    outcome: Literal["CANCELLED", "REFUSED"]
    note: str = ""


class Erp(Protocol):
    """An ERP. Every call may be repeated; all raise ErpError."""

    def products(self, cursor: Cursor | None) -> AsyncIterator[Batch[Product]]:
        """Products that changed since the cursor (None: all), in batches; some may be repeated."""
        ...

    def stock(self, cursor: Cursor | None) -> AsyncIterator[Batch[StockLevel]]:
        """Stock levels. Batches without `read_at` are together the complete stock."""
        ...

    def payments(self, cursor: Cursor | None) -> AsyncIterator[Batch[Payment]]:
        """Payments since the cursor; some may be repeated under the same reference."""
        ...

    async def confirm_stored(self, stream: str) -> None:
        """The hub has stored everything that was last read of products, stock or payments."""
        ...

    async def take_order(self, order: Order) -> str:
        """Create the order in the ERP unless it exists, confirm it and reserve its stock.

        Returns the ERP's own number.
        """
        ...

    async def cancel_order(self, order: Cancellation) -> CancellationResult:
        """Cancel the order in the ERP, or return why that is impossible."""
        ...

    async def clean_up(self) -> list[str]:
        """Remove what a call of unknown outcome left behind; returns a text for each removal."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
