"""What `hub migrate` refuses to do, and where it stopped."""

from pathlib import Path

from hub.errors import UserError


class MigrationError(UserError):
    """A migration could not be applied; the failing transaction left nothing behind."""

    def __init__(
        self, message: str, *, path: Path | None = None, line: int | None = None, hint: str = ""
    ) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(where + message, hint=hint)
        self.path = path
        self.line = line
