"""The gateway's outbox and inbox RPCs, called with role `messenger`."""

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from adapters.common.gateway import GatewayClient
from adapters.whatsapp.messages import Message
from adapters.whatsapp.settings import SERVICE_ID, Settings

_MESSAGES = TypeAdapter(list[Message])


class Outbox(GatewayClient):
    """A client of the gateway. Its methods raise as `GatewayClient.call`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, role="messenger", service_id=SERVICE_ID)
        self._settings = settings

    async def claim(self, channel: str | None = None, limit: int | None = None) -> list[Message]:
        """Lease the due messages of a channel, or of all; at most `limit` or `whatsapp_batch` of them."""
        limits = {
            "max": limit or self._settings.whatsapp_batch,
            "lease_seconds": self._settings.whatsapp_lease_seconds,
        }
        only = {"only_channel": channel} if channel else {}
        rows = await self.call("claim_messages", limits | only, list)
        return _MESSAGES.validate_python(rows)

    async def report_sent(self, message_id: UUID, provider_id: str) -> None:
        """Report that the provider accepted the message."""
        await self.call("message_sent", {"message_id": str(message_id), "provider_id": provider_id})

    async def report_failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None:
        """Report that the provider did not accept the message; `retry` asks for another attempt."""
        await self.call(
            "message_failed", {"message_id": str(message_id), "error_code": error_code, "retry": retry}
        )

    async def release(self, message_ids: list[UUID]) -> None:
        """Give claimed messages back unsent: the claim does not count."""
        await self.call("release_messages", {"message_ids": [str(id_) for id_ in message_ids]}, dict)

    async def store_inbound(self, payload: dict[str, Any]) -> None:
        """Store a webhook's body in the inbox."""
        await self.call("inbound_message", {"payload": payload}, dict)

    async def process_inbox(self, limit: int) -> int:
        """Process at most `limit` stored webhooks; returns how many were processed."""
        return int(await self.call("process_inbox", {"max": limit}, int))
