"""An invoice that cannot be processed waits; the points of the others vest."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.client import caller
from tests.support.context import Connection, Context, approve, items, make_context, pay, submit, value
from tests.support.queries import balance, run_job


@pytest.fixture
def conn(clone: Clone) -> Iterator[Connection]:
    """A connection to a database in which the job commits."""
    with psycopg.connect(clone(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def context(conn: Connection) -> Context:
    return make_context(conn, partners=6)


@pytest.fixture
def paid(conn: Connection, context: Context) -> list[dict[str, Any]]:
    """A paid invoice of each partner."""
    invoices = []
    for who in context.partners:
        invoice = approve(conn, context, submit(conn, who, items(SKU_000=10)))
        pay(conn, context, invoice)
        invoices.append(invoice)
    return invoices


def break_rule_for(conn: Connection, invoice: dict[str, Any]) -> None:
    """Let the points of this invoice fail."""
    conn.execute(
        "create function app.tg_broken() returns trigger language plpgsql as"
        " $$ begin raise exception 'broken rule'; end $$"
    )
    conn.execute(
        "create trigger _000_broken before insert on app.point_transactions for each row"
        f" when (new.invoice_id = '{invoice['id']}') execute function app.tg_broken()".encode()
    )


QUEUE = (
    "select invoice_id::text, attempts, last_error, next_attempt_at > now() + interval '50 seconds'"
    " from app.point_queue"
)


@pytest.mark.parametrize("batch", [100, 2, 1])
def test_failing_invoice_does_not_hold_up_the_others(
    conn: Connection, context: Context, paid: list[dict[str, Any]], batch: int
) -> None:
    break_rule_for(conn, paid[2])
    conn.execute("call jobs.process_point_queue(%s)", [batch])
    vested = [balance(conn, who) > 0 for who in context.partners]
    assert vested == [True, True, False, True, True, True]
    attempts = 1 if batch == 1 else 2
    assert conn.execute(QUEUE).fetchall() == [(paid[2]["id"], attempts, "broken rule", True)]


def test_failed_invoice_waits_and_vests_once_it_can(
    conn: Connection, context: Context, paid: list[dict[str, Any]]
) -> None:
    break_rule_for(conn, paid[2])
    run_job(conn, "point-queue")
    run_job(conn, "point-queue")
    assert value(conn, "select attempts from app.point_queue") == 2, "it is not due yet"
    health = "select last_rows, backlog, failing, last_error from api.job_health where job = 'point-queue'"
    with conn.transaction(), caller(conn, "admin", context.admin.sub):
        assert conn.execute(health).fetchone() == (0, 1, 1, "broken rule")
    conn.execute("drop trigger _000_broken on app.point_transactions")
    conn.execute("update app.point_queue set next_attempt_at = now()")
    run_job(conn, "point-queue")
    assert balance(conn, context.partners[2]) > 0
    with conn.transaction(), caller(conn, "admin", context.admin.sub):
        assert conn.execute(health).fetchone() == (1, 0, 0, None)


def test_attempts_are_made_after_doubling_intervals_of_at_most_an_hour(
    conn: Connection, paid: list[dict[str, Any]]
) -> None:
    minutes = []
    for _ in range(9):
        conn.execute("select app.postpone_vesting(array[%s::uuid], 'x')", [paid[0]["id"]])
        interval = "select round(extract(epoch from next_attempt_at - failed_at) / 60)::int"
        minutes.append(value(conn, f"{interval} from app.point_queue where failed_at is not null"))
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_run_ends_after_its_time_and_the_next_one_continues(
    conn: Connection, paid: list[dict[str, Any]]
) -> None:
    conn.execute("call jobs.process_point_queue(2, 0)")
    assert value(conn, "select count(*) from app.point_queue") == len(paid)
    run_job(conn, "point-queue")
    assert value(conn, "select count(*) from app.point_queue") == 0
