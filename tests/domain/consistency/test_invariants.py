"""Each invariant finds nothing in normal operation, and finds a violation of its rule."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    grant_points,
    invoice_of,
    items,
    line,
    make_context,
    pay,
    set_config,
    shadow,
    submit,
    value,
)
from tests.support.queries import vest_points


@dataclass
class History:
    """A context in which every kind of transaction has happened."""

    context: Context
    open: dict[str, Any]
    approved: dict[str, Any]
    paid: dict[str, Any]
    assisted: dict[str, Any]
    cancelled: dict[str, Any]
    redemption: dict[str, Any]
    returned: dict[str, Any]

    def ids(self) -> dict[str, Any]:
        """The parameters of violations.sql."""
        transactions = ("open", "approved", "paid", "assisted", "cancelled", "redemption", "returned")
        return {name: getattr(self, name)["id"] for name in transactions} | {
            "silver": self.context.partners[0].sub,
            "gold": self.context.partners[1].sub,
            "product": self.context.products["SKU-000"],
        }


def make_history(conn: Connection) -> History:
    context = make_context(conn, erp="csv")
    silver, gold, platinum = context.partners
    grant_points(conn, context, gold, 600)
    opened = submit(conn, silver, items(SKU_000=10, SKU_001=4))
    approved = submit(conn, gold, items(SKU_001=8), points=100)
    first = approve(conn, context, approved)
    pay(conn, context, first, 100_000)
    paid = submit(conn, gold, items(SKU_002=20))
    invoice = approve(conn, context, paid)
    pay(conn, context, invoice, 1_000_000)
    pay(conn, context, invoice, invoice["amount"] - 1_000_000)
    vest_points(conn)
    call(conn, context.admin, "ship_order", order_id=paid["id"])
    call(conn, context.erp, "erp_ack_order", order_id=paid["id"], erp_reference="S001")
    acting = shadow(conn, context.agents[0], platinum)
    assisted = submit(conn, acting, items(SKU_003=6))
    cancelled = submit(conn, gold, items(SKU_000=7), points=50)
    call(conn, gold, "cancel_order", order_id=cancelled["id"], reason="salah")
    refunded = submit(conn, platinum, items(SKU_004=9))
    cancelled_invoice = approve(conn, context, refunded)
    pay(conn, context, cancelled_invoice)
    vest_points(conn)
    call(conn, context.admin, "cancel_invoice", invoice_id=cancelled_invoice["id"], reason="retur")
    redemption = call(conn, gold, "redeem_reward", reward_id=context.rewards[0], idempotency_key="r1")
    other = call(conn, gold, "redeem_reward", reward_id=context.rewards[0], idempotency_key="r2")
    call(conn, context.admin, "advance_redemption", redemption_id=other["id"], status="CANCELLED")
    set_config(conn, context, "loyalty.rupiah_per_point", 20000)
    returned = make_corrections(conn, context)
    return History(context, opened, approved, paid, assisted, cancelled, redemption, returned)


def make_corrections(conn: Connection, context: Context) -> dict[str, Any]:
    """An order that is billed in parts, paid wrongly, written off and returned in part; returns it."""
    order = submit(conn, context.partners[1], items(SKU_000=6, SKU_001=2), points=30)
    wrong = approve(conn, context, order)
    call(conn, context.admin, "cancel_invoice", invoice_id=wrong["id"], reason="salah")
    for part in (400_000, wrong["amount"] - 400_000):
        issued = {"order_id": order["id"], "amount": part, "reason": "dua kali"}
        call(conn, context.admin, "issue_invoice", **issued, idempotency_key=f"{order['id']} {part}")
    last = invoice_of(conn, order)
    mistyped = pay(conn, context, last, 1000)
    call(conn, context.admin, "reverse_payment", payment_id=mistyped["payment_id"], reason="salah ketik")
    pay(conn, context, last, last["amount"] - 2500)
    call(conn, context.admin, "write_off", invoice_id=last["id"], reason="biaya bank")
    call(conn, context.admin, "ship_order", order_id=order["id"])
    for sku, units in (("SKU-000", 4), ("SKU-001", 2)):
        returned = {"order_id": order["id"], "items": [line(sku, units)], "reason": "rusak"}
        call(conn, context.admin, "return_items", **returned, idempotency_key=sku)
        vest_points(conn)
    return order


@pytest.fixture(scope="module")
def shared_history(shared_database: str) -> Iterator[tuple[Connection, History]]:
    """One history for all tests of this module; rolled back at the end."""
    with psycopg.connect(shared_database) as conn, conn.transaction(force_rollback=True):
        yield conn, make_history(conn)


@pytest.fixture
def db(shared_history: tuple[Connection, History]) -> Iterator[Connection]:
    """The connection of the shared history, in a savepoint of this test."""
    with shared_history[0].transaction(force_rollback=True):
        yield shared_history[0]


@pytest.fixture
def history(shared_history: tuple[Connection, History]) -> History:
    return shared_history[1]


def test_normal_operation_violates_no_invariant(db: Connection, history: History) -> None:
    assert broken_invariants(db) == {}
    value(db, "select app.flush_audit_buffer()")
    assert value(db, "select count(*) from app.audit_buffer") == 0
    assert broken_invariants(db) == {}, "after the audit buffer was flushed"
    assert value(db, "select count(*) from app.audit_logs") > 80


def _violations() -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "violations.sql").read_text().split("\n\n", 1)[1]
    return [(part.split("\n", 1)[0][3:], part.split("\n", 1)[1]) for part in text.strip().split("\n\n")]


VIOLATIONS = _violations()


@pytest.mark.parametrize(
    ("invariant", "statement"), VIOLATIONS, ids=[f"{b[0]}-{i}" for i, b in enumerate(VIOLATIONS)]
)
def test_violation_is_found_by_its_invariant(
    db: Connection, history: History, invariant: str, statement: str
) -> None:
    db.execute("set local session_replication_role = replica")
    assert db.execute(statement, history.ids()).rowcount > 0
    assert invariant in broken_invariants(db), statement


def test_every_invariant_has_a_violation(db: Connection) -> None:
    named = {row[0] for row in db.execute("select invariant from app.invariants()")}
    assert named == {b[0] for b in VIOLATIONS} | {"sessions"}


def test_audit_rows_lost_after_the_flush_are_found(db: Connection, history: History) -> None:
    value(db, "select app.flush_audit_buffer()")
    db.execute("set local session_replication_role = replica")
    db.execute(
        "delete from app.audit_logs where target_id = %s and action = 'UPDATE'", [history.approved["id"]]
    )
    assert "audit_trail" in broken_invariants(db)


def test_escalation_logged_twice_or_without_message_is_found(db: Connection, history: History) -> None:
    db.execute(
        "update app.orders set routed_at = routed_at - interval '25 hours' where id = %s",
        [history.open["id"]],
    )
    assert value(db, "select jobs.sweep_service_level()") == 1
    assert broken_invariants(db) == {}
    db.execute("set local session_replication_role = replica")
    db.execute("delete from app.messages where template = 'sla_manager'")
    assert [d.split()[0] for d in broken_invariants(db)["escalations"]] == ["MANAGER", "MANAGER"]
    db.execute("alter table app.sla_escalation_logs drop constraint sla_escalation_logs_once_key")
    db.execute(
        "insert into app.sla_escalation_logs"
        " (order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at)"
        " select order_id, escalation_level, notified_to, notified_type, clock_started_at, due_at"
        " from app.sla_escalation_logs where escalation_level = 'REMINDER'"
    )
    assert any("logged 2 times for one clock" in d for d in broken_invariants(db)["escalations"])


def test_session_with_two_live_refresh_tokens_is_found(db: Connection, history: History) -> None:
    session = value(
        db,
        "insert into auth.sessions (subject_id, role, expires_at)"
        " values (%s, 'partner', now() + interval '1 day') returning id",
        history.context.partners[0].sub,
    )
    db.execute("insert into auth.refresh_tokens (token_hash, session_id) values ('a', %s)", [session])
    assert broken_invariants(db) == {}
    db.execute("insert into auth.refresh_tokens (token_hash, session_id) values ('b', %s)", [session])
    assert "sessions" in broken_invariants(db)


def test_only_headquarters_reads_the_consistency_view(db: Connection, history: History) -> None:
    db.execute("set local session_replication_role = replica")
    db.execute(
        "update app.partners set credit_used = credit_used + 1 where id = %s",
        [history.context.partners[0].sub],
    )
    db.execute("set local session_replication_role = origin")
    query = "select invariant, subject_id::text from api.consistency order by invariant"
    with caller(db, "admin", history.context.admin.sub):
        rows = db.execute(query).fetchall()
        assert ("credit_used", history.context.partners[0].sub) in rows
        plan = db.execute(
            "explain (analyze, costs off) select from api.consistency where invariant = 'configs'"
        ).fetchall()
    runs = [line for (line,) in plan if re.search(r"rows=1(\.00)? loops=1", line)]  # PostgreSQL 18: 1.00
    assert runs, "a filter runs only the invariant that it names"
    for role, who in (("partner", history.context.partners[0].sub), ("agent", history.context.agents[0].sub)):
        with caller(db, role, who), pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(query)
    assert invoice_of(db, history.paid)["status"] == "PAID"
