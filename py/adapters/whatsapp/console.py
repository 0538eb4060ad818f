"""Delivery without credentials: a message is printed as the phone would show it, and kept as a JSON line."""

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
    """A chat bubble with its reply buttons below."""
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
    """Prints to the log and appends to `file`, if there is one."""

    def __init__(self, file: Path | None = None, console: Console | None = None) -> None:
        self._file = file
        self._console = console or Console(width=80, highlight=False)

    async def deliver(self, message: Message) -> str:
        """Show and keep it; the id is made up."""
        if not message.recipient:
            raise DeliveryError("no address", retry=False)
        provider_id = f"console-{message.id}-{message.attempts}"
        titles = [button.title for button in message.buttons or ()]
        name = message.recipient_name or message.recipient_type
        self._console.print(bubble(name, message.recipient, message.body, titles))
        if self._file:
            _append(self._file, message, provider_id)
        return provider_id


def _append(file: Path, message: Message, provider_id: str) -> None:
    kept = message.model_dump(mode="json", exclude={"variables", "template_body"})
    told = kept | {"provider_id": provider_id, "delivered_at": datetime.now(UTC).isoformat()}
    # One write each: lines of two workers never mix. Sign-in codes are in it: nobody else may read.
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(told, ensure_ascii=False).encode() + b"\n")
    finally:
        os.close(descriptor)
