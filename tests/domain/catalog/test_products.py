"""The catalogue: the tree of categories, each product's stock, and what the ERP maintains."""

from typing import Any

import pytest

from tests.support.calls import refused, write
from tests.support.context import Connection, Context, call, items, refusal, set_config, value
from tests.support.factories import make_product

ERP_COLUMNS = ["sku = 'SKU-NEW'", "name = 'Baru'", "base_price = 1", "retail_price = 1"]


def synced(db: Connection, context: Context, sku: str, **more: Any) -> None:
    """The ERP reports a product."""
    product = {"sku": sku, "name": "Shampoo", "base_price": 100_000} | more
    call(db, context.erp, "erp_apply_products", products=[product])


def is_active(db: Connection, sku: str = "SKU-000") -> bool:
    return bool(value(db, "select is_active from app.products where sku = %s", sku))


def test_one_statement_cannot_close_a_cycle_of_categories(db: Connection, context: Context) -> None:
    for slug, parent in (("a", None), ("b", "a"), ("c", "b")):
        write(
            db,
            context.admin,
            "insert into api.categories (name, slug, parent_id) values"
            " ('K', %s, (select id from api.categories where slug = %s))",
            slug,
            parent,
        )
    for statement in (
        "update api.categories set parent_id = (select id from api.categories where slug = 'c')"
        " where slug = 'a'",
        "update api.categories as k set parent_id = case k.slug"
        " when 'a' then (select id from api.categories where slug = 'c')"
        " when 'c' then (select id from api.categories where slug = 'a') end where k.slug in ('a', 'c')",
    ):
        with refused(db, "INVALID_CATEGORY"):
            write(db, context.admin, statement)


@pytest.mark.parametrize("path", ["superuser", "admin", "erp", "copy"])
def test_a_product_has_one_row_of_stock_from_its_creation(
    db: Connection, context: Context, path: str
) -> None:
    statement = "insert into {} (sku, name, base_price) values ('NEW', 'Baru', 1), ('NEW-2', 'Baru', 1)"
    match path:
        case "superuser":
            db.execute(statement.format("app.products").encode())
        case "admin":
            write(db, context.admin, statement.format("api.product_master"))
        case "erp":
            synced(db, context, "NEW")
            synced(db, context, "NEW-2")
            synced(db, context, "NEW")
        case _:
            with (
                db.cursor() as cursor,
                cursor.copy("copy app.products (sku, name, base_price) from stdin") as copy,
            ):
                copy.write_row(("NEW", "Baru", 1))
                copy.write_row(("NEW-2", "Baru", 1))
    rows = db.execute(
        "select p.sku, count(s.id) from app.products p left join app.inventory s on s.product_id = p.id"
        " where p.sku like 'NEW%' group by p.sku order by p.sku"
    ).fetchall()
    assert rows == [("NEW", 1), ("NEW-2", 1)]


def test_the_row_of_stock_stays_as_long_as_its_product(db: Connection, context: Context) -> None:
    product = make_product(db, "NEW")
    with refused(db, "NOT_ALLOWED"):
        db.execute("delete from app.inventory where product_id = %s", [product])
    assert write(db, context.admin, "delete from api.product_master where id = %s", product) == 1
    assert value(db, "select count(*) from app.inventory where product_id = %s", product) == 0


@pytest.mark.parametrize("change", ERP_COLUMNS)
def test_headquarters_changes_names_and_prices_unless_an_erp_maintains_them(
    db: Connection, context: Context, change: str
) -> None:
    statement = f"update api.product_master set {change} where sku = 'SKU-000'"
    with refused(db, "ERP_MAINTAINED"):
        set_config(db, context, "erp.kind", "csv")
        write(db, context.admin, statement)
    assert write(db, context.admin, statement) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "insert into api.product_master (sku, name, base_price) values ('NEW', 'Baru', 1)",
        "delete from api.product_master where sku = 'SKU-004'",
        "update api.inventory set erp_stock = 5 where product_id = (select id from api.products limit 1)",
    ],
)
def test_products_and_stock_of_an_erp_are_not_written_by_headquarters(
    db: Connection, context: Context, statement: str
) -> None:
    set_config(db, context, "erp.kind", "tryton")
    with refused(db, "ERP_MAINTAINED"):
        write(db, context.admin, statement)


def test_what_the_erp_does_not_know_is_written_with_an_erp_too(db: Connection, context: Context) -> None:
    set_config(db, context, "erp.kind", "csv")
    for statement in (
        "update api.products set description = 'Halus', image_url = '/a.png', is_active = false"
        " where sku = 'SKU-000'",
        # the ERP's columns as they are, as an upsert of a list sends them
        "insert into api.product_master as p (sku, name, base_price, is_active)"
        " select sku, name, base_price, true from api.product_master where sku = 'SKU-000'"
        " on conflict (sku) do update set sku = excluded.sku, name = excluded.name,"
        " base_price = excluded.base_price, is_active = excluded.is_active",
        "update api.inventory set safety_buffer = 5 where product_id ="
        " (select id from api.products where sku = 'SKU-000')",
    ):
        assert write(db, context.admin, statement) == 1
    assert is_active(db)


def test_a_withdrawal_survives_the_next_sync(db: Connection, context: Context) -> None:
    set_config(db, context, "erp.kind", "csv")
    write(db, context.admin, "update api.products set is_active = false where sku = 'SKU-000'")
    for more in ({}, {"is_active": True}, {"base_price": 120_000}):
        synced(db, context, "SKU-000", **more)
        assert not is_active(db)
    assert refusal(db, context.partners[0], "quote_order", items=items(SKU_000=1)) == "UNKNOWN_SKU"
    write(db, context.admin, "update api.products set is_active = true where sku = 'SKU-000'")
    synced(db, context, "SKU-000")
    assert is_active(db)


def test_what_the_erp_withdrew_the_erp_offers_again(db: Connection, context: Context) -> None:
    synced(db, context, "SKU-000", is_active=False)
    assert not is_active(db)
    synced(db, context, "SKU-000")
    assert is_active(db)
