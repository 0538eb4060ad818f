"""The benchmarks measure what they claim. No test asserts a speed, because machines differ."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from devtools.bench import (
    BenchError,
    contention,
    cpu,
    environment,
    full_plan,
    history,
    hot,
    lists,
    outbox,
    plot,
    preconditions,
    quick_plan,
    run,
    scale,
    scenarios,
    stock,
)
from devtools.bench.pgbench import Round, percentile
from devtools.bench.results import Row
from hub import check, paths
from hub.cluster import Cluster

FIELDS = {"name": "submit_order", "clients": 4, "floor": 200.0, "ours": 90.0, "ratio": 0.5}
LEVELS = 2000
"""More than the other products of the benchmarks: 1,000."""


def databases(cluster: Cluster) -> set[str]:
    with psycopg.connect(cluster.url()) as conn:
        found = conn.execute("select datname from pg_database where datname like 'hub_bench_%'")
        return {row[0] for row in found.fetchall()}


@pytest.fixture(scope="module")
def bench_environment(cluster: Cluster) -> Iterator[environment.Environment]:
    """Both databases in the tests' cluster, with an order submitted."""
    with environment.prepared(cluster.url()) as prepared:
        scenarios.Side("submit_order").run(prepared, 1, 1)
        yield prepared


@pytest.mark.long_form
def test_run_writes_the_promised_rows_and_drops_its_databases(cluster: Cluster, tmp_path: Path) -> None:
    before = databases(cluster)
    file = tmp_path / "rows.json"
    tiny = scenarios.Bench(scenarios.SUBMIT.floor, scenarios.SUBMIT.ours, (1,))
    run(quick=True, json_file=file, database=cluster.url(), seconds=1, benches=[tiny], repetitions=1)
    rows: list[dict[str, Any]] = json.loads(file.read_text())
    assert [(row["name"], row["clients"]) for row in rows] == [
        ("floor_c", 1),
        ("submit_order", 1),
        ("submit_order_guarded", 1),
    ]
    for row in rows:
        assert row.keys() >= FIELDS.keys()
        assert row["floor"] > 0
        assert row["ours"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["floor"], rel=0.05)
    assert databases(cluster) <= before


@pytest.mark.long_form
def test_outbox_is_drained_beside_a_bare_queue(
    cluster: Cluster, bench_environment: environment.Environment
) -> None:
    ticks: list[str] = []
    found = {(row.name, row.clients): row for row in outbox.measure(bench_environment, 1, ticks.append, 2000)}
    assert set(found) == {
        *(("outbox", clients) for clients in outbox.CLIENTS),
        ("outbox_hot_reader", 2),
        ("outbox_pick_up", 1),
    }
    assert len(ticks) == len(found)
    for row in found.values():
        assert row.floors[0].tps > 0
        assert row.ours[0].tps > 0
    with bench_environment.admin(bench_environment.hub) as conn:
        states = conn.execute("select status, count(*) from app.messages group by 1").fetchall()
        assert states == [("SENT", outbox.PICKED_UP)]
        # An empty queue fails the benchmark.
        with pytest.raises(psycopg.Error, match="nothing to measure"):
            conn.execute("select bench.claim_batch(1)")


def test_stock_sync_stores_every_level_beside_a_bare_update(
    bench_environment: environment.Environment,
) -> None:
    ticks: list[str] = []
    [row] = stock.measure(bench_environment, 2, ticks.append, LEVELS)
    assert (row.name, len(row.ratios), len(ticks)) == ("stock_sync", 2, 3)
    with bench_environment.admin(bench_environment.hub) as conn:
        fresh = "select count(*) from app.inventory where last_sync_at > now() - interval '5 minutes'"
        assert conn.execute(fresh).fetchall()[0][0] >= LEVELS


def test_orders_are_submitted_as_role_partner_under_row_security(
    bench_environment: environment.Environment,
) -> None:
    with bench_environment.admin(bench_environment.hub) as conn:
        assert preconditions.orders_are_partners(conn) > 0
        preconditions.caller_is_partner(conn, bench_environment.hub_login)


