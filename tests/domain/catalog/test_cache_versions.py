"""Versions of what caches keep: raised by the transaction that changes it, seen together with the change."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.calls import write
from tests.support.concurrency import connect, run_concurrently, running_repeatedly
from tests.support.context import (
    Connection,
    Context,
    as_owner,
    items,
    make_context,
    set_config,
    submit,
    value,
)

FAMILIES = ("catalogue", "configs")


def version(conn: Connection, family: str = "catalogue") -> int:
    return int(value(conn, "select version from app.cache_versions where family = %s", family))


def raised(conn: Connection, family: str, operation: Callable[[], Any]) -> bool:
    """Whether the transaction of an operation raises the version, on a connection that commits."""
    before = version(conn, family)
    operation()
    return version(conn, family) > before


@pytest.fixture(scope="module")
def committed(module_clone: Clone) -> Iterator[tuple[Connection, Context]]:
    """A database on which the tests commit, with a context."""
    with psycopg.connect(module_clone(), autocommit=True) as conn:
        yield conn, make_context(conn)


CATALOGUE_WRITES = [
    "insert into api.brands (name) values ('Merek Baru')",
    "update api.brands set display_order = 7",
    "delete from api.brands where name = 'Merek Baru'",
    "insert into api.categories (name, slug) values ('Baru', 'baru')",
    "update api.categories set name = 'Lama'",
    "delete from api.categories where slug = 'baru'",
    "insert into api.product_master (sku, name, base_price) values ('BARU', 'Baru', 1000)",
    "update api.product_master set base_price = base_price + 1",
    "update api.products set is_active = false where sku = 'BARU'",
    "delete from api.product_master where sku = 'BARU'",
    "insert into api.tier_prices (product_id, tier, price, effective_from)"
    " select id, 'GOLD', 1, now() + interval '9 days' from api.products where sku = 'SKU-003'",
    "update api.tier_prices set price = 2 where tier = 'GOLD'",
    "delete from api.tier_prices where tier = 'GOLD'",
]


@pytest.mark.parametrize("statement", CATALOGUE_WRITES)
def test_each_change_of_the_catalogue_raises_its_version(
    committed: tuple[Connection, Context], statement: str
) -> None:
    conn, context = committed
    configs = version(conn, "configs")
    assert raised(conn, "catalogue", lambda: write(conn, context.admin, statement))
    assert version(conn, "configs") == configs


def test_truncated_table_raises_the_version(committed: tuple[Connection, Context]) -> None:
    conn, _ = committed
    assert raised(conn, "catalogue", lambda: conn.execute("truncate app.tier_prices"))


@pytest.mark.parametrize(
    "statement",
    [
        "update app.products set name = 'x' where false",
        "delete from app.tier_prices where false",
        "insert into app.brands (name) select 'x' where false",
        "insert into app.products (sku, name, base_price) values ('SKU-000', 'x', 1) on conflict do nothing",
        "update app.inventory set erp_stock = erp_stock + 1",
        "update app.partners set tier = 'GOLD'",
    ],
)
def test_a_statement_that_changes_no_row_of_the_catalogue_raises_nothing(
    committed: tuple[Connection, Context], statement: str
) -> None:
    conn, _ = committed
    assert not raised(conn, "catalogue", lambda: conn.execute(statement.encode()))


def test_a_frontend_config_raises_the_version_of_configs(committed: tuple[Connection, Context]) -> None:
    conn, context = committed
    catalogue = version(conn)
    assert raised(conn, "configs", lambda: set_config(conn, context, "order.max_lines", 400))
    assert not raised(conn, "configs", lambda: set_config(conn, context, "auth.max_failures", 7))
    assert version(conn) == catalogue


def test_an_order_raises_no_version(committed: tuple[Connection, Context]) -> None:
    conn, context = committed
    families = [version(conn, family) for family in FAMILIES]
    submit(conn, context.partners[0], items(SKU_000=1))
    assert [version(conn, family) for family in FAMILIES] == families


def test_a_transaction_raises_a_version_once_whatever_its_rows(
    committed: tuple[Connection, Context],
) -> None:
    conn, _ = committed
    with conn.transaction():
        for n in range(20):
            conn.execute("insert into app.brands (name) values (%s)", [f"Merek {n}"])
        conn.execute("update app.products set name = name || '.'")
        assert value(conn, "select count(*) from app.cache_changes") == 1
    assert value(conn, "select count(*) from app.cache_changes") == 0


def test_a_version_is_raised_at_the_commit_and_not_by_a_rollback(
    committed: tuple[Connection, Context],
) -> None:
    conn, _ = committed

    def roll_back(conn: Connection) -> None:
        with conn.transaction(force_rollback=True):
            conn.execute("update app.brands set display_order = 1")
            conn.execute("update app.products set name = name || '.'")

    def roll_back_savepoint() -> None:
        with conn.transaction():
            roll_back(conn)

    def roll_back_first_change() -> None:
        with conn.transaction():
            roll_back(conn)
            conn.execute("update app.products set name = name || '.'")

    assert not raised(conn, "catalogue", lambda: roll_back(conn))
    assert not raised(conn, "catalogue", roll_back_savepoint)
    assert raised(conn, "catalogue", roll_back_first_change)


def test_immediate_constraints_do_not_lose_a_later_change(committed: tuple[Connection, Context]) -> None:
    conn, _ = committed
    with conn.transaction():
        conn.execute("set constraints all immediate")
        conn.execute("update app.products set name = name || '.'")
        first = version(conn)
        conn.execute("update app.products set name = name || '.'")
        assert version(conn) > first


def test_a_version_is_never_reused_after_a_restore(committed: tuple[Connection, Context]) -> None:
    """A backup brings an old version back: the next change must not reuse one that a cache has seen."""
    conn, _ = committed
    backup = version(conn)
    conn.execute("update app.products set name = name || '.'")
    seen = version(conn)
    conn.execute("update app.cache_versions set version = %s where family = 'catalogue'", [backup])
    conn.execute("update app.products set name = name || '.'")
    assert version(conn) > seen


def test_versions_rise_although_the_clock_goes_back(committed: tuple[Connection, Context]) -> None:
    conn, _ = committed
    conn.execute("update app.cache_versions set version = version + 3600000000 where family = 'catalogue'")
    assert raised(conn, "catalogue", lambda: conn.execute("update app.products set name = name || '.'"))


TABLES_OF_A_VIEW = """
with recursive reads (relation, kind) as (
  select c.oid, c.relkind from pg_class c where c.oid = %s::regclass
  union
  select c.oid, c.relkind
  from reads r
  join pg_rewrite w on w.ev_class = r.relation
  join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    and d.refclassid = 'pg_class'::regclass
  join pg_class c on c.oid = d.refobjid and c.oid <> r.relation
)
select relation::regclass::text from reads where kind in ('r', 'p')
"""
NOTING = """
select t.tgtype::int & 60 from pg_trigger t
where t.tgrelid = %s::regclass and t.tgenabled = 'O' and t.tgname like '\\_950\\_cache\\_version\\_%%'
  and t.tgtype::int & 3 = 0 and t.tgqual is null and t.tgattr = ''
  and t.tgfoid in (
    'app.tg_note_changed_rows'::regproc, 'app.tg_note_truncate'::regproc,
    'app.tg_system_configs__note_change'::regproc
  )
