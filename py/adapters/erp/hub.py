"""A client of the hub's RPCs for ERPs, called with role `erp`."""

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import httpx
from postgrest import APIError, AsyncPostgrestClient
from pydantic import BaseModel, TypeAdapter

from adapters.common.tokens import mint
from adapters.erp.port import Cancellation, Cursor, ErpKindError, Order, Payment, Product, StockLevel
from adapters.erp.settings import SERVICE_ID, Settings

PERMANENT_ERRORS = {
    "NOT_FOUND",
    "INVALID_ARGUMENT",
    "ILLEGAL_TRANSITION",
    "ERP_REFERENCE_CONFLICT",
    "NOT_ALLOWED",
}
"""Error codes that a retry does not change."""

_TOKEN_MINUTES = 10
_ORDERS = TypeAdapter(list[Order])
_CANCELLATIONS = TypeAdapter(list[Cancellation])


def is_transient(error: BaseException) -> bool:
    """Whether the same call can succeed later: the gateway or the database is unreachable or busy."""
    if isinstance(error, APIError):
        return error.code not in PERMANENT_ERRORS
    return isinstance(error, httpx.TransportError)


class StreamState(BaseModel):
    """The position of a stream."""

    cursor: Cursor | None = None
    read_at: str
    """The database's time (ISO 8601): what the ERP answers from now on is newer."""
    interval_minutes: float | None = None
    """Minutes between two synchronisations."""
    erp_kind: str
    """The hub's config erp.kind."""


class HubClient:
    """A client of the gateway. Its methods raise httpx.TransportError or postgrest.APIError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._minted_at = float("-inf")
        self._client = AsyncPostgrestClient(
            settings.gateway_url,
            schema="api",
            # trust_env=False: the environment's proxy is for calls to the internet.
            http_client=httpx.AsyncClient(timeout=httpx.Timeout(120, connect=5), trust_env=False),
        )

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def stream_state(self, stream: str) -> StreamState:
        """The position of a stream and the time from which a reading counts.

        Raises ErpKindError when the hub expects another ERP: no reading may then be applied.
        """
        state = StreamState.model_validate(await self._call("erp_stream", {"stream": stream}))
        if state.erp_kind != self._settings.erp_kind:
            raise ErpKindError(
                f"config erp.kind is {state.erp_kind}, but HUB_ERP_KIND is {self._settings.erp_kind};"
                " set both to the same ERP"
            )
        return state

    async def apply_products(self, products: Sequence[Product], cursor: Cursor | None) -> dict[str, Any]:
        """Store products together with the cursor that covers them."""
        return dict(await self._call("erp_apply_products", {"products": to_json(products), "cursor": cursor}))

    async def apply_stock(
        self, levels: Sequence[StockLevel], read_at: str, cursor: Cursor | None, *, complete: bool
    ) -> dict[str, Any]:
        """Store stock levels that were read after `read_at`; `complete` ends the reading."""
        return dict(
            await self._call(
                "erp_apply_stock",
                {"levels": to_json(levels), "read_at": read_at, "cursor": cursor, "complete": complete},
            )
        )

    async def apply_payments(
        self, payments: Sequence[Payment], cursor: Cursor | None
    ) -> list[dict[str, Any]]:
        """Record payments together with the cursor that covers them; returns a result for each."""
        return list(await self._call("erp_apply_payments", {"payments": to_json(payments), "cursor": cursor}))

    async def pending_orders(self, limit: int) -> list[Order]:
        """Approved orders that were not exported yet, oldest first."""
        return _ORDERS.validate_python(await self._call("erp_pending_orders", {"max": limit}))

    async def ack_order(self, order_id: UUID, erp_reference: str) -> None:
        """Report that the ERP has the order, under its own number."""
        await self._call("erp_ack_order", {"order_id": str(order_id), "erp_reference": erp_reference})

    async def pending_cancellations(self, limit: int) -> list[Cancellation]:
        """Orders that were cancelled or rejected after their export, or perhaps after it."""
        return _CANCELLATIONS.validate_python(await self._call("erp_pending_cancellations", {"max": limit}))

    async def ack_cancellation(
        self, order_id: UUID, outcome: Literal["CANCELLED", "REFUSED"], note: str
    ) -> None:
        """Report the ERP's answer to a cancellation; `note` is its reason."""
        await self._call(
            "erp_ack_cancellation", {"order_id": str(order_id), "outcome": outcome, "note": note[:500]}
        )

    async def report(self, stream: str, detail: str, *, ok: bool, notify: bool = False) -> None:
        """Report the success or failure of a round of a stream; `notify` headquarters at once."""
        report = {"stream": stream, "ok": ok, "detail": detail[:1000], "notify": notify}
        await self._call("erp_report", report)

    async def _call(self, function: str, arguments: dict[str, Any]) -> Any:
        if time.monotonic() - self._minted_at > _TOKEN_MINUTES * 30:  # half of its life, in seconds
            secret = self._settings.jwt_secret.get_secret_value()
            self._client.auth(mint(secret, "erp", str(SERVICE_ID), minutes=_TOKEN_MINUTES))
            self._minted_at = time.monotonic()
        given = {name: value for name, value in arguments.items() if value is not None}
        return (await self._client.rpc(function, given).execute()).data


def to_json(rows: Sequence[BaseModel]) -> list[dict[str, Any]]:
    """Rows as JSON objects. Amounts become floats, which keep the fifteen digits that an amount may have."""
    return [_numbers(row.model_dump(exclude_none=True)) for row in rows]


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in row.items()}
