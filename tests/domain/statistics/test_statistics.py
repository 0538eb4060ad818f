"""Monthly statistics of partners."""

from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    pay,
    submit,
    value,
)
from tests.support.rls_dataset import make_rls_dataset


def partner_statistics(conn: Connection, claims: str) -> list[dict[str, Any]]:
    """The rows of the view as a partner, who cannot read the materialised view itself."""
    with conn.transaction():
        conn.execute(
            "select set_config('request.jwt.claims', %s, true), set_config('role', 'partner', true)", [claims]
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute("select from app.partner_monthly_statistics")
        rows: list[dict[str, Any]] = value(
            conn, "select coalesce(jsonb_agg(to_jsonb(s)), '[]') from api.partner_statistics s"
        )
        conn.execute("select set_config('role', 'none', true)")
    return rows


def test_partner_statistics_show_only_the_callers_rows(clone: Clone) -> None:
    """Row security does not apply to a materialised view, so the view in `api` filters it."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        dataset = make_rls_dataset(conn)
        conn.execute("select jobs.refresh_statistics()")
        partner_count = value(conn, "select count(distinct partner_id) from app.partner_monthly_statistics")
        assert partner_count > 1
        for side in dataset.sides:
            rows = partner_statistics(conn, side.partner.claims)
            assert {row["partner_id"] for row in rows} == {side.partner.sub}


def test_statistics_count_live_orders_by_month_in_jakarta(db: Connection, context: Context) -> None:
    who = context.partners[0]
    for units in (1, 2):
        submit(db, who, items(SKU_000=units))
    cancelled = submit(db, who, items(SKU_000=50))
    call(db, who, "cancel_order", order_id=cancelled["id"])
    db.execute("alter table app.orders disable trigger _100_guard")
    late = "2026-01-31 23:30:00+07"
    db.execute("update app.orders set submitted_at = %s where grand_total = 200000", [late])
    early = "2026-01-31 17:30:00+00"
    db.execute("update app.orders set submitted_at = %s where grand_total = 100000", [early])
    db.execute("select jobs.refresh_statistics()")
    query = "select month::text, order_count, total_spend from api.partner_statistics order by month"
    wanted = [("2026-01-01", 1, 200_000), ("2026-02-01", 1, 100_000)]
    for who_reads, rows in (
        (who, wanted),
        (context.partners[1], []),
        (context.agents[0], wanted),
        (context.admin, wanted),
    ):
        with caller(db, who_reads.role, who_reads.sub):
            assert db.execute(query).fetchall() == rows


def test_returns_are_shown_beside_the_spend_and_nothing_else_changes_it(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    invoice = approve(db, context, submit(db, who, items(SKU_000=10)))
    order = invoice["order_id"]
    query = "select order_count, total_spend::int, total_returned::int from api.partner_statistics"

    def figures() -> list[tuple[Any, ...]]:
        db.execute("select jobs.refresh_statistics()")
        with caller(db, "partner", who.sub):
            return db.execute(query).fetchall()

    for change in ("ship_order", "complete_order"):
        call(db, context.admin, change, order_id=order)
        assert figures() == [(1, 1_000_000, 0)]
    pay(db, context, invoice, 795_000)
    assert figures() == [(1, 1_000_000, 0)]
    returned = [{"sku": "SKU-000", "quantity": 2}]
    call(
        db,
        context.admin,
        "return_items",
        order_id=order,
        items=returned,
        reason="rusak",
        idempotency_key="retur",
    )
    assert figures() == [(1, 1_000_000, 200_000)]
    call(db, context.admin, "write_off", invoice_id=invoice["id"], reason="biaya bank")
    assert figures() == [(1, 1_000_000, 200_000)]
    assert "statistics" not in broken_invariants(db)


def test_return_counts_in_the_month_of_its_credit_note(db: Connection, context: Context) -> None:
    who = context.partners[0]
    invoice = approve(db, context, submit(db, who, items(SKU_000=10)))
    call(db, context.admin, "ship_order", order_id=invoice["order_id"])
    returned = {"items": [{"sku": "SKU-000", "quantity": 2}], "reason": "rusak", "idempotency_key": "x"}
    call(db, context.admin, "return_items", order_id=invoice["order_id"], **returned)
    db.execute("set local session_replication_role = replica")
    db.execute("update app.orders set submitted_at = '2026-01-10 12:00+07'")
    db.execute("update app.credit_notes set created_at = '2026-02-10 12:00+07'")
    db.execute("set local session_replication_role = origin")
    db.execute("select jobs.refresh_statistics()")
    query = "select month::text, order_count, total_spend, total_returned from api.partner_statistics"
    with caller(db, "partner", who.sub):
        assert db.execute(query).fetchall() == [
            ("2026-02-01", 0, 0, 200_000),
            ("2026-01-01", 1, 1_000_000, 0),
        ]


def test_statistics_state_as_of_when_they_are(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=1))
    for at in ("2026-12-01 12:00+07", "2026-12-01 12:15+07"):
        db.execute("select app.refresh_statistics(%s)", [at])
        for who in (context.partners[0], context.agents[0], context.admin):
            with caller(db, who.role, who.sub):
                assert value(db, "select refreshed_at = %s from api.partner_statistics", at)
