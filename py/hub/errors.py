"""Errors that a user can fix: one line and a hint instead of a traceback."""


class UserError(Exception):
    """A failure with a cause outside this program: a port in use, a wrong URL, an invalid SQL file.

    `message` says what is wrong, `hint` what to do; `code` is the exit code of the command.
    """

    def __init__(self, message: str, *, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message
