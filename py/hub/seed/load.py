"""Loads the demo data with COPY, in one transaction."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg import sql

from hub.errors import UserError
from hub.seed import catalog, dataset
from hub.seed.identity import JAKARTA
from hub.seed.receivable import load_overdue_invoices

Counts = dict[str, int]
Connection = psycopg.Connection[Any]

_TABLES = ("regions", "brands", "categories", "products", "sub_distributors", "partners", "agents", "orders")
"""Tables that must be empty: any row belongs to another data set."""

_LOCK = "hub seed"


def load(url: str, today: date | None = None) -> Counts | None:
    """Load the demo data; returns the number of rows of each kind, or None if it is already loaded.

    Prices are in force as of `today`, by default the present day in Jakarta. Raises UserError for a database
    that contains other data or is not migrated.
    """
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="hub seed") as conn:
            # A concurrent run waits, and then finds the data loaded.
            conn.execute("select pg_advisory_xact_lock(hashtext(%s))", [_LOCK])
            if _is_loaded(conn):
                return None
            counts = _load(conn, today or datetime.now(JAKARTA).date())
            _analyze(conn)
            return counts
    except psycopg.Error as error:
        raise UserError(f"the demo data could not be loaded: {str(error).strip()}") from None


def _analyze(conn: Connection) -> None:
    """Update the planner's statistics; without, it plans the first queries for empty tables."""
    tables = conn.execute(
        "select c.oid::regclass::text from pg_catalog.pg_class c"
        " where c.relnamespace = 'app'::regnamespace and c.relkind = 'r' order by 1"
    ).fetchall()
    conn.execute("analyze " + ", ".join(name for (name,) in tables))


def _is_loaded(conn: Connection) -> bool:
    """Whether the demo data is loaded; raises UserError if it must not be."""
    if not conn.execute("select to_regclass('app.redemption_catalog')").fetchall()[0][0]:
        raise UserError("the database is not migrated", hint="./hub migrate")
    root = conn.execute("select from app.regions where id = %s", [dataset.region_id("ID")])
    if root.rowcount:
        return True
    for table in _TABLES:
        if conn.execute(sql.SQL("select from {} limit 1").format(sql.Identifier("app", table))).rowcount:
            raise UserError(
                f"the database contains other data: app.{table} is not empty",
                hint="load the demo data into an empty database; ./hub reset --yes empties the stack's",
            )
    return False


def _load(conn: Connection, today: date) -> Counts:
    now = datetime.now(UTC)
    # bcrypt is slow on purpose, so all accounts share one hash.
    password_hash = conn.execute("select auth.hash_password(%s)", [dataset.PASSWORD]).fetchall()[0][0]
    products = catalog.products()
    return {
        "regions": _copy(
            conn, "regions", "id name code parent_region_id time_zone created_at", dataset.region_rows()
        ),
        "brands": _copy(conn, "brands", "id name display_order is_active", catalog.brands()),
        "categories": _copy(conn, "categories", "id name slug parent_id display_order", catalog.categories()),
        "products": _copy(
            conn,
            "products",
            "id sku name description brand_id category_id base_price retail_price created_at updated_at",
            catalog.product_rows(products),
        ),
        "tier prices": _copy(
            conn,
            "tier_prices",
            "id product_id tier price min_qty_discount discount_price effective_from effective_until",
            catalog.tier_price_rows(products, today),
        ),
        "stock levels": _enter_stock(conn, catalog.inventory_rows(products, now)),
        "sub-distributors": _copy(
            conn,
            "sub_distributors",
            "id region_id business_name whatsapp_number email contact_person status created_at updated_at",
            dataset.subdist_rows(),
        ),
        "agents": _copy(
            conn,
            "agents",
            "id email password_hash full_name phone role region_id created_at updated_at",
            dataset.agent_rows(password_hash),
        ),
        "partners": _copy(
            conn,
            "partners",
            "id email phone password_hash business_name tier salon_type chair_count specialization region_id"
            " credit_limit address created_at updated_at",
            dataset.partner_rows(password_hash),
        ),
        "rewards": _copy(
            conn,
            "redemption_catalog",
            "id name description points_required stock_available is_active created_at",
            dataset.reward_rows(),
        ),
        "overdue invoices": load_overdue_invoices(conn, products, today),
    }


def _enter_stock(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Each product has its row of stock from the moment it is created."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "update app.inventory set erp_stock = %s, safety_buffer = %s, last_sync_at = %s"
            " where product_id = %s",
            rows,
        )
    return len(rows)


def _copy(conn: Connection, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> int:
    statement = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier("app", table), sql.SQL(", ").join(map(sql.Identifier, columns.split()))
    )
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
    return len(rows)
