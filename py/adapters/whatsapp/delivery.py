"""What a way of delivering has to offer. The console is one; Meta's Cloud API will be another."""

from typing import Protocol

from adapters.whatsapp.messages import Message


class DeliveryError(Exception):
    """The provider did not take the message. `retry` says whether trying again makes sense."""

    def __init__(self, code: str, *, retry: bool) -> None:
        super().__init__(code)
        self.code = code
        self.retry = retry


class Delivery(Protocol):
    """A provider of WhatsApp messages."""

    async def deliver(self, message: Message) -> str:
        """Send it; returns the provider's id. Raises DeliveryError when it was surely not sent."""
        ...
