"""The hub's side: its RPCs for the ERP, as role `erp`."""

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import httpx
from postgrest import APIError, AsyncPostgrestClient
from pydantic import BaseModel, TypeAdapter

from adapters.common.tokens import mint
from adapters.erp.port import Cancellation, Cursor, Level, Order, Payment, Product
from adapters.erp.settings import SERVICE_ID, Settings

FINAL = {"NOT_FOUND", "INVALID_ARGUMENT", "ILLEGAL_TRANSITION", "ERP_REFERENCE_CONFLICT", "NOT_ALLOWED"}
"""Codes that asking again does not change."""

_TOKEN_MINUTES = 10
_ORDERS = TypeAdapter(list[Order])
_CANCELLATIONS = TypeAdapter(list[Cancellation])


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later: the gateway or the database is away, or busy."""
    if isinstance(error, APIError):
        return error.code not in FINAL
    return isinstance(error, httpx.TransportError)


class Stream(BaseModel):
    """Where a stream stands. `read_at` is the database's moment: what the ERP says after it is newer."""

    cursor: Cursor | None = None
    read_at: str
    interval_minutes: float | None = None


class Hub:
    """The gateway. Raises httpx.TransportError or postgrest.APIError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._minted_at = float("-inf")
        self._client = AsyncPostgrestClient(
            settings.gateway_url,
            schema="api",
            # A proxy of the environment is not for calls between neighbours.
            http_client=httpx.AsyncClient(timeout=httpx.Timeout(120, connect=5), trust_env=False),
        )

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._client.aclose()

    async def stream(self, stream: str) -> Stream:
        """Where it stands, and the moment from which on a reading counts."""
        return Stream.model_validate(await self._call("erp_stream", {"stream": stream}))

    async def apply_products(self, products: Sequence[Product], cursor: Cursor | None) -> dict[str, Any]:
        """Store products, and how far they reach."""
        return dict(await self._call("erp_apply_products", {"products": plain(products), "cursor": cursor}))

    async def apply_stock(
        self, levels: Sequence[Level], read_at: str, cursor: Cursor | None, *, complete: bool
    ) -> dict[str, Any]:
        """Store levels that were read after `read_at`."""
        return dict(
            await self._call(
                "erp_apply_stock",
                {"levels": plain(levels), "read_at": read_at, "cursor": cursor, "complete": complete},
            )
        )

    async def apply_payments(
        self, payments: Sequence[Payment], cursor: Cursor | None
    ) -> list[dict[str, Any]]:
        """Book payments; answers line by line."""
        return list(await self._call("erp_apply_payments", {"payments": plain(payments), "cursor": cursor}))

    async def pending_orders(self, most: int) -> list[Order]:
        """Approved orders that the ERP has not taken over, oldest first."""
        return _ORDERS.validate_python(await self._call("erp_pending_orders", {"max": most}))

    async def ack_order(self, order_id: UUID, erp_reference: str) -> None:
        """The ERP has it."""
        await self._call("erp_ack_order", {"order_id": str(order_id), "erp_reference": erp_reference})

    async def pending_cancellations(self, most: int) -> list[Cancellation]:
        """Orders that died after the ERP had them."""
        return _CANCELLATIONS.validate_python(await self._call("erp_pending_cancellations", {"max": most}))

    async def ack_cancellation(
        self, order_id: UUID, outcome: Literal["CANCELLED", "REFUSED"], note: str
    ) -> None:
        """What the ERP made of it."""
        await self._call(
            "erp_ack_cancellation", {"order_id": str(order_id), "outcome": outcome, "note": note[:500]}
        )

    async def report(self, stream: str, detail: str, *, ok: bool) -> None:
        """How a stream fares."""
        await self._call("erp_report", {"stream": stream, "ok": ok, "detail": detail[:1000]})

    async def _call(self, function: str, arguments: dict[str, Any]) -> Any:
        if time.monotonic() - self._minted_at > _TOKEN_MINUTES * 30:  # half its life
            self._client.auth(mint(self._settings.jwt_secret, "erp", str(SERVICE_ID), minutes=_TOKEN_MINUTES))
            self._minted_at = time.monotonic()
        given = {name: value for name, value in arguments.items() if value is not None}
        return (await self._client.rpc(function, given).execute()).data


def plain(rows: Sequence[BaseModel]) -> list[dict[str, Any]]:
    """As JSON has it: amounts are numbers. Fifteen digits survive a float and back."""
    return [_numbers(row.model_dump(exclude_none=True)) for row in rows]


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in row.items()}
