"""Orders under load, with the time of each commit, and what a restored database must hold of them."""

import threading
from dataclasses import dataclass
from datetime import datetime

import psycopg

from tests.support.context import Caller, Connection, items, submit


@dataclass(frozen=True)
class Committed:
    """An order, and the server's clock before it was sent and after it was acknowledged."""

    order_id: str
    sent_at: datetime
    acknowledged_at: datetime


class Orders(threading.Thread):
    """Submits orders of one partner until it is stopped."""

    def __init__(self, url: str, buyer: Caller, pause: float = 0.02) -> None:
        super().__init__(daemon=True)
        self.committed: list[Committed] = []
        self.error: Exception | None = None
        self._url, self._buyer, self._pause = url, buyer, pause
        self._over = threading.Event()

    def run(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as conn:
                while not self._over.wait(self._pause):
                    sent_at = now(conn)
                    order = submit(conn, self._buyer, items(SKU_000=1, SKU_001=2))
                    self.committed.append(Committed(order["id"], sent_at, now(conn)))
        except Exception as error:
            self.error = error

    def stop(self) -> list[Committed]:
        """End the load; returns the acknowledged orders."""
        self._over.set()
        self.join(30)
        if self.error:
            raise self.error
        return self.committed


def now(conn: Connection) -> datetime:
    """The server's clock, in UTC."""
    moment: datetime = conn.execute("select clock_timestamp()").fetchall()[0][0]
    return moment


def assert_as_of(conn: Connection, moment: datetime, committed: list[Committed]) -> None:
    """The database holds each order acknowledged before the moment, and none that was sent after it."""
    present = {row[0] for row in conn.execute("select id::text from app.orders").fetchall()}
    lacking = [c for c in committed if c.acknowledged_at < moment and c.order_id not in present]
    too_late = [c for c in committed if c.sent_at > moment and c.order_id in present]
    assert lacking == []
    assert too_late == []
    known = {c.order_id for c in committed}
    assert present <= known, "an order that no one submitted"
    latest = conn.execute("select max(created_at) from app.orders").fetchall()[0][0]
    assert latest is None or latest <= moment
