"""Locks of a migration under load: short waits and bounded retries.

A statement that waits for an exclusive lock makes every later reader of the table wait behind it. So a
migration waits for a moment only, gives up, lets the others pass, and tries again. While it holds a lock, the
next waits become shorter, so that no caller waits long enough (`deadlock_timeout`, one second) for PostgreSQL
to look for a deadlock and cancel the caller.
"""

import time
from typing import Any

import psycopg
from psycopg import errors
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from hub.migrate.errors import MigrationError

BUSY = (errors.LockNotAvailable, errors.DeadlockDetected)
"""What a statement fails with when its lock is held by others."""

WAIT_MS = 300
"""The longest wait for a lock, in milliseconds."""

RETRY_SECONDS = 120
"""How long a migration tries to get its locks."""

_LEAST_MS = 20


def attempts() -> Retrying:
    """Attempts of a transaction whose locks may be held by others; the last one raises what it met."""
    return Retrying(
        retry=retry_if_exception_type(BUSY),
        stop=stop_after_delay(RETRY_SECONDS),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        reraise=True,
    )


def busy(error: BaseException, what: str) -> MigrationError:
    """The error of a migration that did not get its locks; `what` names the step."""
    return MigrationError(
        f"{what}: a table stayed locked for {RETRY_SECONDS} seconds: {str(error).strip()}",
        hint="look for long transactions in pg_stat_activity, then run hub migrate again",
    )


class Budget:
    """Sets `lock_timeout` in a transaction before each statement that may wait for a lock.

    From the first such statement on, all waits of the transaction together take `WAIT_MS` at most, and some
    milliseconds for each further statement.
    """

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        """`conn` is in a transaction."""
        self._conn = conn
        self._began: float | None = None

    def limit(self) -> None:
        """Call before the statement."""
        now = time.monotonic()
        self._began = self._began or now
        left = round(WAIT_MS - (now - self._began) * 1000)
        self._conn.execute(f"set local lock_timeout = {max(left, _LEAST_MS)}")
