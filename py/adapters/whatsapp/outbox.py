"""The gateway's outbox RPCs, as role `messenger`."""

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

FINAL = {"NOT_FOUND", "INVALID_ARGUMENT"}
"""Codes that asking again does not change."""

_TOKEN_MINUTES = 10
_MESSAGES = TypeAdapter(list[Message])


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later: the gateway or the database is away, or busy."""
    if isinstance(error, APIError):
        return error.code not in FINAL
    return isinstance(error, httpx.TransportError)


class Outbox:
    """Claims messages and reports on them. Raises httpx.TransportError or postgrest.APIError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._minted_at = float("-inf")
        self._client = AsyncPostgrestClient(
            settings.gateway_url,
            schema="api",
            # A proxy of the environment is not for calls between neighbours.
            http_client=httpx.AsyncClient(timeout=httpx.Timeout(20, connect=5), trust_env=False),
        )

    async def __aenter__(self) -> "Outbox":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def claim(self) -> list[Message]:
        """Lease what is due, at most a batch."""
        rows = await self._call(
            "claim_messages",
            {"max": self._settings.whatsapp_batch, "lease_seconds": self._settings.whatsapp_lease_seconds},
        )
        return _MESSAGES.validate_python(rows)

    async def sent(self, message_id: UUID, provider_id: str) -> None:
        """The provider took it."""
        await self._call("message_sent", {"message_id": str(message_id), "provider_id": provider_id})

    async def failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None:
        """The provider did not take it."""
        await self._call(
            "message_failed", {"message_id": str(message_id), "error_code": error_code, "retry": retry}
        )

    async def inbound(self, payload: dict[str, Any]) -> None:
        """Store what the provider sent."""
        await self._call("inbound_message", {"payload": payload})

    async def process_inbox(self, most: int) -> int:
        """Work on what was stored; returns how many webhooks."""
        return int(await self._call("process_inbox", {"max": most}))

    async def _call(self, function: str, arguments: dict[str, Any]) -> Any:
        if time.monotonic() - self._minted_at > _TOKEN_MINUTES * 30:  # half its life
            secret = self._settings.jwt_secret
            self._client.auth(mint(secret, "messenger", str(SERVICE_ID), minutes=_TOKEN_MINUTES))
            self._minted_at = time.monotonic()
        return (await self._client.rpc(function, arguments).execute()).data
