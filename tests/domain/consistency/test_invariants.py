"""Each invariant is empty after a normal life, and goes red when its fact is broken."""

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
    invoice_of,
    items,
    make_context,
    pay,
    shadow,
    submit,
    value,
)


@dataclass
class Life:
    """A context in which a bit of everything has happened."""

    context: Context
    open: dict[str, Any]
    approved: dict[str, Any]
    paid: dict[str, Any]
    assisted: dict[str, Any]
    cancelled: dict[str, Any]
    redemption: dict[str, Any]

    def ids(self) -> dict[str, Any]:
        """What violations.sql calls by name."""
        happened = ("open", "approved", "paid", "assisted", "cancelled", "redemption")
        return {name: getattr(self, name)["id"] for name in happened} | {
            "silver": self.context.partners[0].sub,
            "gold": self.context.partners[1].sub,
            "product": self.context.products["SKU-000"],
        }


def live(conn: Connection) -> Life:
    context = make_context(conn)
    silver, gold, platinum = context.partners
    call(conn, context.admin, "adjust_points", partner_id=gold.sub, points=600, reason="start")
    opened = submit(conn, silver, items(SKU_000=10, SKU_001=4))
    approved = submit(conn, gold, items(SKU_001=8), points=100)
    first = approve(conn, context, approved)
    pay(conn, context, first, 100_000)
    paid = submit(conn, gold, items(SKU_002=20))
    invoice = approve(conn, context, paid)
    pay(conn, context, invoice, 1_000_000)
    pay(conn, context, invoice, invoice["amount"] - 1_000_000)
    value(conn, "select jobs.process_point_queue()")
    call(conn, context.admin, "ship_order", order_id=paid["id"])
    call(conn, context.erp, "erp_ack_order", order_id=paid["id"], erp_reference="S001")
    acting = shadow(conn, context.agents[0], platinum)
    assisted = submit(conn, acting, items(SKU_003=6))
    cancelled = submit(conn, gold, items(SKU_000=7), points=50)
    call(conn, gold, "cancel_order", order_id=cancelled["id"], reason="salah")
    refunded = submit(conn, platinum, items(SKU_004=9))
    taken_back = approve(conn, context, refunded)
    pay(conn, context, taken_back)
    value(conn, "select jobs.process_point_queue()")
    call(conn, context.admin, "cancel_invoice", invoice_id=taken_back["id"], reason="retur")
    redemption = call(conn, gold, "redeem_reward", reward_id=context.rewards[0], idempotency_key="r1")
    other = call(conn, gold, "redeem_reward", reward_id=context.rewards[0], idempotency_key="r2")
    call(conn, context.admin, "advance_redemption", redemption_id=other["id"], status="CANCELLED")
    call(conn, context.admin, "set_config", config_key="loyalty.rupiah_per_point", config_value=20000)
    return Life(context, opened, approved, paid, assisted, cancelled, redemption)


@pytest.fixture(scope="module")
def lived(shared_database: str) -> Iterator[tuple[Connection, Life]]:
    """One life for all tests of this file; rolled back at the end."""
    with psycopg.connect(shared_database) as conn, conn.transaction(force_rollback=True):
        yield conn, live(conn)


@pytest.fixture
def db(lived: tuple[Connection, Life]) -> Iterator[Connection]:
    """That life's connection, in a savepoint of the test's own."""
    with lived[0].transaction(force_rollback=True):
        yield lived[0]


@pytest.fixture
def life(lived: tuple[Connection, Life]) -> Life:
    return lived[1]


def test_a_normal_life_breaks_nothing(db: Connection, life: Life) -> None:
    assert broken_invariants(db) == {}
    value(db, "select jobs.flush_audit()")
    assert value(db, "select count(*) from app.audit_buffer") == 0
    assert broken_invariants(db) == {}, "after the trail was flushed"
    assert value(db, "select count(*) from app.audit_logs") > 100


def _breaks() -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "violations.sql").read_text().split("\n\n", 1)[1]
    return [(part.split("\n", 1)[0][3:], part.split("\n", 1)[1]) for part in text.strip().split("\n\n")]


BREAKS = _breaks()


@pytest.mark.parametrize(
    ("invariant", "statement"), BREAKS, ids=[f"{b[0]}-{i}" for i, b in enumerate(BREAKS)]
)
def test_the_invariant_notices(db: Connection, life: Life, invariant: str, statement: str) -> None:
    db.execute("set local session_replication_role = replica")
    assert db.execute(statement, life.ids()).rowcount > 0
    assert invariant in broken_invariants(db), statement


def test_every_invariant_is_broken_here(db: Connection) -> None:
    named = {row[0] for row in db.execute("select invariant from app.invariants()")}
    assert named == {b[0] for b in BREAKS} | {"sessions"}


def test_a_trail_that_lost_rows_after_the_flush_is_noticed(db: Connection, life: Life) -> None:
    value(db, "select jobs.flush_audit()")
    db.execute("set local session_replication_role = replica")
    db.execute("delete from app.audit_logs where target_id = %s and action = 'UPDATE'", [life.approved["id"]])
    assert "audit_trail" in broken_invariants(db)


def test_an_escalation_logged_twice_or_untold_is_noticed(db: Connection, life: Life) -> None:
    db.execute(
        "update app.orders set routed_at = routed_at - interval '25 hours' where id = %s", [life.open["id"]]
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


def test_a_session_with_two_live_refresh_tokens_is_noticed(db: Connection, life: Life) -> None:
    session = value(
        db,
        "insert into auth.sessions (subject_id, role, expires_at)"
        " values (%s, 'partner', now() + interval '1 day') returning id",
        life.context.partners[0].sub,
    )
    db.execute("insert into auth.refresh_tokens (token_hash, session_id) values ('a', %s)", [session])
    assert broken_invariants(db) == {}
    db.execute("insert into auth.refresh_tokens (token_hash, session_id) values ('b', %s)", [session])
    assert "sessions" in broken_invariants(db)


def test_headquarters_reads_the_invariants_and_nobody_else(db: Connection, life: Life) -> None:
    db.execute("set local session_replication_role = replica")
    db.execute(
        "update app.partners set credit_used = credit_used + 1 where id = %s", [life.context.partners[0].sub]
    )
    db.execute("set local session_replication_role = origin")
    query = "select invariant, subject_id::text from api.consistency order by invariant"
    with caller(db, "admin", life.context.admin.sub):
        rows = db.execute(query).fetchall()
        assert ("credit_used", life.context.partners[0].sub) in rows
        plan = db.execute(
            "explain (analyze, costs off) select from api.consistency where invariant = 'configs'"
        ).fetchall()
    assert any("rows=1 loops=1" in line for (line,) in plan), "a filter runs only the invariant it names"
    for role, who in (("partner", life.context.partners[0].sub), ("agent", life.context.agents[0].sub)):
        with caller(db, role, who), pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(query)
    assert invoice_of(db, life.paid)["status"] == "PAID"
