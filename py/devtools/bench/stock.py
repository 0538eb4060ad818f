"""A stock sync of 50,000 products beside a bare COPY and UPDATE of the same rows: levels a second."""

import json
import random
import time
from collections.abc import Callable

from devtools.bench.environment import Place
from devtools.bench.errors import BenchError
from devtools.bench.pgbench import SQL, Round
from devtools.bench.results import Row

LEVELS = 50_000

Tick = Callable[[str], None]


def measure(place: Place, repetitions: int, tick: Tick, levels: int = LEVELS) -> list[Row]:
    """Floor and hub in turn; every level is a new one. One untimed sync on each side goes before."""
    _prepare(place)
    chance = random.Random(1)  # noqa: S311
    row = Row("stock_sync", 1)
    for number in range(repetitions + 1):
        told = [(f"STOCK-{i}", chance.randint(0, 100_000)) for i in range(1, levels + 1)]
        chance.shuffle(told)
        floor, ours = _bare(place, told), _ours(place, told)
        if number:
            row.add(floor, ours)
        tick(f"stock_sync: {ours.p50_ms:,.0f} ms, bare {floor.p50_ms:,.0f} ms")
    with place.admin(place.floor) as conn:
        conn.execute("drop schema floor_stock cascade")
    return [row]


def _prepare(place: Place) -> None:
    for file, url in (("stock", place.hub), ("stock_floor", place.floor)):
        with place.admin(url) as conn:
            conn.execute((SQL / f"{file}.sql").read_bytes())
    place.settle(analyze=True)


def _bare(place: Place, told: list[tuple[str, int]]) -> Round:
    with place.admin(place.floor) as conn:
        began = time.monotonic()
        with conn.transaction(), conn.cursor() as cursor:
            cursor.execute("create temporary table told (sku text, quantity int) on commit drop")
            with cursor.copy("copy told from stdin") as copy:
                copy.write("".join(f"{sku}\t{quantity}\n" for sku, quantity in told))
            cursor.execute(
                "update floor_stock.inventory as s set erp_stock = t.quantity, last_sync_at = now()"
                " from told as t join floor_stock.goods as g on g.sku = t.sku where s.product_id = g.id"
            )
            changed = cursor.rowcount
        return _round(began, changed, told)


def _ours(place: Place, told: list[tuple[str, int]]) -> Round:
    with place.admin(place.hub) as conn:
        began = time.monotonic()
        levels = json.dumps([{"sku": sku, "quantity": quantity} for sku, quantity in told])
        with conn.transaction():
            answer = conn.execute("select bench.apply_stock(%s)", [levels]).fetchall()[0][0]
        return _round(began, answer["applied"], told)


def _round(began: float, changed: int, told: list[tuple[str, int]]) -> Round:
    seconds = time.monotonic() - began
    if changed != len(told):
        raise BenchError(f"{changed} of {len(told)} levels were stored")
    return Round(len(told) / seconds, seconds * 1000, seconds * 1000)
