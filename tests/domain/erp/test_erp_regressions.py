"""Exchange with an ERP: what went wrong in other systems."""

from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    submit,
    value,
)
from tests.support.rls_dataset import make_rls_dataset


def _pending(db: Connection, context: Context, most: int = 100) -> list[str]:
    return [o["order_id"] for o in call(db, context.erp, "erp_pending_orders", max=most)]


def _ack(db: Connection, context: Context, order: str) -> None:
    call(db, context.erp, "erp_ack_order", order_id=order, erp_reference=f"SO-{order[:8]}")


def test_what_is_committed_late_is_not_missed(clone: Clone) -> None:
    """A cursor passed rows by that began before the run and were committed after it: airbyte#80152."""
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as slow:
        context = make_context(conn)
        early, late = (submit(conn, context.partners[i], items(SKU_000=1)) for i in range(2))
        approve(slow, context, early)
        approve(conn, context, late)
        assert _pending(conn, context) == [late["id"]]
        _ack(conn, context, late["id"])
        slow.commit()
        assert _pending(conn, context) == [early["id"]], "approved before, seen only now"


def test_orders_of_one_moment_are_all_taken_over(db: Connection) -> None:
    """Rows with equal timestamps were skipped by `>`; a page here ends anywhere."""
    context = make_context(db)
    orders = [submit(db, who, items(SKU_000=1)) for who in context.partners]
    for order in orders:
        approve(db, context, order)
    assert value(db, "select count(distinct approved_at) from app.orders") == 1
    taken = []
    while page := _pending(db, context, 1):
        _ack(db, context, page[0])
        taken += page
    assert sorted(taken) == sorted(o["id"] for o in orders)
    assert broken_invariants(db) == {}


def test_a_change_of_what_hangs_on_an_order_is_told_with_it(db: Connection) -> None:
    """A child changed, its parent's `write_date` did not, and nobody heard: odoo/odoo PR 208283."""
    context = make_context(db)
    order = submit(db, context.partners[0], items(SKU_000=1))
    invoice = approve(db, context, order)
    [told] = call(db, context.erp, "erp_pending_orders", max=10)
    assert [i["status"] for i in told["invoices"]] == ["UNPAID"]
    payment = {"invoice_number": invoice["invoice_number"], "amount": 1000, "reference_number": "R"}
    call(db, context.erp, "erp_apply_payments", payments=[payment])
    [told] = call(db, context.erp, "erp_pending_orders", max=10)
    assert [i["status"] for i in told["invoices"]] == ["PARTIAL"]


def test_a_level_that_did_not_change_is_a_sign_of_life(db: Connection) -> None:
    """What did not change was not told, and stock looked stale: the same failure the other way round."""
    context = make_context(db)
    db.execute("update app.inventory set last_sync_at = now() - interval '2 days'")
    call(db, context.erp, "erp_apply_stock", levels=[{"sku": "SKU-000", "quantity": 1000}])
    fresh = "select p.sku from app.inventory s join app.products p on p.id = s.product_id"
    rows = db.execute(fresh + " where s.last_sync_at = now()").fetchall()
    assert rows == [("SKU-000",)]


def test_a_materialized_view_does_not_pass_the_row_security_of_its_tables_by(clone: Clone) -> None:
    """Everybody read everybody's figures from it: row security is not asked where rows are kept twice."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_rls_dataset(conn)
        conn.execute("select jobs.refresh_statistics()")
        whole = value(conn, "select count(distinct partner_id) from app.partner_monthly_statistics")
        assert whole > 1
        for side in context.sides:
            rows: list[dict[str, Any]] = _statistics(conn, side.partner.claims)
            assert {row["partner_id"] for row in rows} == {side.partner.sub}


def _statistics(conn: Connection, claims: str) -> list[dict[str, Any]]:
    with conn.transaction():
        conn.execute(
            "select set_config('request.jwt.claims', %s, true), set_config('role', 'partner', true)", [claims]
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute("select from app.partner_monthly_statistics")
        rows = value(conn, "select coalesce(jsonb_agg(to_jsonb(s)), '[]') from api.partner_statistics s")
        conn.execute("select set_config('role', 'none', true)")
    found: list[dict[str, Any]] = rows
    return found
