"""The interface of a delivery provider: Meta's Cloud API, SMTP or the console."""

from typing import Protocol

from adapters.whatsapp.breaker import BACK_OFF, Pause
from adapters.whatsapp.messages import Message


class DeliveryError(Exception):
    """The provider did not accept the message.

    `retry`: a later attempt can succeed. `tried`: false if the provider never saw the message, so that the
    attempt does not count. `pause`: how long the channel rests, if the reason concerns every message.
    """

    def __init__(self, code: str, *, retry: bool, tried: bool = True, pause: Pause | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry = retry
        self.tried = tried
        self.pause = pause


class UnknownOutcomeError(Exception):
    """The message may have been sent. It is not reported; a callback or the lapse of its lease settles it.

    The channel rests for `pause`, because an outage would leave each further message unknown too.
    """

    pause = BACK_OFF


class Delivery(Protocol):
    """A delivery provider."""

    async def turn(self) -> None:
        """Wait until the provider's limit of its rate allows another message."""
        ...

    async def deliver(self, message: Message) -> str:
        """Send the message; returns the provider's id.

        Raises DeliveryError if it was certainly not sent, UnknownOutcomeError if it may have been sent.
        """
        ...

    async def probe(self) -> None:
        """Reach the provider without sending. Raises DeliveryError or UnknownOutcomeError if it is away."""
        ...
