"""The port, made of Tryton 8 by its JSON-RPC."""

from collections.abc import AsyncIterator
from datetime import timedelta

from adapters.erp import tryton_cancellations, tryton_payments, tryton_products
from adapters.erp.port import Batch, Cancellation, Cancelled, Cursor, Level, Order, Payment, Product
from adapters.erp.settings import Settings
from adapters.erp.tryton_rpc import Client
from adapters.erp.tryton_sales import LeadingSince, Sales


class Tryton:
    """One Tryton database."""

    def __init__(self, settings: Settings, leading_since: LeadingSince) -> None:
        self._client = Client(
            settings.erp_url,
            settings.erp_database,
            settings.erp_login,
            settings.erp_password,
            settings.erp_timeout_seconds,
        )
        self._sales = Sales(self._client, settings.erp_settle_seconds, leading_since)
        self._overlap = timedelta(minutes=settings.erp_overlap_minutes)
        self._warehouses = settings.warehouses
        self._utc_offset = settings.erp_utc_offset_hours

    def products(self, cursor: Cursor | None) -> AsyncIterator[Batch[Product]]:
        """As in the port."""
        return tryton_products.products(self._client, cursor, self._overlap)

    def stock(self, cursor: Cursor | None) -> AsyncIterator[Batch[Level]]:
        """All levels each time: a stock move leaves no date on its product."""
        return tryton_products.stock(self._client, self._warehouses)

    def payments(self, cursor: Cursor | None) -> AsyncIterator[Batch[Payment]]:
        """As in the port."""
        return tryton_payments.payments(self._client, cursor, self._overlap, self._utc_offset)

    async def take_order(self, order: Order) -> str:
        """As in the port."""
        return await self._sales.take(order)

    async def cancel_order(self, order: Cancellation) -> Cancelled:
        """As in the port."""
        return await tryton_cancellations.cancel(self._client, order, self._sales.calm)

    async def stored(self, stream: str) -> None:
        """Nothing is kept here: the cursor says it all."""

    async def tidy(self) -> list[str]:
        """As in the port."""
        return await self._sales.tidy()

    async def aclose(self) -> None:
        """As in the port."""
        await self._client.aclose()
