"""Writes of master data: role x view x column x insert, update, delete, as WRITES of matrix.py has them."""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.rls import matrix, visibility
from tests.support.context import Connection, value
from tests.support.rls_dataset import RlsDataset

_REGION = "select id from app.regions where code = 'BANDUNG'"
_PRODUCT = "select id from app.products where sku = 'SKU-001'"
_STOCKED = "select product_id from app.inventory limit 1"

# A new row of each view: column -> SQL of its value. The first columns are those that every insert needs.
NEW_ROWS: dict[str, dict[str, str]] = {
    "partners": {
        "business_name": "'Salon Baru'",
        "email": "'baru@hub.test'",
        "phone": "'+628131000099'",
        "tier": "'GOLD'",
        "salon_type": "'BARBER'",
        "chair_count": "4",
        "specialization": "'Warna'",
        "region_id": _REGION,
        "credit_limit": "5000000",
        "is_active": "true",
        "address": "'Jalan Baru 1'",
    },
    "agents": {
        "full_name": "'Agen Baru'",
        "email": "'agen@hub.test'",
        "phone": "'+628111000099'",
        "role": "'ADMIN'",
        "region_id": _REGION,
        "is_active": "true",
    },
    "sub_distributors": {
        "business_name": "'CV Baru'",
        "whatsapp_number": "'+628121000099'",
        "region_id": _REGION,
        "email": "'cv@hub.test'",
        "contact_person": "'Budi'",
        "status": "'ACTIVE'",
    },
    "regions": {
        "name": "'Garut'",
        "code": "'GARUT'",
        "parent_region_id": _REGION,
        "time_zone": "'Asia/Jakarta'",
    },
    "brands": {"name": "'Baru'", "logo_url": "'/logo.png'", "display_order": "3", "is_active": "true"},
    "categories": {
        "name": "'Warna'",
        "slug": "'warna'",
        "parent_id": "select id from app.categories where slug = 'sampo'",
        "display_order": "3",
    },
    "product_master": {
        "sku": "'SKU-BARU'",
        "name": "'Sampo Baru'",
        "base_price": "100000",
        "description": "'Baru'",
        "brand_id": "select id from app.brands limit 1",
        "category_id": "select id from app.categories limit 1",
        "retail_price": "150000",
        "image_url": "'https://hub.test/baru.png'",
        "is_active": "true",
    },
    "inventory": {"product_id": _STOCKED, "safety_buffer": "3", "erp_stock": "9"},
    "tier_prices": {
        "product_id": _PRODUCT,
        "tier": "'SILVER'",
        "price": "90000",
        "effective_from": "now() + interval '40 days'",
        "effective_until": "now() + interval '50 days'",
        "min_qty_discount": "10",
        "discount_price": "80000",
    },
    "redemption_catalog": {
        "name": "'Kipas'",
        "points_required": "20",
        "description": "'Kipas'",
        "image_url": "'/kipas.png'",
        "stock_available": "4",
        "is_active": "true",
    },
}
_PRICES = ("base_price", "retail_price")
NEW_ROWS["products"] = {n: v for n, v in NEW_ROWS["product_master"].items() if n not in _PRICES}
_TOGETHER = {"min_qty_discount": "discount_price", "discount_price": "min_qty_discount"}
_NEEDED = {
    "partners": 2, "agents": 2, "sub_distributors": 3, "regions": 2, "brands": 1, "categories": 2,
    "products": 2, "product_master": 3, "inventory": 1, "tier_prices": 5, "redemption_catalog": 2,
}  # fmt: skip
# Not updatable (0A000), generated (428C9): refused before privileges are checked.
_REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.GeneratedAlways,
)

# The prices of the data set are open; a new one needs a place after them.
_END_PRICES = "update app.tier_prices set effective_until = now() + interval '30 days'"

CASES = [(view, role) for view in matrix.WRITES for role in matrix.ROLES]


def columns_of(conn: Connection, view: str) -> list[str]:
    rows = conn.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0", [f"api.{view}"]
    )
    return [name for (name,) in rows]


