"""Databases with a history of many orders, one for each size, in the cluster of a benchmark."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from devtools.bench.environment import Environment
from devtools.bench.pgbench import SQL

SETTINGS = {
    # Databases that are thrown away: neither a crash nor a replica needs their log.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "full_page_writes": "off",
    "max_wal_size": "2GB",
    # No plan is measured while its code is being compiled.
    "jit": "off",
}
"""Settings of a temporary cluster that builds large histories fast."""

_BATCH = 100_000
_WRITERS = (("add_orders",), ("add_events",), ("add_invoices", "add_notices"))
"""Functions of sql/history.sql, by the connection that calls them."""

_VACUUMED = (
    ("app.orders", "app.invoices", "app.invoice_payments", ""),
    ("app.order_events", "app.order_items"),
)
"""Tables by the connection that vacuums them; an empty name is the whole database."""

Tick = Callable[[str], None]


@dataclass(frozen=True)
class History:
    """A database with so many orders; `environment` has it as its `hub`."""

    orders: int
    environment: Environment
    seconds: float
    """How long it took to build."""

    def connect(self) -> psycopg.Connection[Any]:
        """Connect as superuser."""
        return self.environment.admin(self.environment.hub)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self.connect() as conn:
            return int(conn.execute("select pg_database_size(current_database())").fetchall()[0][0])


@contextmanager
def built(environment: Environment, sizes: Sequence[int], tick: Tick) -> Iterator[list[History]]:
    """Build a database for each number of orders, ascending; all are dropped at the end."""
    with environment.admin(environment.hub) as conn:
        conn.execute((SQL / "history.sql").read_bytes())
        conn.execute("select jobs.make_partitions()")
        conn.execute("call jobs.flush_audit()")
        conn.execute("vacuum analyze")
    with environment.copies([str(size) for size in sizes]) as copies:
        yield [_build(copy, size, tick) for copy, size in zip(copies, sizes, strict=True)]


def _build(environment: Environment, orders: int, tick: Tick) -> History:
    started = time.monotonic()
    with environment.admin(environment.hub) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute("insert into bench.history values (%s, now() - interval '1 day')", [orders])
        conn.execute("select bench.drop_indexes()")
    _share([partial(_write, environment, functions, orders, tick) for functions in _WRITERS])
    tick(f"{orders:,} orders: building indexes")
    _share([partial(_restore_indexes, environment, orders, tick)] * 2)
    tick(f"{orders:,} orders: balances and statistics")
    with environment.admin(environment.hub) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute("set work_mem = '256MB'")
        conn.execute("analyze")
        conn.execute("select bench.finish()")
        conn.execute("set session_replication_role = origin")
        conn.execute("select app.recount_statistics()")
    tick(f"{orders:,} orders: vacuum")
    _share([partial(_vacuum, environment, tables) for tables in _VACUUMED])
    return History(orders, environment, time.monotonic() - started)


def _share(work: Sequence[Callable[[], None]]) -> None:
    """Do it in as many threads; raises the first error."""
    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(part) for part in work]:
            done.result()


def _write(environment: Environment, functions: Sequence[str], orders: int, tick: Tick) -> None:
    with environment.admin(environment.hub) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute("set synchronous_commit = off")
        for first in range(1, orders + 1, _BATCH):
            last = min(first + _BATCH - 1, orders)
            conn.execute(
                "select set_config('bench.first', %s, false), set_config('bench.last', %s, false)",
                [str(first), str(last)],
            )
            for function in functions:
                conn.execute(sql.SQL("select {}()").format(sql.Identifier("bench", function)))
            tick(f"{orders:,} orders: {functions[0]} up to {last:,}")


def _restore_indexes(environment: Environment, orders: int, tick: Tick) -> None:
    with environment.admin(environment.hub) as conn:
        conn.execute("set maintenance_work_mem = '768MB'")
        while conn.execute("select bench.restore_index()").fetchall()[0][0]:
            tick(f"{orders:,} orders: index built")


def _vacuum(environment: Environment, tables: Sequence[str]) -> None:
    with environment.admin(environment.hub) as conn:
        for table in tables:
            conn.execute(f"vacuum (analyze, skip_locked) {table}".encode())
