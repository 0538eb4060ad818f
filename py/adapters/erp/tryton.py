"""The port for Tryton 8, over its JSON-RPC."""

from collections.abc import AsyncIterator
from datetime import timedelta

from adapters.erp import tryton_cancellations, tryton_payments, tryton_products
from adapters.erp.port import (
    Batch,
    Cancellation,
    CancellationResult,
    Cursor,
    Order,
    Payment,
    Product,
    StockLevel,
)
from adapters.erp.settings import Settings
from adapters.erp.tryton_rpc import Client
from adapters.erp.tryton_sales import LeadingSince, Sales


class Tryton:
    """Implements `adapters.erp.port.Erp` for one Tryton database."""

    def __init__(self, settings: Settings, leading_since: LeadingSince) -> None:
        self._client = Client(
            settings.erp_url,
            settings.erp_database,
            settings.erp_login,
            settings.erp_password.get_secret_value(),
            settings.erp_timeout_seconds,
        )
        self._sales = Sales(self._client, settings.erp_settle_seconds, leading_since)
        self._overlap = timedelta(minutes=settings.erp_overlap_minutes)
        self._warehouses = settings.warehouses
        self._utc_offset = settings.erp_utc_offset_hours

    def products(self, cursor: Cursor | None) -> AsyncIterator[Batch[Product]]:
        """As in the port."""
        return tryton_products.read_products(self._client, cursor, self._overlap)

    def stock(self, cursor: Cursor | None) -> AsyncIterator[Batch[StockLevel]]:
        """All levels at every reading: a stock move changes no date of its product."""
        return tryton_products.read_stock(self._client, self._warehouses)

    def payments(self, cursor: Cursor | None) -> AsyncIterator[Batch[Payment]]:
        """As in the port."""
        return tryton_payments.read_payments(self._client, cursor, self._overlap, self._utc_offset)

    async def take_order(self, order: Order) -> str:
        """As in the port."""
        return await self._sales.take_order(order)

    async def cancel_order(self, order: Cancellation) -> CancellationResult:
        """As in the port."""
        return await tryton_cancellations.cancel(self._client, order, self._sales.ensure_settled)

    async def confirm_stored(self, stream: str) -> None:
        """Nothing to do: the cursor is the whole state."""

    async def clean_up(self) -> list[str]:
        """As in the port."""
        return await self._sales.delete_duplicates()

    async def aclose(self) -> None:
        """As in the port."""
        await self._client.aclose()
