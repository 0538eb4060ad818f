"""Operations of many callers at the same time, on real connections with real commits."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.context import Caller, Connection, RefusedError, broken_invariants, call

Operation = Callable[[Connection], Any]
"""What one caller does on a connection of their own."""

_TIMEOUT_SECONDS = 20


def api_call(who: Caller, function: str, **arguments: Any) -> Operation:
    """The operation that calls `api.<function>` as `who`."""
    return lambda conn: call(conn, who, function, **arguments)


def connect(url: str) -> Connection:
    """A connection that commits each statement; waits while the shared cluster has no free connection."""
    until = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            return psycopg.connect(url, autocommit=True, application_name="concurrency test")
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


class ConcurrentRun:
    """Outcomes of operations that ran concurrently, in the order in which they were given."""

    def __init__(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes

    @property
    def succeeded(self) -> list[Any]:
        """Results of the operations that were not refused."""
        return [o for o in self.outcomes if not isinstance(o, RefusedError)]

    @property
    def refusals(self) -> Counter[str]:
        """How many operations were refused with each code."""
        return Counter(o.code for o in self.outcomes if isinstance(o, RefusedError))


def run_concurrently(url: str, operations: Sequence[Operation]) -> ConcurrentRun:
    """Run each operation on its own connection; all start at the same moment.

    A refusal is an outcome. Any other exception (a deadlock, a violated constraint) fails the test.
    """
    connections = [connect(url) for _ in operations]
    outcomes: list[Any] = [None] * len(operations)
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(operations))

    def run(i: int) -> None:
        try:
            barrier.wait(_TIMEOUT_SECONDS)
            outcomes[i] = operations[i](connections[i])
        except RefusedError as refusal:
            outcomes[i] = refusal
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(operations))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "an operation still waits after a minute"
    finally:
        for connection in connections:
            connection.close()
    if failures:
        raise failures[0]
    return ConcurrentRun(outcomes)


@contextmanager
def running_repeatedly(url: str, operation: Operation) -> Iterator[list[Any]]:
    """Repeat an operation on its own connection until the block ends; yields the results so far."""
    results: list[Any] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        try:
            with connect(url) as conn:
                while not stop.is_set():
                    results.append(operation(conn))
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield results
    finally:
        stop.set()
        thread.join(30)
    if failures:
        raise failures[0]


def assert_invariants(conn: Connection) -> None:
    """Every invariant holds, before and after the audit buffer is flushed."""
    assert broken_invariants(conn) == {}
    conn.execute("select app.flush_audit_buffer(1000000)")
    assert broken_invariants(conn) == {}
