"""Preconditions of a valid measurement: the caller is a partner, and lists use their indexes."""

import json
from typing import Any

import psycopg

from devtools.bench.errors import BenchError

_LISTS = {
    "orders": "select * from api.orders as o order by o.created_at desc limit 20",
    "order_items": "select * from api.order_items as i where i.order_id = any (array("
    "select o.id from api.orders as o order by o.created_at desc limit 20))",
    "invoices": "select * from api.invoices as i order by i.created_at desc limit 20",
}


def caller_is_partner(admin: psycopg.Connection[Any], login: str) -> None:
    """Raise BenchError unless the benchmark runs as role partner under row security."""
    ordered = admin.execute("select right(partner_id::text, 12)::int from app.orders limit 1").fetchall()
    if not ordered:
        raise BenchError("the warm-up submitted no order")
    with psycopg.connect(login, autocommit=True) as conn:
        row = conn.execute(
            "select role_name, secured, foreign_rows, own_rows from bench.request_identity(%s)", ordered[0]
        ).fetchone()
    who, secured, foreign, own = row or (None, False, 0, 0)
    if who != "partner" or not secured or foreign:
        raise BenchError(
            f"the benchmark would run as {who}, row security {secured}, {foreign} rows of others"
        )
    if not own:
        raise BenchError("the partner sees none of their own orders")


def orders_are_partners(admin: psycopg.Connection[Any]) -> int:
    """The number of orders; raises BenchError if another role than partner submitted one."""
    total, by_partner = admin.execute(
        "select count(*), count(*) filter (where actor_role = 'partner') from app.order_events"
    ).fetchall()[0]
    orders = admin.execute("select count(*) from app.orders").fetchall()[0][0]
    if not orders or orders != total or total != by_partner:
        raise BenchError(f"{orders} orders, {total} events, {by_partner} of them by role partner")
    return int(orders)


def lists_use_indexes(login: str) -> None:
    """Explain a partner's lists; raises BenchError if one scans a whole table."""
    with psycopg.connect(login) as conn:
        conn.execute("select bench.set_request_context(1)")
        # The invoice table is empty and an empty table is scanned: ask whether an index can serve the list.
        for name, query in _LISTS.items():
            conn.execute(f"set local enable_seqscan = {'off' if name == 'invoices' else 'on'}")
            plan = conn.execute(f"explain (format json) {query}".encode()).fetchall()[0][0]
            scanned = _scanned(plan[0]["Plan"])
            if scanned:
                raise BenchError(
                    f"the list of {name} scans {', '.join(scanned)}", hint=json.dumps(plan)[:2000]
                )


def _scanned(plan: dict[str, Any]) -> list[str]:
    """Large tables that the plan scans."""
    here = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    found = [name for name in here if name in _LISTS]
    for child in plan.get("Plans", []):
        found += _scanned(child)
    return found
