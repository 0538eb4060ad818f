"""A stock sync of many products beside a bare COPY and UPDATE of the same rows: levels a second."""

import json
import random
import time
from collections.abc import Callable

from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError
from devtools.bench.pgbench import SQL, Round
from devtools.bench.results import Row

LEVELS = 50_000
"""Products of a sync."""

Tick = Callable[[str], None]


def measure(environment: Environment, repetitions: int, tick: Tick, products: int = LEVELS) -> list[Row]:
    """Measure floor and hub in turn, with new levels each time, after one untimed sync on each side."""
    _prepare(environment, products)
    chance = random.Random(1)  # noqa: S311
    row = Row("stock_sync", 1)
    for number in range(repetitions + 1):
        levels = [(f"STOCK-{i}", chance.randint(0, 100_000)) for i in range(1, products + 1)]
        chance.shuffle(levels)
        floor, ours = _bare(environment, levels), _ours(environment, levels)
        if number:
            row.add(floor, ours)
        tick(f"stock_sync: {ours.p50_ms:,.0f} ms, bare {floor.p50_ms:,.0f} ms")
    with environment.admin(environment.floor) as conn:
        conn.execute("drop schema floor_stock cascade")
    return [row]


def _prepare(environment: Environment, products: int) -> None:
    for file, url in (("stock", environment.hub), ("stock_floor", environment.floor)):
        with environment.admin(url) as conn:
            conn.execute("select set_config('bench.products', %s, false)", [str(products)])
            conn.execute((SQL / f"{file}.sql").read_bytes())
    environment.settle(analyze=True)


def _bare(environment: Environment, levels: list[tuple[str, int]]) -> Round:
    with environment.admin(environment.floor) as conn:
        began = time.monotonic()
        with conn.transaction(), conn.cursor() as cursor:
            cursor.execute("create temporary table levels (sku text, quantity int) on commit drop")
            with cursor.copy("copy levels from stdin") as copy:
                copy.write("".join(f"{sku}\t{quantity}\n" for sku, quantity in levels))
            cursor.execute(
                "update floor_stock.inventory as s set erp_stock = t.quantity, last_sync_at = now()"
                " from levels as t join floor_stock.products as p on p.sku = t.sku where s.product_id = p.id"
            )
            changed = cursor.rowcount
        return _round(began, changed, levels)


def _ours(environment: Environment, levels: list[tuple[str, int]]) -> Round:
    with environment.admin(environment.hub) as conn:
        began = time.monotonic()
        document = json.dumps([{"sku": sku, "quantity": quantity} for sku, quantity in levels])
        with conn.transaction():
            answer = conn.execute("select bench.apply_stock(%s)", [document]).fetchall()[0][0]
        return _round(began, answer["applied"], levels)


def _round(began: float, changed: int, levels: list[tuple[str, int]]) -> Round:
    seconds = time.monotonic() - began
    if changed != len(levels):
        raise BenchError(f"{changed} of {len(levels)} levels were stored")
    return Round(len(levels) / seconds, seconds * 1000, seconds * 1000)
