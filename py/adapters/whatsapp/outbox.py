"""The gateway's outbox and inbox RPCs, called with role `messenger`."""

from collections.abc import Mapping
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

    async def report_sent(self, sent: Mapping[UUID, str]) -> None:
        """Report that the provider accepted messages, at most 1000: its ids by those of the messages."""
        rows = [{"message_id": str(id_), "provider_id": provider_id} for id_, provider_id in sent.items()]
        await self.call("messages_sent", {"sent": rows}, dict)

    async def report_failed(self, message_id: UUID, error_code: str, *, retry: bool) -> None:
        """Report that the provider did not accept the message; `retry` asks for another attempt."""
        await self.call(
            "message_failed", {"message_id": str(message_id), "error_code": error_code, "retry": retry}
        )

    async def release(self, message_ids: list[UUID]) -> None:
        """Give claimed messages back unsent: the claim does not count."""
        await self.call("release_messages", {"message_ids": [str(id_) for id_ in message_ids]}, dict)

    async def store_inbound(self, payloads: list[dict[str, Any]]) -> None:
        """Store the bodies of webhooks in the inbox, at most 100."""
        await self.call("inbound_messages", {"payloads": payloads}, dict)

    async def process_inbox(self, limit: int) -> int:
        """Process at most `limit` stored webhooks; returns how many were processed."""
        return int(await self.call("process_inbox", {"max": limit}, int))
