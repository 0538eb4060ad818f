"""What a user can mend: one clear line and a hint, never a traceback."""


class UserError(Exception):
    """A failure whose cause lies outside this program: a taken port, a wrong URL, a broken SQL file."""

    def __init__(self, message: str, *, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message
