"""A message as the outbox returns it."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel


class Button(BaseModel):
    """A reply button; a tap sends `payload` back."""

    title: str
    payload: str


class Message(BaseModel):
    """One row of `claim_messages`."""

    id: UUID
    template: str
    channel: str
    recipient_type: str
    recipient_name: str | None
    recipient: str | None
    body: str
    variables: dict[str, Any] = {}
    buttons: list[Button] | None = None
    order_id: UUID | None
    attempts: int
    template_body: str = ""
    """The template's text with the names of its variables."""
    window_open: bool = False
    """The recipient wrote in the last 24 hours: WhatsApp accepts a free-form message."""
    request_id: str | None = None
    """X-Request-Id of the request that enqueued the message; None: a job did."""
