"""Functions that insert one row of a table, beside those of the context."""

import itertools
from typing import Any

from tests.support.context import Caller, Connection, Context, new_id

_numbers = itertools.count(1)


def insert(conn: Connection, table: str, **columns: Any) -> str:
    """Insert a row into `app.<table>` and return its id."""
    marks = ", ".join(["%s"] * len(columns))
    statement = f"insert into app.{table} ({', '.join(columns)}) values ({marks})"
    return new_id(conn, statement, *columns.values())


def make_product(conn: Connection, sku: str, base_price: int = 100_000, stock: int | None = 100) -> str:
    """A product with units in stock; None: its stock was never entered. Returns its id."""
    product = insert(conn, "products", sku=sku, name=sku.title(), base_price=base_price)
    if stock is not None:
        conn.execute("update app.inventory set erp_stock = %s where product_id = %s", [stock, product])
    return product


def make_subdist(conn: Connection, region: str, **columns: Any) -> Caller:
    """A sub-distributor of a region."""
    number = f"+62819{next(_numbers):07}"
    row = {"region_id": region, "business_name": "CV Baru", "whatsapp_number": number} | columns
    return Caller("subdist", insert(conn, "sub_distributors", **row))


def make_partner(conn: Connection, region: str | None, **columns: Any) -> Caller:
    """A partner who cannot sign in."""
    email = f"baru{next(_numbers)}@hub.test"
    row = {"email": email, "password_hash": "x", "business_name": "Salon Baru", "region_id": region} | columns
    return Caller("partner", insert(conn, "partners", **row))


def make_agent(conn: Connection, region: str | None, **columns: Any) -> Caller:
    """An agent who cannot sign in."""
    email = f"baru{next(_numbers)}@hub.test"
    row = {"email": email, "password_hash": "x", "full_name": "Agen Baru", "region_id": region} | columns
    return Caller("agent", insert(conn, "agents", **row))


def set_price(
    conn: Connection,
    context: Context,
    price: int,
    since: str = "now()",
    until: str = "null",
    *,
    sku: str = "SKU-000",
    tier: str = "SILVER",
    discount: tuple[float, int] | None = None,
) -> str:
    """A tier price from `since` until just before `until`, both SQL.

    `discount` is the quantity from which units cost the discount price, and that price.
    """
    quantity, discount_price = discount or (None, None)
    return new_id(
        conn,
        "insert into app.tier_prices (product_id, tier, price, min_qty_discount, discount_price,"
        f" effective_from, effective_until) values (%s, %s, %s, %s, %s, {since}, {until})",
        context.products[sku],
        tier,
        price,
        quantity,
        discount_price,
    )
