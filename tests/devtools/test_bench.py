"""The benchmarks measure what they claim. No test asserts a speed, because machines differ."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.bench import (
    BenchError,
    environment,
    full_plan,
    outbox,
    preconditions,
    quick_plan,
    run,
    scenarios,
    stock,
)
from devtools.bench.pgbench import Round, percentile
from devtools.bench.results import Row
from hub.cluster import Cluster

FIELDS = {"name": "submit_order", "clients": 4, "floor": 200.0, "ours": 90.0, "ratio": 0.5}


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


def test_run_writes_the_promised_rows_and_drops_its_databases(cluster: Cluster, tmp_path: Path) -> None:
    before = databases(cluster)
    file = tmp_path / "rows.json"
    tiny = scenarios.Bench(scenarios.SUBMIT.floor, scenarios.SUBMIT.ours, (1,))
    run(quick=True, json_file=file, database=cluster.url(), seconds=1, benches=[tiny], repetitions=1)
    rows: list[dict[str, Any]] = json.loads(file.read_text())
    assert [(row["name"], row["clients"]) for row in rows] == [
        ("submit_order", 1),
        ("submit_order_guarded", 1),
    ]
    for row in rows:
        assert row.keys() >= FIELDS.keys()
        assert row["floor"] > 0
        assert row["ours"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["floor"], rel=0.05)
    assert databases(cluster) <= before


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
    [row] = stock.measure(bench_environment, 2, ticks.append)
    assert (row.name, len(row.ratios), len(ticks)) == ("stock_sync", 2, 3)
    with bench_environment.admin(bench_environment.hub) as conn:
        fresh = "select count(*) from app.inventory where last_sync_at > now() - interval '5 minutes'"
        assert conn.execute(fresh).fetchall()[0][0] >= stock.LEVELS


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
