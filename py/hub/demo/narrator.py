"""The demo's output: steps, calls with their answers, messages as a phone shows them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from adapters.whatsapp.console import bubble
from hub.errors import UserError


def rupiah(amount: float | str | Decimal) -> str:
    """Rupiah as Indonesians write it: Rp1.250.000."""
    return f"Rp{round(float(amount)):,}".replace(",", ".")


def day(moment: str) -> str:
    """A due date as messages write it, a day of Jakarta: 07-01-2027."""
    return f"{datetime.fromisoformat(moment).astimezone(ZoneInfo('Asia/Jakarta')):%d-%m-%Y}"


class Narrator:
    """Prints the demo to a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0

    def step(self, title: str) -> None:
        """Print the title of the next step."""
        self._step += 1
        self._console.print()
        self._console.print(Text(f"{self._step}. {title}", style="bold cyan"))

    def call(self, method: str, path: str, status: int, summary: str) -> None:
        """Print an HTTP call and a summary of its answer."""
        style = "green" if status < 400 else "yellow"
        line = Text("   ").append(f"{method} {path}", style="bold").append(f"  {status}", style=style)
        self._console.print(line)
        for part in summary.splitlines():
            self.note(part)

    def note(self, text: str) -> None:
        """Print a remark."""
        self._console.print(Text(f"      {text}"))

    def message(self, message: Mapping[str, Any]) -> None:
        """Print a message that was delivered."""
        titles = [button["title"] for button in message["buttons"] or ()]
        shown = bubble(message["recipient_name"], message["recipient"], message["body"], titles)
        self._console.print(Padding(shown, (0, 0, 0, 6)), soft_wrap=False)

    def plain(self, text: str = "", style: str = "") -> None:
        """Print a line to be copied: never wrapped."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def waiting(self, text: str) -> Any:
        """A spinner for a wait."""
        return self._console.status(text)


def expect(holds: object, what: str) -> None:
    """Raise UserError with the failed expectation: the demo is a test, too."""
    if not holds:
        raise UserError(f"the demo failed. Expected: {what}")
