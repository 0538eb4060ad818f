"""What the demo needs of an ERP. Tools that provision one implement `Erp`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True)
class Sale:
    """A sale of the ERP: its number, its state in the ERP's own words, and its total in rupiah."""

    number: str
    state: str
    total: Decimal


@dataclass(frozen=True)
class Transfer:
    """A bank transfer: the amount in rupiah and the bank's reference."""

    amount: Decimal
    reference: str


class Erp(Protocol):
    """An ERP beside the stack, operated by its own users. The ERP adapter exchanges with it."""

    @property
    def name(self) -> str:
        """The product's name."""
        ...

    def count_stock(self, levels: Mapping[str, int]) -> None:
        """Confirm an inventory count: units on hand for each SKU."""
        ...

    def sales(self, order_number: str) -> list[Sale]:
        """The sales that carry an order's number."""
        ...

    def record_payments(self, order_number: str, transfers: Sequence[Transfer]) -> None:
        """Post the invoice of an order and record these transfers."""
        ...
