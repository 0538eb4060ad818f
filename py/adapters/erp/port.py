"""What the adapter needs of an ERP. docs/erp.md tells what each implementation makes of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

Cursor = dict[str, Any]
"""Where a stream stands, in the ERP's own terms; the hub keeps it with the data that it covers."""

Row = TypeVar("Row")


class ErpError(Exception):
    """The ERP did not do what was asked; the text goes to headquarters."""


class UnreachableError(ErpError):
    """Nobody answered, and nothing was done: the same call may be repeated at any time."""


class UnknownOutcomeError(ErpError):
    """It may have been done, or still be under way: a time limit, a cut connection, a 500, garbage."""


class BusyError(ErpError):
    """The ERP asks to come back later, and nothing was done. `seconds` is the least pause."""

    def __init__(self, message: str, seconds: float = 1) -> None:
        super().__init__(message)
        self.seconds = seconds


class RefusedError(ErpError):
    """The ERP understood and said no, in the words of this exception; it will say so again."""


class LoginRefusedError(RefusedError):
    """Login, password, address or rights are wrong. Not in a hurry again: a few failures lock the account."""


class Product(BaseModel):
    """A product as the ERP knows it, with its price."""

    sku: str
    name: str
    base_price: Decimal
    is_active: bool = True
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    retail_price: Decimal | None = None


class Level(BaseModel):
    """What can be sold: on hand, less what sales that the ERP has taken over will still take away."""

    sku: str
    quantity: Decimal


class Payment(BaseModel):
    """Money that the ERP's accountant has put down for an invoice of the hub."""

    invoice_number: str
    amount: Decimal
    reference_number: str
    """The same each time that it is read; where he noted the bank's own reference, that."""
    paid_at: str
    payment_method: str | None = None
    notes: str | None = None


class OrderItem(BaseModel):
    """A line of an order."""

    sku: str
    quantity: int
    unit_price: Decimal


class OrderInvoice(BaseModel):
    """An invoice that the hub made of an order."""

    invoice_number: str
    status: str = ""


class Order(BaseModel):
    """An approved order, whole."""

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
    """An order that died after the ERP had taken it over, or may have."""

    order_id: UUID
    order_number: str
    erp_reference: str | None = None


@dataclass(frozen=True)
class Batch(Generic[Row]):
    """Rows, and where the stream stands once they are stored. `remarks` tell what was set aside.

    `read_at`: stock that was read before this call, as of that moment (ISO 8601).
    """

    rows: list[Row]
    cursor: Cursor | None = None
    remarks: list[str] = field(default_factory=list)
    read_at: str | None = None


@dataclass(frozen=True)
class Cancelled:
    """What became of a cancellation, with the ERP's reason where it refused."""

    outcome: Literal["CANCELLED", "REFUSED"]
    note: str = ""


class Erp(Protocol):
    """An ERP. Every call may be repeated; all raise ErpError."""

    def products(self, cursor: Cursor | None) -> AsyncIterator[Batch[Product]]:
        """Products that changed since the cursor (None: all), a thousand at a time; some may come again."""
        ...

    def stock(self, cursor: Cursor | None) -> AsyncIterator[Batch[Level]]:
        """What can be sold. Where it is all that there is, the batches together are complete."""
        ...

    def payments(self, cursor: Cursor | None) -> AsyncIterator[Batch[Payment]]:
        """Payments since the cursor; some may come again, under the same reference."""
        ...

    async def stored(self, stream: str) -> None:
        """The hub has all that was last read of products, stock or payments."""
        ...

    async def take_order(self, order: Order) -> str:
        """Have the order there once, binding, and its stock promised; returns the ERP's own number."""
        ...

    async def cancel_order(self, order: Cancellation) -> Cancelled:
        """Undo the order there, or say why that cannot be."""
        ...

    async def tidy(self) -> list[str]:
        """Remove what a call of unknown outcome left behind; returns what was done, in words."""
        ...

    async def aclose(self) -> None:
        """Let connections go."""
        ...
