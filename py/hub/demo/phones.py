"""The messages that the WhatsApp adapter delivered, read from the file that it keeps."""

import json
import time
from pathlib import Path
from typing import Any

from hub.errors import UserError

Message = dict[str, Any]


class Phones:
    """Every message delivered since the demo began."""

    def __init__(self, file: Path, seconds: float = 30) -> None:
        self._file = file
        self._seconds = seconds
        self._begin = file.stat().st_size if file.exists() else 0

    def wait(self, template: str, **expected: Any) -> Message:
        """Wait for a message of this template with these properties; returns the newest.

        Raises UserError after the time limit.
        """
        deadline = time.monotonic() + self._seconds
        while time.monotonic() < deadline:
            for message in reversed(self._messages()):
                if message["template"] == template and expected.items() <= message.items():
                    return message
            time.sleep(0.05)
        raise UserError(
            f"the message '{template}' was not delivered within {self._seconds:g} seconds",
            hint="./hub status shows whether the adapter runs, ./hub logs whatsapp its log",
        )

    def _messages(self) -> list[Message]:
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            # A file that was truncated since then is read from the start.
            file.seek(self._begin if self._file.stat().st_size >= self._begin else 0)
            return [json.loads(line) for line in file.read().splitlines() if line.endswith(b"}")]