"""
EVENTS = {4, 8, 16, 32}
"""TRIGGER_TYPE_INSERT, DELETE, UPDATE and TRUNCATE of pg_trigger.tgtype."""


@pytest.mark.names_each
@pytest.mark.parametrize("view", ["app.catalogue_documents", "app.config_document"])
def test_every_table_of_a_cached_document_raises_its_version(db: Connection, view: str) -> None:
    tables = [table for (table,) in db.execute(TABLES_OF_A_VIEW, [view])]
    assert tables
    incomplete = {
        table: found
        for table in tables
        if (found := {kind for (kind,) in db.execute(NOTING, [table])}) != EVENTS
    }
    assert incomplete == {}


def test_the_documents_read_the_tables_that_they_show(db: Connection) -> None:
    """Functions that a document calls would hide tables from the test above."""
    catalogue = {table for (table,) in db.execute(TABLES_OF_A_VIEW, ["app.catalogue_documents"])}
    assert catalogue == {"app.brands", "app.categories", "app.products", "app.tier_prices"}
    assert [table for (table,) in db.execute(TABLES_OF_A_VIEW, ["app.config_document"])] == [
        "app.system_configs"
    ]
    functions = db.execute(
        "select distinct d.refobjid::regproc::text from pg_depend d join pg_rewrite w on w.oid = d.objid"
        " where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_proc'::regclass"
        " and w.ev_class in ('app.catalogue_documents'::regclass, 'app.config_document'::regclass)"
        " order by 1"
    ).fetchall()
    assert functions == [("app.cache_version",), ("app.frontend_config_keys",)]


def price_in(body: dict[str, Any], sku: str = "SKU-000") -> float:
    return next(float(p["price"]) for p in body["products"] if p["sku"] == sku)


def read_catalogue(conn: Connection) -> tuple[int, str, float]:
    """Version, state and price of a reading of the catalogue."""
    found = value(conn, "select app.cache_catalogue('BASE')")
    return found["version"], found["state"], price_in(found["body"])


def test_concurrent_readers_never_see_a_body_of_another_version(clone: Clone) -> None:
    """Each version has one content, and who has seen a commit never reads an older one."""
    url = clone()
    contents: dict[int, float] = {}
    torn: list[tuple[int, float]] = []

    def read(conn: Connection) -> None:
        number, _, price = read_catalogue(conn)
        if contents.setdefault(number, price) != price:
            torn.append((number, price))

    with connect(url) as conn:
        make_context(conn)
        with running_repeatedly(url, read), running_repeatedly(url, read):
            for price in range(1, 151):
                before = version(conn)
                conn.execute("update app.products set base_price = %s where sku = 'SKU-000'", [price])
                number, _, seen = read_catalogue(conn)
                assert number > before
                assert seen == price
    assert torn == []
    assert len(contents) > 20


def test_concurrent_writers_neither_deadlock_nor_lose_a_version(clone: Clone) -> None:
    """They lock rows in opposite order, and both families."""
    url = clone()
    with connect(url) as conn:
        context = make_context(conn)
        before = version(conn)
        seen: list[int] = []
        lock = threading.Lock()

        def writer(n: int) -> Callable[[Connection], None]:
            def write_own_rows(conn: Connection) -> None:
                for i in range(10):
                    with conn.transaction():
                        conn.execute(
                            "update app.brands set display_order = %s where name = %s", [i, f"Merek {n}"]
                        )
                        key = ("order.max_lines", "loyalty.rupiah_per_point")[n % 2]
                        if n < 2:
                            conn.execute(
                                "update app.system_configs set config_value = %s where config_key = %s",
                                [str(100 + i), key],
                            )
                        conn.execute(
                            "update app.products set name = name || '.' where sku = %s",
                            [context.skus[n % 5]],
                        )
                    with lock:
                        seen.append(version(conn))

            return write_own_rows

        for n in range(6):
            conn.execute("insert into app.brands (name) values (%s)", [f"Merek {n}"])
        run_concurrently(url, [writer(n) for n in range(6)])
        assert len(seen) == 60
        assert version(conn) == max(seen) > before
        assert value(conn, "select count(*) from app.cache_changes") == 0


def test_a_slow_writer_does_not_hold_up_another_one(clone: Clone) -> None:
    """The version is locked for the time of a commit, not from the first change on."""
    url = clone()
    with connect(url) as slow, connect(url) as quick:
        make_context(slow)
        quick.execute("set lock_timeout = '1s'")
        with slow.transaction():
            slow.execute("update app.products set name = name || '.' where sku = 'SKU-000'")
            assert raised(
                quick,
                "catalogue",
                lambda: quick.execute("update app.products set name = name || '.' where sku = 'SKU-001'"),
            )
            first = version(quick)
        assert version(quick) > first


def test_a_sync_of_the_erp_raises_the_version_only_if_products_change(clone: Clone) -> None:
    with connect(clone()) as conn, as_owner(conn):
        rows = (
            "select jsonb_agg(jsonb_build_object('sku', 'ERP-' || n, 'name', 'Produk', 'base_price', n))"
            " from generate_series(1, 500) n"
        )
        sync = f"select app.erp_apply_products(({rows}), 'products', null)"
        assert raised(conn, "catalogue", lambda: conn.execute(sync.encode()))
        assert not raised(conn, "catalogue", lambda: conn.execute(sync.encode()))
        levels = (
            "select app.erp_apply_stock((select jsonb_agg(jsonb_build_object('sku', sku, 'quantity', 5))"
            " from app.products), now(), 'stock', null, true)"
        )
        assert not raised(conn, "catalogue", lambda: conn.execute(levels.encode()))


def test_a_thousand_prices_in_one_statement_raise_one_version(clone: Clone) -> None:
    with connect(clone()) as conn:
        context = make_context(conn, products=1)
        statement = (
            "insert into api.tier_prices (product_id, tier, price, effective_from, effective_until)"
            " select %s, 'SILVER', n, now() + n * interval '1 hour', now() + (n + 1) * interval '1 hour'"
            " from generate_series(1, 1000) n"
        )
        conn.execute(
            "create table public.raised as select v.version from app.cache_versions v where false;"
            "create function public.note_raised() returns trigger language plpgsql security definer as"
            " 'begin insert into public.raised values (new.version); return null; end';"
            "create trigger note_raised after update on app.cache_versions"
            " for each row execute function public.note_raised()"
        )
        write(conn, context.admin, statement, context.products["SKU-000"])
        assert value(conn, "select array_agg(version) from public.raised") == [version(conn)]


def test_a_client_that_has_seen_a_commit_never_reads_older(clone: Clone) -> None:
    """Four clients share a copy and serve it while its state holds; each asks after its own commit."""
    url = clone()
    copies: dict[str, dict[str, Any]] = {}
    with connect(url) as conn:
        context = make_context(conn)

    def client(n: int) -> Callable[[Connection], int]:
        def broken(conn: Connection) -> int:
            count = 0
            for price in range(1, 51):
                conn.execute(
                    "update app.products set base_price = %s where sku = %s", [price, context.skus[n]]
                )
                state = value(conn, "select app.cache_state()")["catalogue"]["state"]
                copy = copies.get("BASE")
                if not copy or copy["state"] != state:
                    copy = copies["BASE"] = value(conn, "select app.cache_catalogue('BASE')")
                count += price_in(copy["body"], context.skus[n]) != price
            return count

        return broken

    assert run_concurrently(url, [client(n) for n in range(4)]).succeeded == [0, 0, 0, 0]
