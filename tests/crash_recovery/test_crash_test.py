"""The crash test with a kill of each process under load, and its verification against planted losses."""

import signal
import uuid
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import psycopg
import pytest

import devtools.crash_test as tool
from devtools.crash_test import KINDS, Report, crash_test, lines
from devtools.crash_test.load import Accounts, Acknowledged, Load, Order, Payment, Target
from devtools.crash_test.verify import Findings, verify
from hub.errors import UserError
from tests.conftest import Clone
from tests.support import test_cluster
from tests.support.context import Connection, approve, items, make_context, pay, submit


@pytest.mark.parametrize("kills", [4, pytest.param(len(KINDS), marks=pytest.mark.long_form)])
def test_acknowledged_writes_survive_kills_of_every_process(kills: int) -> None:
    with test_cluster.scratch_folder(on_disk=True) as folder:
        result = crash_test(folder, kills=kills, seed=20260731, seconds=180)
    assert result.findings.violations == []
    assert result.kills == dict.fromkeys(KINDS[:kills], 1)
    assert result.findings.orders_acknowledged > 5
    assert result.findings.messages > result.findings.orders_acknowledged
    assert result.findings.exported == result.findings.approved > 0
    assert set(result.reads) == {
        *("/catalogue", "/configs", "/stock"),
        *("/config.json", "/api/me?select=id"),
        "/orders",
    }
    assert sum(result.retries.values()) > 0, "no client noticed a crash: the kills hit no load"


def test_report_has_kills_and_returns_of_each_program_and_fails_on_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = Findings(lost=1, doubled=2, delivered_again=4, counted=3, violations=["order 1 is gone"])
    returns = {"redis": [0.1, 0.3, 0.2], "erp": [2.5, 1.0]}
    reports = [Report(1, 200, returns, load=3.5, findings=findings), Report(1, 1, {"redis": [0.1]})]
    text = "\n".join(lines(reports[0]))
    for part in (
        "killed 5 of 200 times",
        "redis        3 kills, back after 0.20 s, 0.30 s at most",
        "erp          2 kills, back after 1.75 s, 2.50 s at most",
        "later than 2 s: 1 of 5 returns, at a load of 3.5",
        "4 repeated, 3 repetitions counted by the outbox",
        "lost: 1; doubled beyond those counted: 2",
        "VIOLATION: order 1 is gone",
    ):
        assert part in text

    monkeypatch.setattr(tool, "crash_test", lambda *_, **__: reports.pop(0))
    monkeypatch.setattr(tool, "make_folder", lambda _: tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(UserError, match="1 violations found"):
        tool.run(kills=200, seed=1, seconds=1, people=1, pause=0.1, json_file=None)
    assert tmp_path.exists()
    tool.run(kills=1, seed=1, seconds=1, people=1, pause=0.1, json_file=tmp_path / "figures.json")
    assert "lost: 0; doubled beyond those counted: 0" in capsys.readouterr().out


def test_answer_without_a_code_is_of_unknown_outcome_and_repeated() -> None:
    """PostgREST gave seven of them in one failover drill, for connections that ended in the middle."""
    answers = [
        httpx.Response(400, json={"code": "", "message": "", "details": None, "hint": None}),
        httpx.Response(409, json={"code": "ILLEGAL_TRANSITION"}),
        httpx.Response(400, json={"code": "INVALID_ARGUMENT"}),
    ]
    acknowledged = Acknowledged()
    target = cast(Target, SimpleNamespace(jwt_secret=test_cluster.JWT_SECRET))
    load = Load(target, Accounts("", "", []), acknowledged, seed=1)
    with httpx.Client(
        base_url="http://gateway", transport=httpx.MockTransport(lambda _: answers.pop(0))
    ) as client:
        approve = partial(load._post, client, "approve_order", {}, "admin", str(uuid.uuid4()), lost={409})
        assert (approve(), acknowledged.surprises, acknowledged.retries["gateway"]) == ({}, [], 1)
        assert approve() is None
    assert len(acknowledged.surprises) == 1


@pytest.fixture
def conn(clone: Clone) -> Iterator[Connection]:
    with psycopg.connect(clone(), autocommit=True) as connection:
        yield connection


def test_verification_finds_writes_that_are_lost_doubled_or_invented(
    conn: Connection, tmp_path: Path
) -> None:
    context = make_context(conn, erp="csv")
    buyer = context.partners[0]
    order = submit(conn, buyer, items(SKU_000=3))
    invoice = approve(conn, context, order)
    pay(conn, context, invoice, 100_000, reference="A-1")
    key = conn.execute("select idempotency_key from app.orders").fetchall()[0][0]
    ids = [row[0] for row in conn.execute("select id::text from app.messages order by position")]
    conn.execute("update app.messages set status = 'SENT', repeats = (id = %s)::int", [ids[0]])
    delivered = tmp_path / "delivered.jsonl"
    delivered.write_text("".join(f'{{"id": "{message}"}}\n' for message in [*ids, ids[0]]))

    acknowledged = Acknowledged(
        requested=[(str(buyer.sub), key)],
        orders=[Order(str(buyer.sub), key, order["id"], order["grand_total"])],
        approved=[order["id"]],
        payments=[Payment(invoice["id"], "A-1", Decimal(100_000))],
        exported=[order["order_number"]],
    )
    found = verify(conn, acknowledged, delivered)
    assert found.violations == []
    assert (found.messages, found.delivered_again, found.counted) == (len(ids), 1, 1)
    assert (found.lost, found.doubled) == (0, 0)

    # A messenger that died after it had sent: the notice is withdrawn when its turn ends.
    withdraw = "update app.messages set status = %s, error_code = %s where id = %s"
    conn.execute(withdraw, ["WITHDRAWN", "answered", ids[0]])
    found = verify(conn, acknowledged, delivered)
    assert (found.violations, found.messages) == ([], len(ids) - 1)
    conn.execute(withdraw, ["SENT", None, ids[0]])

    lost = str(uuid.uuid4())
    acknowledged.orders.append(Order(str(buyer.sub), "another", lost, Decimal(1)))
    acknowledged.payments.append(Payment(invoice["id"], "A-2", Decimal(1)))
    acknowledged.approved.append(lost)
    acknowledged.requested.clear()
    acknowledged.exported += [order["order_number"], "SO-0"]
    delivered.write_text("".join(f'{{"id": "{message}"}}\n' for message in [*ids[1:], ids[1], lost]))
    conn.execute("alter table app.partners disable trigger user")
    conn.execute("update app.partners set point_balance = 7 where id = %s", [buyer.sub])
    found = verify(conn, acknowledged, delivered)
    assert (found.lost, found.doubled, found.counted) == (4, 2, 1)
    violations = "\n".join(found.violations)
    for part in (
        f"order {lost} of 1 was acknowledged",
        "payment A-2 of 1 was acknowledged, booked 0 times",
        f"order {lost} was acknowledged as APPROVED and is not",
        "was never requested",
        f"message {ids[0]} (SENT) was never delivered",
        f"message {ids[1]} was delivered 2 times, the outbox counts 0 repetitions",
        f"message {lost} was never enqueued",
        f"order {order['order_number']} reached the ERP 2 times",
        "order SO-0 reached the ERP, and was not approved",
        "invariant point_balance",
    ):
        assert part in violations
