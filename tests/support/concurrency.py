"""Many callers at the same moment: real connections, real commits."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.context import Caller, Connection, RefusedError, broken_invariants, call

Deed = Callable[[Connection], Any]
_PATIENCE = 20


def asking(who: Caller, function: str, **arguments: Any) -> Deed:
    """The deed of calling `api.<function>` as `who`."""
    return lambda conn: call(conn, who, function, **arguments)


def connect(url: str) -> Connection:
    """A connection that commits each statement; waits while the shared cluster is full."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return psycopg.connect(url, autocommit=True, application_name="crowd")
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


class Crowd:
    """What came of everyone's deed, in the order in which they were given."""

    def __init__(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes

    @property
    def done(self) -> list[Any]:
        """Results of those who were not refused."""
        return [o for o in self.outcomes if not isinstance(o, RefusedError)]

    @property
    def refused(self) -> Counter[str]:
        """How many were refused with which code."""
        return Counter(o.code for o in self.outcomes if isinstance(o, RefusedError))


def at_once(url: str, deeds: Sequence[Deed]) -> Crowd:
    """Each deed on a connection of its own, all let go at the same moment.

    A refusal is an outcome; anything else that is raised (a deadlock, a violated constraint) fails the test.
    """
    connections = [connect(url) for _ in deeds]
    outcomes: list[Any] = [None] * len(deeds)
    failures: list[BaseException] = []
    gate = threading.Barrier(len(deeds))

    def act(i: int) -> None:
        try:
            gate.wait(_PATIENCE)
            outcomes[i] = deeds[i](connections[i])
        except RefusedError as refused:
            outcomes[i] = refused
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=act, args=(i,), daemon=True) for i in range(len(deeds))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "somebody still waits after a minute"
    finally:
        for connection in connections:
            connection.close()
    if failures:
        raise failures[0]
    return Crowd(outcomes)


@contextmanager
def meanwhile(url: str, deed: Deed) -> Iterator[list[Any]]:
    """Repeat a deed on a connection of its own until the block ends; yields the results so far."""
    results: list[Any] = []
    failures: list[BaseException] = []
    over = threading.Event()

    def act() -> None:
        try:
            with connect(url) as conn:
                while not over.is_set():
                    results.append(deed(conn))
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    try:
        yield results
    finally:
        over.set()
        thread.join(30)
    if failures:
        raise failures[0]


def assert_sound(conn: Connection) -> None:
    """Every invariant holds, before and after the trail is flushed."""
    assert broken_invariants(conn) == {}
    conn.execute("select jobs.flush_audit()")
    assert broken_invariants(conn) == {}
