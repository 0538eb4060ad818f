"""The error of `hub migrate`, with the file and line that it is about."""

from pathlib import Path

from hub.errors import UserError


class MigrationError(UserError):
    """A migration was refused or failed; its transaction was rolled back."""

    def __init__(
        self, message: str, *, path: Path | None = None, line: int | None = None, hint: str = ""
    ) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(where + message, hint=hint)
        self.path = path
        self.line = line