def test_order_by_another_role_stops_the_benchmark(bench_environment: environment.Environment) -> None:
    with (
        bench_environment.admin(bench_environment.hub) as conn,
        conn.transaction(force_rollback=True),
    ):
        conn.execute("alter table app.order_events disable trigger user")
        conn.execute("update app.order_events set actor_role = 'system'")
        with pytest.raises(BenchError, match="by role partner"):
            preconditions.orders_are_partners(conn)


def test_failing_order_stops_the_benchmark_with_its_reason(
    bench_environment: environment.Environment,
) -> None:
    with bench_environment.admin(bench_environment.hub) as conn:
        conn.execute("update app.inventory set safety_buffer = 2000000000")
        try:
            with pytest.raises(BenchError) as refused:
                scenarios.Side("submit_order").run(bench_environment, 1, 1)
        finally:
            conn.execute("update app.inventory set safety_buffer = 10")
    assert "OUT_OF_STOCK" in refused.value.hint


def test_floor_has_foreign_keys_and_no_rule(bench_environment: environment.Environment) -> None:
    with bench_environment.admin(bench_environment.floor) as conn:
        kinds = dict(
            conn.execute(
                "select contype::text, count(*) from pg_constraint"
                " where connamespace = 'floor'::regnamespace group by 1"
            ).fetchall()
        )
        halves = conn.execute(
            "select relname from pg_class where 'fillfactor=50' = any (reloptions)"
        ).fetchall()
    assert kinds["f"] == 4
    assert {row[0] for row in halves} == {"partner", "stock"}


def row_of_order(conn: psycopg.Connection[Any], table: str, order: str) -> dict[str, Any]:
    """One row of the table that belongs to the order, less what differs from order to order."""
    column = "id" if table == "orders" else "order_id"
    found = conn.execute(
        f"select to_jsonb(t) from app.{table} as t where t.{column} = %s limit 1", [order]
    ).fetchall()[0][0]
    differing = {"id", "order_id", "order_number", "idempotency_key", "product_id", "position"}
    return {
        name: "a time" if name.endswith(("_at", "_since")) and value else value
        for name, value in found.items()
        if name not in differing
    }


def test_floor_c_writes_the_hubs_rows_without_triggers(bench_environment: environment.Environment) -> None:
    tables = ("orders", "order_items", "order_events", "messages", "audit_buffer")
    with bench_environment.admin(bench_environment.floor_c) as conn:

        def counts() -> list[int]:
            return [conn.execute(f"select count(*) from app.{name}").fetchall()[0][0] for name in tables]

        assert conn.execute(
            "select count(*) from pg_trigger where not tgisinternal"
            " and tgrelid::regclass::text ~ '^(app|auth|jobs)[.]'"
        ).fetchone() == (0,)
        assert conn.execute("select count(*) from pg_constraint where contype in ('f', 'c')").fetchall()[0][0]
        submitted = conn.execute("select id from app.orders").fetchall()[0][0]
        before = counts()
        query = "select bench.submit_by_hand(1, array[1, 201, 401, 601, 801])"
        written = conn.execute(query).fetchall()[0][0]
        assert [after - count for after, count in zip(counts(), before, strict=True)] == [1, 5, 1, 1, 1]
        for table in tables[:-1]:
            ours, theirs = row_of_order(conn, table, written), row_of_order(conn, table, submitted)
            if table == "order_items":
                assert ours.keys() == theirs.keys()
            else:
                assert ours == theirs


def test_processor_time_is_measured_for_floors_hub_and_guard(
    bench_environment: environment.Environment,
) -> None:
    rows = cpu.measure(bench_environment, lambda _: None, 0)
    assert [(row.name, row.lines) for row in rows] == [
        (cpu.FLOOR_B, 5),
        (cpu.FLOOR_C, 5),
        (cpu.HUB, 5),
        ("request guard", 0),
        (cpu.FLOOR_B, 200),
        (cpu.FLOOR_C, 200),
        (cpu.HUB, 200),
    ]
    for row in rows:
        assert 0 <= row.best <= row.figures()["median_us"] + 0.1
    long_floor, short_floor = rows[4], rows[0]
    assert long_floor.best > short_floor.best > 0
    assert cpu.table(rows).row_count == len(rows)


