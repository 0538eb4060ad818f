"""The job that moves the audit buffer commits each batch, and ends."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Connection, items, make_context, submit, value
from tests.support.queries import run_job

BUFFERED = "select count(*) from app.audit_buffer"


@pytest.fixture
def conn(clone: Clone) -> Iterator[Connection]:
    """A connection to a database in which the job commits, with seven changes in the buffer."""
    with psycopg.connect(clone(), autocommit=True) as connection:
        context = make_context(connection)
        run_job(connection, "audit-flush")
        for i in range(7):
            connection.execute(
                "update app.partners set chair_count = %s where id = %s", [i, context.partners[0].sub]
            )
        assert value(connection, BUFFERED) == 7
        yield connection


def test_flush_moves_batch_after_batch_until_the_buffer_is_empty(conn: Connection) -> None:
    conn.execute("call jobs.flush_audit(2)")
    assert value(conn, BUFFERED) == 0
    assert value(conn, "select last_rows from jobs.runs where job = 'audit-flush'") == 7
    written = "select count(distinct xmin::text) from app.audit_logs where action = 'UPDATE'"
    assert value(conn, written) == 4, "each batch is a transaction"


def test_flush_ends_after_its_time_and_the_next_run_continues(conn: Connection) -> None:
    conn.execute("call jobs.flush_audit(2, 0)")
    assert value(conn, BUFFERED) == 5
    run_job(conn, "audit-flush")
    assert value(conn, BUFFERED) == 0


def processor_seconds(conn: Connection) -> float:
    """Processor time that the server process of this connection has used."""
    return int(Path(f"/proc/{conn.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9


def test_flush_needs_less_than_two_milliseconds_for_an_order(clone: Clone) -> None:
    """At 500 orders a second, one processor is enough; measured: a quarter of a millisecond."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        order = dict.fromkeys(("SKU_000", "SKU_001", "SKU_002", "SKU_003", "SKU_004"), 1)
        context = make_context(conn)
        run_job(conn, "audit-flush")
        submit(conn, context.partners[0], items(**order))
        columns = "target_type, action, order_rows, line_rows, claims, actor_role, forwarded_for"
        conn.execute(
            f"insert into app.audit_buffer ({columns}) select {columns} from app.audit_buffer,"
            " generate_series(1, 999)".encode()
        )
        before = processor_seconds(conn)
        run_job(conn, "audit-flush")
        used = processor_seconds(conn) - before
        assert value(conn, "select count(*) from app.audit_logs where target_type = 'orders'") == 1000
    assert used / 1000 < 0.002
