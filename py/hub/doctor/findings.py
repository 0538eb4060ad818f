"""What a check found."""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from hub.errors import UserError


@dataclass(frozen=True)
class Finding:
    """The result of a check; `meaning` and `next_step` explain a fault."""

    passed: bool
    text: str
    meaning: str = ""
    next_step: str = ""


def attempt(check: Callable[[], str], meaning: str, next_step: str) -> Finding:
    """The text that a check returns, or its UserError or psycopg.Error as a fault."""
    try:
        return Finding(True, check())
    except (UserError, psycopg.Error) as error:
        return Finding(False, str(error).strip().replace("\n", " "), meaning, next_step)