def test_processor_time_of_a_server_elsewhere_is_refused() -> None:
    connection: Any = SimpleNamespace(info=SimpleNamespace(backend_pid=os.getpid()))
    with pytest.raises(BenchError, match="cannot be read"):
        cpu.processor_ns(connection)


@pytest.mark.long_form
def test_another_checkout_is_migrated_by_its_own_migrator(cluster: Cluster) -> None:
    with environment.prepared(cluster.url(), compare=[paths.root()]) as prepared:
        [compared] = prepared.compared
        with prepared.admin(compared.hub) as conn:
            conn.execute("select bench.submit_order(1, array[1, 201, 401, 601, 801])")
        with prepared.admin(compared.floor_c) as conn:
            conn.execute("select bench.submit_by_hand(1, array[1, 201, 401, 601, 801])")


def test_comparison_with_a_folder_that_is_no_checkout_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    before = databases(cluster)
    with (
        pytest.raises(BenchError, match="no checkout"),
        environment.prepared(cluster.url(), compare=[tmp_path]),
    ):
        pass
    assert databases(cluster) <= before


@pytest.mark.long_form
def test_contention_submits_the_orders_and_counts_deadlocks(
    bench_environment: environment.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contention, "ROUNDS", 2)
    rows = contention.measure(bench_environment, 64, lambda _: None)
    assert [row.name for row in rows] == ["hot_partner", "contention"]
    assert rows[1].figures()["orders"] == 64
    for row in rows:
        assert row.figures().items() >= {"deadlocks": 0, "clients": 16}.items()
        assert len(row.ratios) == 2


