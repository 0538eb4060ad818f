"""A client of the hub's RPCs for ERPs, called with role `erp`."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from adapters.common import gateway
from adapters.common.gateway import GatewayClient
from adapters.erp.port import Cancellation, Cursor, ErpKindError, Order, Payment, Product, StockLevel
from adapters.erp.settings import SERVICE_ID, Settings

PERMANENT_ERRORS = gateway.PERMANENT_ERRORS | {"ILLEGAL_TRANSITION", "ERP_REFERENCE_CONFLICT", "NOT_ALLOWED"}
"""Error codes that a retry does not change."""

_TIMEOUT_SECONDS = 120
_STATE_SECONDS = 15
"""For the short call that begins each round: a gateway that hangs is noticed within a minute."""
_ORDERS = TypeAdapter(list[Order])
_CANCELLATIONS = TypeAdapter(list[Cancellation])


def is_transient(error: BaseException) -> bool:
    """Whether the same call can succeed later: the gateway or the database is unreachable or busy."""
    return gateway.is_transient(error, PERMANENT_ERRORS)


class StreamState(BaseModel):
    """The position of a stream."""

    cursor: Cursor | None = None
    read_at: str
    """The database's time (ISO 8601): what the ERP answers from now on is newer."""
    interval_minutes: float | None = None
    """Minutes between two synchronisations."""
    erp_kind: str
    """The hub's config erp.kind."""


class HubClient(GatewayClient):
    """A client of the gateway. Its methods raise as `GatewayClient.call`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, role="erp", service_id=SERVICE_ID, timeout_seconds=_TIMEOUT_SECONDS)
        self._settings = settings

    async def stream_state(self, stream: str) -> StreamState:
        """The position of a stream and the time from which a reading counts.

        Raises ErpKindError when the hub expects another ERP: no reading may then be applied.
        """
        answer = await self.call("erp_stream", {"stream": stream}, dict, timeout_seconds=_STATE_SECONDS)
        state = StreamState.model_validate(answer)
        if state.erp_kind != self._settings.erp_kind:
            raise ErpKindError(
                f"config erp.kind is {state.erp_kind}, but HUB_ERP_KIND is {self._settings.erp_kind};"
                " set both to the same ERP"
            )
        return state

    async def apply_products(self, products: Sequence[Product], cursor: Cursor | None) -> dict[str, Any]:
        """Store products together with the cursor that covers them."""
        arguments = {"products": _rows(products)} | _given(cursor=cursor)
        return dict(await self.call("erp_apply_products", arguments, dict))

    async def apply_stock(
        self, levels: Sequence[StockLevel], read_at: str, cursor: Cursor | None, *, complete: bool
    ) -> dict[str, Any]:
        """Store stock levels that were read after `read_at`; `complete` ends the reading."""
        arguments = {"levels": _rows(levels), "read_at": read_at, "complete": complete}
        return dict(await self.call("erp_apply_stock", arguments | _given(cursor=cursor), dict))

    async def apply_payments(
        self, payments: Sequence[Payment], complete: Sequence[str], cursor: Cursor | None
    ) -> list[dict[str, Any]]:
        """Record payments together with the cursor that covers them; returns a result for each.

        `complete` are the invoices whose payments are all among them.
        """
        arguments = {"payments": _rows(payments)} | _given(cursor=cursor, complete=list(complete) or None)
        return list(await self.call("erp_apply_payments", arguments, list))

    async def pending_orders(self, limit: int) -> list[Order]:
        """Approved orders that were not exported yet, oldest first."""
        return _ORDERS.validate_python(await self.call("erp_pending_orders", {"max": limit}, list))

    async def ack_order(self, order_id: UUID, erp_reference: str) -> None:
        """Report that the ERP has the order, under its own number."""
        await self.call("erp_ack_order", {"order_id": str(order_id), "erp_reference": erp_reference}, dict)

    async def pending_cancellations(self, limit: int) -> list[Cancellation]:
        """Orders that were cancelled or rejected after their export, or perhaps after it."""
        rows = await self.call("erp_pending_cancellations", {"max": limit}, list)
        return _CANCELLATIONS.validate_python(rows)

    async def ack_cancellation(
        self, order_id: UUID, outcome: Literal["CANCELLED", "REFUSED"], note: str
    ) -> None:
        """Report the ERP's answer to a cancellation; `note` is its reason."""
        await self.call(
            "erp_ack_cancellation", {"order_id": str(order_id), "outcome": outcome, "note": note[:500]}, dict
        )

    async def report(
        self, stream: str, detail: str, *, ok: bool, notify: bool = False, remarks: str = ""
    ) -> None:
        """Report the success or failure of a round of a stream; `notify` headquarters at once."""
        report = {"stream": stream, "ok": ok, "detail": detail[:1000], "notify": notify}
        await self.call("erp_report", report | _given(remarks=remarks[:1000] or None), dict)


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments that have a value; the others keep the function's default."""
    return {name: value for name, value in arguments.items() if value is not None}


def _rows(models: Sequence[BaseModel]) -> list[dict[str, Any]]:
    return [model.model_dump(exclude_none=True) for model in models]
