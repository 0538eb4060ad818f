"""The phones of the story: what the WhatsApp adapter delivered, read from the file that it keeps."""

import json
import time
from pathlib import Path
from typing import Any

from hub.errors import UserError

Message = dict[str, Any]


class Phones:
    """Every message delivered since the story began."""

    def __init__(self, file: Path, patience: float = 30) -> None:
        self._file = file
        self._patience = patience
        self._begin = file.stat().st_size if file.exists() else 0

    def wait(self, template: str, **expected: Any) -> Message:
        """The newest message of this template with these properties, as soon as it is there.

        Raises UserError when it does not come.
        """
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            for message in reversed(self._messages()):
                if message["template"] == template and expected.items() <= message.items():
                    return message
            time.sleep(0.05)
        raise UserError(
            f"the message '{template}' was not delivered within {self._patience:g} seconds",
            hint="./hub status shows whether the adapter runs, ./hub logs whatsapp what it says",
        )

    def _messages(self) -> list[Message]:
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            # Cut to nothing since then (`./hub reset`, log rotation by hand): from the start.
            file.seek(self._begin if self._file.stat().st_size >= self._begin else 0)
            return [json.loads(line) for line in file.read().splitlines() if line.endswith(b"}")]
