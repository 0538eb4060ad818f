"""The interface of a delivery provider: Meta's Cloud API, SMTP or the console."""

from typing import Protocol

from adapters.whatsapp.messages import Message


class DeliveryError(Exception):
    """The provider did not accept the message. `retry`: a later attempt can succeed."""

    def __init__(self, code: str, *, retry: bool) -> None:
        super().__init__(code)
        self.code = code
        self.retry = retry


class UnknownOutcomeError(Exception):
    """The message may have been sent. It is not reported; a callback or the lapse of its lease settles it."""


class Delivery(Protocol):
    """A delivery provider."""

    async def deliver(self, message: Message) -> str:
        """Send the message; returns the provider's id.

        Raises DeliveryError if it was certainly not sent, UnknownOutcomeError if it may have been sent.
        """
        ...
