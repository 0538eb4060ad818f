"""Refusals, in the form of the gateway's errors."""

from collections.abc import Mapping

DATABASE_AWAY = "PGRST000"
"""The gateway's own code for a database that does not answer: clients need one rule for both."""


class RefusedError(Exception):
    """A refused request: the HTTP status and the body that the gateway would answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.body = {"code": code, "message": message, "details": details, "hint": hint}
        self.headers = dict(headers or {})


class DatabaseAwayError(RefusedError):
    """PostgreSQL does not answer in time: nothing is served, because no copy is known to be fresh."""

    def __init__(self, details: str | None = None) -> None:
        super().__init__(
            503,
            DATABASE_AWAY,
            "The database does not answer",
            details=details,
            hint="Try again in a few seconds",
            headers={"Retry-After": "2"},
        )
