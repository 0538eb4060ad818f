"""Five kills in the midst of a load, and the proof that the proof can fail."""

import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from devtools.crash_test import KINDS, torture
from devtools.crash_test.load import Order, Payment, Told
from devtools.crash_test.verify import verify
from tests.conftest import Clone
from tests.support import test_cluster
from tests.support.context import Connection, approve, items, make_context, pay, submit


def test_what_a_client_was_told_of_survives_five_kills() -> None:
    with test_cluster.scratch_folder() as folder:
        result = torture(folder, kills=5, seed=20260731, seconds=180)
    assert result.findings.wrong == []
    assert sum(result.kills.values()) == 5
    assert set(result.kills) == set(KINDS)
    assert result.findings.orders_told > 5
    assert result.findings.messages > result.findings.orders_told
    assert sum(result.retries.values()) > 0, "nobody noticed a crash: they hit no load"


@pytest.fixture
def conn(clone: Clone) -> Iterator[Connection]:
    with psycopg.connect(clone(), autocommit=True) as connection:
        yield connection


def test_the_verification_sees_what_is_lost_doubled_or_made_up(conn: Connection, tmp_path: Path) -> None:
    context = make_context(conn)
    buyer = context.partners[0]
    order = submit(conn, buyer, items(SKU_000=3))
    invoice = approve(conn, context, order)
    pay(conn, context, invoice, 100_000, reference="A-1")
    key = conn.execute("select idempotency_key from app.orders").fetchall()[0][0]
    ids = [row[0] for row in conn.execute("select id::text from app.messages order by position")]
    conn.execute("update app.messages set status = 'SENT'")
    delivered = tmp_path / "delivered.jsonl"
    delivered.write_text("".join(f'{{"id": "{message}"}}\n' for message in [*ids, ids[0]]))

    honest = Told(
        asked=[(str(buyer.sub), key)],
        orders=[Order(str(buyer.sub), key, order["id"], order["grand_total"])],
        approved=[order["id"]],
        payments=[Payment(invoice["id"], "A-1", Decimal(100_000))],
    )
    found = verify(conn, honest, delivered)
    assert found.wrong == []
    assert (found.messages, found.delivered_again) == (len(ids), 1)

    lost = str(uuid.uuid4())
    honest.orders.append(Order(str(buyer.sub), "another", lost, Decimal(1)))
    honest.payments.append(Payment(invoice["id"], "A-2", Decimal(1)))
    honest.approved.append(lost)
    honest.asked.clear()
    delivered.write_text("".join(f'{{"id": "{message}"}}\n' for message in [*ids[1:], lost]))
    conn.execute("alter table app.partners disable trigger user")
    conn.execute("update app.partners set point_balance = 7 where id = %s", [buyer.sub])
    complaints = "\n".join(verify(conn, honest, delivered).wrong)
    for part in (
        f"order {lost} of 1 was told",
        "payment A-2 of 1 was told, booked 0 times",
        f"order {lost} was told APPROVED and is not",
        "was never asked for",
        f"message {ids[0]} (SENT) was never delivered",
        f"message {lost} is owed to no one",
        "invariant point_balance",
    ):
        assert part in complaints
