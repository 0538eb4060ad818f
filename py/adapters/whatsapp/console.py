"""Delivery without credentials: prints a message as the phone shows it and keeps it as a JSON line."""

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from adapters.whatsapp.delivery import DeliveryError
from adapters.whatsapp.messages import Message


def bubble(name: str, number: str, body: str, buttons: Sequence[str] = ()) -> RenderableType:
    """A chat bubble with the titles of its reply buttons below."""
    parts: list[RenderableType] = [Text(body)]
    if buttons:
        row = Text("   ").join(Text(f" {title} ", style="bold reverse green") for title in buttons)
        parts += [Text(), row]
    return Panel(
        Group(*parts),
        title=Text(f"WhatsApp · {name} · {number}"),
        title_align="left",
        border_style="green",
        width=76,
    )


class ConsoleDelivery:
    """Prints messages to the log and appends them to `file`, if given."""

    def __init__(self, file: Path | None = None, console: Console | None = None) -> None:
        self._file = file
        self._console = console or Console(width=80, highlight=False)

    async def turn(self) -> None:
        """The console has no limit."""

    async def deliver(self, message: Message) -> str:
        """Print and keep the message; returns a generated id. Raises DeliveryError without a recipient."""
        if not message.recipient:
            raise DeliveryError("no address", retry=False)
        provider_id = f"console-{message.id}-{message.attempts}"
        titles = [button.title for button in message.buttons or ()]
        name = message.recipient_name or message.recipient_type
        self._console.print(bubble(name, message.recipient, message.body, titles))
        if self._file:
            await asyncio.to_thread(_append, self._file, message, provider_id)
        return provider_id

    async def probe(self) -> None:
        """The console is always there."""


def _append(file: Path, message: Message, provider_id: str) -> None:
    record = message.model_dump(mode="json", exclude={"variables", "template_body"})
    record |= {"provider_id": provider_id, "delivered_at": datetime.now(UTC).isoformat()}
    # A single write, so that lines of two workers never mix. Sign-in codes are in the file: only its owner
    # may read it.
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(record, ensure_ascii=False).encode() + b"\n")
    finally:
        os.close(descriptor)