def new_row(conn: Connection, view: str) -> dict[str, str]:
    """The new row with its values as a superuser reads them, so that no right to read decides."""
    conn.execute(_END_PRICES)
    return {
        name: value(conn, f"select quote_literal(({expression})::text)")
        for name, expression in NEW_ROWS[view].items()
    }


def insert_of(view: str, row: dict[str, str], column: str) -> sql.Composed:
    """An insert of what every row needs, and of this column."""
    names = list(row)[: _NEEDED[view]]
    names += [name for name in (column, _TOGETHER.get(column)) if name and name not in names]
    values = [row.get(name, "gen_random_uuid()" if name == "id" else "null") for name in names]
    statement = sql.SQL("insert into api.{} ({}) values ({})").format(
        sql.Identifier(view),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(map(sql.SQL, values)),
    )
    if view == "inventory":  # each product has its row
        statement += sql.SQL(" on conflict (product_id) do update set safety_buffer = excluded.safety_buffer")
    return statement


def update_of(conn: Connection, view: str, column: str, row_id: str) -> sql.Composed:
    """An update of this column to the value that it has."""
    current = value(conn, f"select {column}::text from api.{view} where id = '{row_id}'")
    return sql.SQL("update api.{} set {} = {} where id = {}").format(
        sql.Identifier(view), sql.Identifier(column), sql.Literal(current), sql.Literal(row_id)
    )


def is_permitted(conn: Connection, who: Any, statement: sql.Composed) -> bool:
    """Whether the caller may run the statement, which is rolled back; any other error fails the test."""

    def write() -> int:
        return conn.execute(statement).rowcount

    try:
        row_count = visibility.attempt(conn, who, write)
    except _REFUSALS:
        return False
    assert row_count in (1, None), f"{row_count} rows: {statement.as_string(conn)}"
    return row_count is not None


@pytest.mark.parametrize(("view", "role"), CASES)
def test_a_role_writes_the_columns_that_the_matrix_names(
    conn: Connection, dataset: RlsDataset, view: str, role: str
) -> None:
    writes = matrix.WRITES[view]
    allowed = set(writes.columns.split()) if role in writes.roles.split() else set()
    who, side = visibility.callers(dataset, role)[0]
    row_id = (
        str(side.partner.sub) if view == "partners" else value(conn, f"select id from api.{view} limit 1")
    )
    columns, row = columns_of(conn, view), new_row(conn, view)
    inserted = {c for c in columns if is_permitted(conn, who, insert_of(view, row, c))}
    updated = {c for c in columns if is_permitted(conn, who, update_of(conn, view, c, row_id))}
    assert (inserted, updated) == (allowed if writes.insert else set(), allowed)


@pytest.mark.parametrize(("view", "role"), CASES)
def test_a_role_deletes_only_where_the_matrix_says_so(
    conn: Connection, dataset: RlsDataset, view: str, role: str
) -> None:
    writes = matrix.WRITES[view]
    who, _ = visibility.callers(dataset, role)[0]
    row = new_row(conn, view)
    names = list(row)[: _NEEDED[view]]
    values = ", ".join(row[name] for name in names)
    if view == "inventory" or not writes.insert:
        row_id = value(conn, f"select id from app.{view} limit 1")
    else:
        table = writes.table or view
        row_id = value(conn, f"insert into app.{table} ({', '.join(names)}) values ({values}) returning id")
    delete = sql.SQL("delete from api.{} where id = {}").format(sql.Identifier(view), sql.Literal(row_id))
    assert is_permitted(conn, who, delete) == (writes.delete and role in writes.roles.split())


def test_every_column_that_the_matrix_names_has_a_value(conn: Connection) -> None:
    for view, writes in matrix.WRITES.items():
        assert set(NEW_ROWS[view]) | {"id"} >= set(writes.columns.split()), view
        assert set(writes.columns.split()) <= set(columns_of(conn, view)), view
