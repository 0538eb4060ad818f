"""What a way of delivering has to offer: Meta's Cloud API, SMTP, the console."""

from typing import Protocol

from adapters.whatsapp.messages import Message


class DeliveryError(Exception):
    """The provider did not take the message. `retry` says whether trying again makes sense."""

    def __init__(self, code: str, *, retry: bool) -> None:
        super().__init__(code)
        self.code = code
        self.retry = retry


class UnknownOutcomeError(Exception):
    """It may have been sent: nothing is reported, and the provider's callback, or time, will tell."""


class Delivery(Protocol):
    """A provider."""

    async def deliver(self, message: Message) -> str:
        """Send it; returns the provider's id.

        Raises DeliveryError when it was surely not sent, UnknownOutcomeError when nobody can say.
        """
        ...


class Channels:
    """WhatsApp messages one way, e-mails another."""

    def __init__(self, whatsapp: Delivery, email: Delivery) -> None:
        self._ways = {"WHATSAPP": whatsapp, "EMAIL": email}

    async def deliver(self, message: Message) -> str:
        """By the message's channel."""
        way = self._ways.get(message.channel)
        if way is None:
            raise DeliveryError(f"no way to deliver by {message.channel}", retry=False)
        return await way.deliver(message)
