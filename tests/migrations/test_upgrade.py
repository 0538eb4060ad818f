"""Upgrades while the hub is used: short locks, steps outside a transaction, late steps, and the dry run."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.pins import repin
from hub import paths
from hub.migrate import MigrationError, migrate, preview
from hub.migrate.tree import Tree
from tests.conftest import Clone, EmptyDatabase
from tests.migrations.conftest import Sample, query, run
from tests.support.client import caller
from tests.support.context import broken_invariants, make_context
from tests.support.waiting import wait_until

LONGEST_SECONDS = 1.0
"""The longest that a caller may wait because of an upgrade."""

INDEX = (
    "-- transaction: none\n-- An index.\ncreate unique index concurrently more_note_key on app.more (note);\n"
)


@contextmanager
def held(url: str, statement: str, seconds: float) -> Iterator[None]:
    """Another transaction that keeps the locks of a statement for a while."""
    with psycopg.connect(url) as conn:
        conn.execute(statement)
        timer = threading.Timer(seconds, conn.rollback)
        timer.start()
        yield
        timer.join()


@contextmanager
def repeated(*operations: Callable[[], Callable[[], Any]]) -> Iterator[list[float]]:
    """Each operation again and again, on a thread of its own; yields how long each took, in seconds."""
    over, times, failures = threading.Event(), list[float](), list[BaseException]()

    def work(prepare: Callable[[], Callable[[], Any]]) -> None:
        try:
            operation = prepare()
            while not over.is_set():
                began = time.monotonic()
                operation()
                times.append(time.monotonic() - began)
                over.wait(0.01)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=[operation]) for operation in operations]
    for thread in threads:
        thread.start()
    try:
        yield times
    finally:
        over.set()
        for thread in threads:
            thread.join()
    for failure in failures:
        raise failure


def reader(url: str) -> Callable[[], Any]:
    conn = psycopg.connect(url, autocommit=True)
    return lambda: conn.execute("select count(*) from app.things").fetchall()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("schema/20_new.sql", "-- New.\nalter table app.things add column extra int;\n"),
        (
            "policies/things.sql",
            "alter table app.things enable row level security;\n"
            "create policy things__partner_select on app.things for select to partner using (id > 1);\n",
        ),
    ],
    ids=["step", "policy"],
)
def test_readers_do_not_queue_behind_a_migration_that_waits(
    sample: Sample, empty_database: str, name: str, text: str
) -> None:
    sample.migrate(empty_database)
    sample.write(name, text)
    sample.repin()
    with (
        repeated(lambda: reader(empty_database)) as times,
        held(empty_database, "select count(*) from app.things", 1.2),
    ):
        began = time.monotonic()
        assert sample.migrate(empty_database).changed
        assert time.monotonic() - began > 0.8
    assert max(times) < LONGEST_SECONDS


def test_caller_who_has_read_a_table_may_write_to_it_while_a_migration_waits_for_it(
    sample: Sample, empty_database: str
) -> None:
    sample.migrate(empty_database)
    sample.append(
        "functions/things.sql",
        "create trigger _100_touch before insert on app.things\n"
        "for each row when (false) execute function app.tg_more__touch();\n",
    )
    policy = (sample.tree.sql / "policies/things.sql").read_text()
    sample.write("policies/things.sql", policy.replace("id > 0", "id > 1"))
    waiting = "select from pg_locks where relation = 'app.things'::regclass and not granted"
    with psycopg.connect(empty_database) as conn, ThreadPoolExecutor(1) as pool:
        conn.execute("select count(*) from app.things")
        migration = pool.submit(sample.migrate, empty_database)
        wait_until(lambda: query(empty_database, waiting))
        conn.execute("insert into app.things (id) values (1)")
        conn.commit()
        assert migration.result().changed


def test_table_that_stays_locked_is_named(
    sample: Sample, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.migrate.locks.RETRY_SECONDS", 0.5)
    sample.migrate(empty_database)
    sample.write("schema/20_new.sql", "-- New.\nalter table app.things add column extra int;\n")
    sample.repin()
    with (
        held(empty_database, "select count(*) from app.things", 1.5),
        pytest.raises(MigrationError, match=r"0020_new: a table stayed locked for 0\.5 seconds"),
    ):
        sample.migrate(empty_database)
    assert sample.migrate(empty_database).steps == ["0020_new"]


def test_index_is_built_outside_a_transaction(sample: Sample, empty_databases: EmptyDatabase) -> None:
    url = empty_databases()
    sample.migrate(url)
    sample.write("schema/20_index.sql", INDEX)
    sample.repin()
    module = (sample.tree.migrations / "0020_index.py").read_text()
    assert "__transactional__ = False" in module
    assert '"""An index."""' in module
    with held(url, "insert into app.things (id) values (1)", 0.5):
        assert sample.migrate(url).steps == ["0020_index"]
    valid = "select indisvalid from pg_index where indexrelid = 'app.more_note_key'::regclass"
    assert query(url, valid) == [(True,)]
    assert not sample.migrate(url).changed
    fresh = empty_databases()
    sample.migrate(fresh)
    assert query(fresh, valid) == [(True,)]


def test_interrupted_step_outside_a_transaction_is_continued(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    run(empty_database, "insert into app.things (id) values (1), (2)")
    run(empty_database, "insert into app.more (id, note) values (1, 'same'), (2, 'same')")
    sample.write("schema/20_index.sql", INDEX)
    sample.repin()
    with pytest.raises(MigrationError, match=r"20_index\.sql:3: could not create unique index"):
        sample.migrate(empty_database)
    valid = "select indisvalid from pg_index where indexrelid = 'app.more_note_key'::regclass"
    assert query(empty_database, valid) == [(False,)]
    run(empty_database, "update app.more set note = 'other' where id = 2")
    assert sample.migrate(empty_database).steps == ["0020_index"]
    assert query(empty_database, valid) == [(True,)]


def test_statement_that_cannot_be_repeated_is_refused_outside_a_transaction(
    sample: Sample, empty_database: str
) -> None:
    sample.migrate(empty_database)
    sample.write("schema/20_index.sql", INDEX + "alter table app.more add column extra int;\n")
    sample.repin()
    with pytest.raises(MigrationError, match=r"20_index\.sql:4: outside a transaction"):
        sample.migrate(empty_database)
    assert query(empty_database, "select to_regclass('app.more_note_key')") == [(None,)]


def test_step_that_sorts_before_an_applied_one_is_refused(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    sample.write("schema/05_late.sql", "-- Late.\ncreate table app.late (id int);\n")
    sample.repin()
    with pytest.raises(MigrationError, match="0005_late sorts before 0010_more"):
        sample.migrate(empty_database)
    assert query(empty_database, "select to_regclass('app.late')") == [(None,)]


def test_dry_run_prints_sql_and_locks_and_changes_nothing(
    sample: Sample, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = empty_database[-8:]
    monkeypatch.setattr("hub.migrate.dry_run.new_mark", lambda: mark)
    assert preview_of(sample, empty_database) == [
        "the database is empty: 2 steps and all functions, policies and api"
    ]
    sample.migrate(empty_database)
    assert preview_of(sample, empty_database) == ["nothing to do"]
    sample.write(
        "schema/20_new.sql",
        "-- New.\ncreate table app.new_one (id int references app.things (id));\n"
        "create index more_note_idx on app.more (note);\n"
        "alter table app.more add column extra int;\n",
    )
    sample.write("schema/21_index.sql", INDEX)
    sample.repin()
    policy = (sample.tree.sql / "policies/things.sql").read_text()
    sample.write("policies/things.sql", policy.replace("id > 0", "id > 1"))
    sample.remove("api/things.sql")
    lines = preview_of(sample, empty_database)
    assert lines[:5] == [
        "-- step 0020_new",
        "-- lock: SHARE ROW EXCLUSIVE on app.things\n"
        "create table app.new_one (id int references app.things (id));",
        "-- lock: SHARE on app.more\ncreate index more_note_idx on app.more (note);",
        "-- lock: ACCESS EXCLUSIVE on app.more, raised from SHARE: put this statement first\n"
        "alter table app.more add column extra int;",
        "-- step 0021_index",
    ]
    text = "\n".join(lines)
    assert "-- outside a transaction, lock: SHARE UPDATE EXCLUSIVE on app.more" in text
    assert "-- replace policy, lock: ACCESS EXCLUSIVE on app.things\ncreate policy things__partner" in text
    assert "-- drop view, lock: ACCESS EXCLUSIVE on api.things\n-- api.things" in text
    assert query(empty_database, "select to_regclass('app.new_one'), to_regclass('api.things')::text") == [
        (None, "api.things")
    ]
    scratch = "select datname::text from pg_database where datname = %s"
    assert query(empty_database, scratch, f"hub_dry_run_{mark}") == []
    assert sample.migrate(empty_database).steps == ["0020_new", "0021_index"]


def preview_of(sample: Sample, url: str) -> list[str]:
    return preview(url, sql_root=sample.tree.sql, migrations_root=sample.tree.migrations)


def next_release(folder: Path) -> Tree:
    """This checkout with a new column, a new index, and a changed function, view, policy and trigger."""
    shutil.copytree(paths.sql_root(), folder / "sql")
    shutil.copytree(paths.migrations_root(), folder / "migrations")
    tree = Tree(folder / "sql", folder / "migrations")

    def edit(name: str, old: str, new: str) -> None:
        path = tree.sql / name
        text = path.read_text()
        assert old in text, name
        path.write_text(text.replace(old, new, 1))

    def add(name: str, text: str) -> None:
        (tree.sql / "schema" / name).write_text(text)

    add("97_upgrade.sql", "-- Upgrade.\nalter table app.orders add column upgrade_note text;\n")
    add(
        "98_upgrade_index.sql",
        "-- transaction: none\n-- Upgrade.\n"
        "create index concurrently orders_upgrade_idx on app.orders (upgrade_note)"
        " where upgrade_note <> '';\n",
    )
    edit("api/orders.sql", "\nfrom app.order_items as i", ", 1 as upgraded\nfrom app.order_items as i")
    edit(
        "policies/orders.sql",
        "create policy partner_orders on app.orders for select to partner\nusing (partner_id",
        "create policy partner_orders on app.orders for select to partner\nusing (true and partner_id",
    )
    edit("functions/pricing.sql", "select 5000", "select 4999")
    edit(
        "functions/orders.sql",
        "create trigger ",
        "create trigger _999_upgrade after update of upgrade_note on app.orders\n"
        "for each row execute function app.tg_append_only();\ncreate trigger ",
    )
    return tree


def upgrade_under_load(clone: Clone, folder: Path, *, seconds: float) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, partners=3, products=3, stock=1_000_000, credit=10**12)
    tree = next_release(folder)
    repin(tree)

    def shop(number: int) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            conn = psycopg.connect(url, autocommit=True)
            who, done = context.partners[number], iter(range(10**9))

            def order() -> None:
                with caller(conn, who.role, who.sub):
                    conn.execute(
                        "select api.submit_order(%s::jsonb, 0, null, %s)",
                        [json.dumps([{"sku": context.skus[0], "quantity": 1}]), f"{number} {next(done)}"],
                    )
                with caller(conn, who.role, who.sub, method="GET", path="/orders"):
                    conn.execute(
                        "select o.id, i.quantity from api.orders as o"
                        " join api.order_items as i on i.order_id = o.id"
                        " order by o.created_at desc limit 20"
                    ).fetchall()

            return order

        return prepare

    with repeated(shop(0), shop(1), shop(2)) as times:
        time.sleep(seconds)
        before = len(times)
        with held(url, "select count(*) from app.orders", 1):
            report = migrate(url, sql_root=tree.sql, migrations_root=tree.migrations)
        time.sleep(seconds)
        assert len(times) > before > 0
    assert report.steps == ["0097_upgrade", "0098_upgrade_index"]
    assert any("policy partner_orders on app.orders" in line for line in report.objects), report.objects
    assert max(times) < LONGEST_SECONDS, sorted(times)[-5:]
    with psycopg.connect(url, autocommit=True) as conn:
        assert broken_invariants(conn) == {}


def test_upgrade_under_load_fails_no_caller_and_delays_none_by_a_second(clone: Clone, tmp_path: Path) -> None:
    upgrade_under_load(clone, tmp_path, seconds=0.5)


@pytest.mark.long_form
@pytest.mark.parametrize("number", range(5))
def test_upgrades_under_longer_load(clone: Clone, tmp_path: Path, number: int) -> None:
    upgrade_under_load(clone, tmp_path / str(number), seconds=10)
