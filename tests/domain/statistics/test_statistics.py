"""Monthly statistics of partners."""

from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.client import caller
from tests.support.context import Connection, Context, call, items, submit, value
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
