"""What several domains' tests read of the database."""

from collections.abc import Iterator
from typing import Any

from tests.support.context import Caller, Connection, as_owner, value


def credit_used(conn: Connection, partner: Caller) -> int:
    """The credit that a partner uses, in rupiah."""
    return int(value(conn, "select credit_used from app.partners where id = %s", partner.sub))


def balance(conn: Connection, partner: Caller) -> int:
    """A partner's point balance, after a comparison with the sum of the ledger."""
    cached = int(value(conn, "select point_balance from app.partners where id = %s", partner.sub))
    ledger = "select coalesce(sum(points), 0) from app.point_transactions where partner_id = %s"
    assert cached == value(conn, ledger, partner.sub)
    return cached


def run_job(conn: Connection, job: str) -> None:
    """Run a job as the scheduler does, on a connection without an open transaction."""
    command = str(value(conn, "select command from jobs.schedule where job = %s", job))
    with as_owner(conn):
        conn.execute(command.encode())


def vest_points(conn: Connection, limit: int = 1000) -> int:
    """Process the queue of points within a transaction; returns the number of invoices processed."""
    return int(value(conn, "select app.vest_invoices(app.queued_invoices(%s, clock_timestamp()))", limit))


def message_count(conn: Connection, template: str, recipient: Caller | None = None) -> int:
    """How many messages of a template exist, for one recipient or for all."""
    query = (
        "select count(*) from app.messages where template = %s and recipient_id = coalesce(%s, recipient_id)"
    )
    return int(value(conn, query, template, recipient.sub if recipient else None))


def stock(conn: Connection, sku: str = "SKU-000") -> tuple[int, int]:
    """Units of a product that are reserved, and units that can still be ordered."""
    row = conn.execute(
        "select s.reserved, s.display_stock from app.inventory s join app.products p on p.id = s.product_id"
        " where p.sku = %s",
        [sku],
    ).fetchone()
    assert row
    return row[0], row[1]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a query plan in JSON, from the top."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def audit_rows(conn: Connection, **where: Any) -> list[dict[str, Any]]:
    """Rows of the audit trail with these values, oldest first, after a flush of the buffer."""
    conn.execute("select app.flush_audit_buffer()")
    condition = " and ".join(f"{column} = %s" for column in where) or "true"
    rows = conn.execute(
        f"select to_jsonb(l) from app.audit_logs l where {condition} order by created_at, id".encode(),
        [*where.values()],
    )
    return [row for (row,) in rows]
