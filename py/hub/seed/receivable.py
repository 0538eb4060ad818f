"""Orders that were delivered last month and are not paid, so that overdue invoices can be seen."""

from datetime import date, datetime, time, timedelta
from typing import Any

import psycopg

from hub.seed.catalog import Product
from hub.seed.dataset import person_id
from hub.seed.identity import JAKARTA, stable_id

_DAYS_TO_PAY = {"Rumah Cantik Cendana": 14, "Barbershop Bang Jago": 21}
_QUANTITIES = (24, 12, 6)
_SUBDIST = "CV Priangan Makmur"
_ADMIN = "dewi@alfabeauty.example"

_ORDER = """
insert into app.orders (
  id, order_number, partner_id, routed_to_subdist_id, status, awaiting, subtotal, grand_total,
  points_earned, is_eligible_for_points, submitted_at, routed_at, last_response_at, approved_at,
  shipped_at, completed_at, created_at, updated_at, erp_reference, erp_acknowledged_at,
  rules_applied, due_days
)
select
  %(order)s, %(number)s, %(partner)s, %(subdist)s, 'COMPLETED', 'NONE', %(total)s, %(total)s,
  case
    when %(total)s >= r.minimum_threshold
    then floor(%(total)s * r.point_multiplier / r.rupiah_per_point)
    else 0
  end,
  %(total)s >= r.minimum_threshold, %(submitted)s, %(submitted)s, %(answered)s, %(approved)s,
  %(shipped)s, %(completed)s, %(submitted)s, %(completed)s, %(reference)s, %(approved)s, r.snapshot,
  r.due_days
from app.partners as p join app.order_rules as r on r.tier = p.tier where p.id = %(partner)s
"""
_ITEM = """
insert into app.order_items (
  order_id, partner_id, product_id, quantity, list_price, unit_price, line_total, created_at
) values (%(order)s, %(partner)s, %(product)s, %(units)s, %(price)s, %(price)s, %(amount)s, %(submitted)s)
"""
_EVENT = """
insert into app.order_events (
  order_id, partner_id, event, from_status, to_status, actor_id, actor_role, created_at
) values (%s, %s, 'STATUS', %s, %s, %s, %s, %s)
"""
_INVOICE = """
insert into app.invoices (
  id, order_id, partner_id, invoice_number, amount, due_date, created_by, created_at, updated_at
) values (
  %(invoice)s, %(order)s, %(partner)s, %(invoice_number)s, %(total)s, %(due)s, %(admin)s, %(approved)s,
  %(approved)s
)
"""


def load_overdue_invoices(conn: psycopg.Connection[Any], products: list[Product], today: date) -> int:
    """Insert the orders and their invoices, as of `today`; returns the number of invoices.

    Calls cannot do this, because they book at the present time; the owner of their functions can.
    """
    conn.execute("set local role hub_owner")
    for number, (partner, days) in enumerate(_DAYS_TO_PAY.items(), start=1):
        _load(conn, number, partner, days, products[number::90], today)
    conn.execute("reset role")
    return len(_DAYS_TO_PAY)


def _load(
    conn: psycopg.Connection[Any], number: int, partner: str, days: int, products: list[Product], today: date
) -> None:
    # Statistics of months before the previous one may be closed already.
    first = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    submitted = datetime.combine(first + timedelta(days=1), time(9 + number, 12), JAKARTA)
    approved = submitted + timedelta(hours=5)
    lines = [(p, n, p.base_price) for p, n in zip(products, _QUANTITIES, strict=False)]
    values: dict[str, Any] = {
        "order": stable_id("order", partner, submitted),
        "number": f"ORD-{submitted:%y%m%d}-{number:06}",
        "partner": person_id("partner", partner),
        "subdist": person_id("subdist", _SUBDIST),
        "admin": person_id("agent", _ADMIN),
        "total": sum(n * price for _, n, price in lines),
        "submitted": submitted,
        "answered": submitted + timedelta(hours=1),
        "approved": approved,
        "shipped": approved + timedelta(days=1),
        "completed": approved + timedelta(days=2),
        "reference": f"SO-{number:04}",
        "invoice": stable_id("invoice", partner, approved),
        "invoice_number": f"INV-{approved:%y%m%d}-{number:06}",
        "due": approved + timedelta(days=days),
    }
    steps = [
        (None, "SUBMITTED", "partner", values["partner"], submitted),
        ("SUBMITTED", "PROCESSING", "subdist", values["subdist"], values["answered"]),
        ("PROCESSING", "APPROVED", "admin", values["admin"], approved),
        ("APPROVED", "SHIPPED", "admin", values["admin"], values["shipped"]),
        ("SHIPPED", "COMPLETED", "admin", values["admin"], values["completed"]),
    ]
    conn.execute(_ORDER, values)
    for product, units, price in lines:
        line = {"product": product.id, "units": units, "price": price, "amount": units * price}
        conn.execute(_ITEM, values | line)
    for before, after, role, actor, at in steps:
        conn.execute(_EVENT, [values["order"], values["partner"], before, after, actor, role, at])
    conn.execute(_INVOICE, values)
    conn.execute("select app.use_credit(%(partner)s, %(total)s)", values)