def test_deadlock_fails_the_contention_benchmark(
    bench_environment: environment.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([(0, 0), (1, 32)])
    monkeypatch.setattr(contention, "_counts", lambda _: next(counts))
    monkeypatch.setattr(contention, "ROUNDS", 1)
    with pytest.raises(BenchError, match="1 deadlocks in 32 orders"):
        contention.measure(bench_environment, 16, lambda _: None)


def dangling(conn: psycopg.Connection[Any]) -> list[str]:
    """Names of the foreign keys that some row violates: they are not checked while orders are added."""
    keys = conn.execute(
        "select conname, conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint"
        " where contype = 'f' and conparentid = 0 and connamespace = 'app'::regnamespace"
    ).fetchall()
    found = []
    for name, table, definition in keys:
        try:
            with conn.transaction():
                conn.execute(f"alter table {table} drop constraint {name}")
                conn.execute(f"alter table {table} add constraint {name} {definition}")
        except psycopg.errors.ForeignKeyViolation:
            found.append(name)
    return found


def indexes(conn: psycopg.Connection[Any]) -> set[str]:
    """Names and definitions of all indexes of the hub."""
    found = conn.execute("select indexdef from pg_indexes where schemaname = 'app'").fetchall()
    return {row[0] for row in found}


@pytest.mark.long_form
def test_histories_of_each_size_are_consistent_and_what_is_measured_is_shown(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = [
        ("partner", "orders", "/orders?limit=20"),
        ("admin", "orders", "/orders?limit=20"),
        ("admin", "missing", "/no_such_view"),
    ]
    assert {role for role, *_ in lists.declared()} == {role for role, *_ in lists.CALLERS.values()}
    monkeypatch.setattr(lists, "declared", lambda: chosen)
    for name, value in (("_WARM_ROUNDS", 0), ("_JOB_ROUNDS", 1), ("_ORDERS", 1)):
        monkeypatch.setattr(scale, name, value)
    sizes = (150, 300)
    before = databases(cluster)
    with environment.prepared(cluster.url()) as prepared:
        with prepared.admin(prepared.hub) as conn:
            declared_indexes = indexes(conn)
        with history.built(prepared, sizes, lambda _: None) as built:
            for size, each in zip(sizes, built, strict=True):
                with each.connect() as conn:
                    assert conn.execute("select count(*) from app.orders").fetchone() == (size,)
                    assert indexes(conn) == declared_indexes
                    assert [f.invariant for f in check.check(conn) if f.rows] == []
            with built[0].connect() as conn:
                assert dangling(conn) == []
            rows = lists.measure(built, lambda _: None, requests=1)
            scaled = scale.measure(built, lambda _: None, submit_rounds=1)
    assert databases(cluster) == before
    found = {(row.name, row.caller): row for row in rows}
    assert set(found) == {
        *(("orders", caller) for caller, (role, *_) in lists.CALLERS.items() if role == "partner"),
        ("orders", "admin"),
        ("missing", "admin"),
    }
    assert [answer.rows for answer in found["orders", "admin"].answers.values()] == [20, 20]
    assert found["orders", "admin"].growth
    assert found["missing", "admin"].figures()["at"]["300"]["status"] == 404
    assert found["missing", "admin"].growth is None
    assert [table.row_count for table in lists.tables(rows)] == [4, 5]
    assert {row.name for row in scaled if row.kind == scale.JOB} == {*scale.jobs()} - {"history-purge"}
    assert [row.kind for row in scaled].count(scale.SUBMIT) == 1
    assert scale.table(scaled).row_count == len(scaled)
    written = {file.name: file.read_text() for file in plot.write([*rows, *scaled], tmp_path)}
    assert "300 orders" in written["bench-lists.svg"]
    assert "submit_order" in written["bench-scale.svg"]


def test_agents_of_few_partners_ask_for_lists_that_are_measured() -> None:
    agents = {name for role, name, _ in lists.declared() if role == "agent"}
    assert lists.replaced().keys() | set(lists.replaced().values()) <= agents
    assert lists.CALLERS.keys() > lists.AGENTS_OF_FEW_PARTNERS


def test_every_scheduled_job_is_measured() -> None:
    assert len(scale.jobs()) == len(list((paths.root() / "sql" / "jobs").glob("*.sql")))
    assert scale.jobs()["sla-sweep"] == "select jobs.sweep_service_level()"


def test_charts_show_orders_and_processor_time(tmp_path: Path) -> None:
    rows: list[Row | cpu.Row] = []
    for name in ("floor_c", "submit_order"):
        row = Row(name, 4)
        row.add(Round(200, 1, 2), Round(90, 3, 4))
        rows.append(row)
    rows.append(cpu.Row(cpu.HUB, 5, times=[1234.0]))
    throughput, processor_time = plot.write(rows, tmp_path)
    assert "90" in throughput.read_text()
    assert "1,234" in processor_time.read_text()
    assert "<script" not in throughput.read_text()


def test_ratio_compares_neighbouring_rounds_and_the_row_shows_the_median() -> None:
    row = Row("submit_order", 4)
    for floor, ours in ((100, 50), (200, 90), (400, 240)):
        row.add(Round(floor, 1, 2), Round(ours, 3, 4))
    assert row.ratios == [0.5, 0.45, 0.6]
    assert {name: row.figures()[name] for name in FIELDS} == FIELDS
    assert row.figures()["p95_ms"] == 4


def test_percentile_of_no_values_is_zero() -> None:
    assert percentile([], 0.95) == 0
    assert percentile([float(n) for n in range(100)], 0.95) == 95


def test_quick_plan_is_part_of_the_full_plan() -> None:
    assert all(bench in full_plan() for bench in quick_plan())
    assert quick_plan()[0].clients == (1, 4, 16)


@pytest.mark.long_form
def test_heap_only_updates_are_counted_and_fillfactors_left_as_set(
    bench_environment: environment.Environment,
) -> None:
    fillfactors = (
        "select relname, reloptions from pg_class where 'fillfactor=20' = any (reloptions) order by 1"
    )
    with bench_environment.admin(bench_environment.hub) as conn:
        before = conn.execute(fillfactors).fetchall()
        rows = {row.name: row for row in hot.measure(bench_environment, lambda _: None, 10)}
        assert conn.execute(fillfactors).fetchall() == before
    assert {"app.orders", "app.partners", "app.inventory", "app.messages"} <= set(rows)
    assert rows["app.orders"].ratio(hot.AS_SET) == 0, "each update changes an indexed status"
    for name in ("app.partners", "app.inventory"):
        assert rows[name].fillfactor == 20
        assert rows[name].ratio(hot.AS_SET) > 0.9
    assert hot.table([*rows.values()]).row_count == len(rows)
