"""The gateway's outbox and inbox RPCs, called with role `messenger`."""

import time
from types import TracebackType
from typing import Any
from uuid import UUID

import httpx
from postgrest import APIError, AsyncPostgrestClient
from pydantic import TypeAdapter

from adapters.common.tokens import mint
from adapters.whatsapp.messages import Message
from adapters.whatsapp.settings import SERVICE_ID, Settings

PERMANENT_ERRORS = {"NOT_FOUND", "INVALID_ARGUMENT"}
"""Error codes that a retry does not change."""

_TOKEN_MINUTES = 10
_MESSAGES = TypeAdapter(list[Message])


def is_transient(error: BaseException) -> bool:
    """Whether the same call can succeed later: the gateway or the database is unreachable or busy."""
    if isinstance(error, APIError):
        return error.code not in PERMANENT_ERRORS
    return isinstance(error, httpx.TransportError)


class Outbox:
    """A client of the gateway. Its methods raise httpx.TransportError or postgrest.APIError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._minted_at = float("-inf")
        self._client = AsyncPostgrestClient(
            settings.gateway_url,
            schema="api",
            # trust_env=False: the environment's proxy is for calls to the internet.
            http_client=httpx.AsyncClient(timeout=httpx.Timeout(20, connect=5), trust_env=False),
        )

    async def __aenter__(self) -> "Outbox":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def claim(self) -> list[Message]:
        """Lease the due messages, at most `whatsapp_batch` of them."""
        rows = await self._call(
            "claim_messages",
            {"max": self._settings.whatsapp_batch, "lease_seconds": self._settings.whatsapp_lease_seconds},
        )
        return _MESSAGES.validate_python(rows)

    async def report_sent(self, message_id: UUID, provider_id: str) -> None:
        """Report that the provider accepted the message."""
        await self._call("message_sent", {"message_id": str(message_id), "provider_id": provider_id})

    async def report_failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None:
        """Report that the provider did not accept the message; `retry` asks for another attempt."""
        await self._call(
            "message_failed", {"message_id": str(message_id), "error_code": error_code, "retry": retry}
        )

    async def store_inbound(self, payload: dict[str, Any]) -> None:
        """Store a webhook's body in the inbox."""
        await self._call("inbound_message", {"payload": payload})

    async def process_inbox(self, limit: int) -> int:
        """Process at most `limit` stored webhooks; returns how many were processed."""
        return int(await self._call("process_inbox", {"max": limit}))

    async def _call(self, function: str, arguments: dict[str, Any]) -> Any:
        if time.monotonic() - self._minted_at > _TOKEN_MINUTES * 30:  # half of its life, in seconds
            secret = self._settings.jwt_secret.get_secret_value()
            self._client.auth(mint(secret, "messenger", str(SERVICE_ID), minutes=_TOKEN_MINUTES))
            self._minted_at = time.monotonic()
        return (await self._client.rpc(function, arguments).execute()).data
