"""The outbox beside a bare queue: throughput of claims and reports, and delay until a claim."""

import time
from collections.abc import Callable
from statistics import median

import psycopg

from devtools.bench import pgbench
from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError
from devtools.bench.pgbench import SQL, Round, percentile
from devtools.bench.results import Row

CLIENTS = (1, 2, 4)
BATCH = 100
"""Messages of one claim and of one report, as in sql/outbox*.pgbench."""

MESSAGES = 20_000
PICKED_UP = 200
HOT = 5_000
"""Messages to one recipient, ahead of all others."""

_ORDERS = 50

Tick = Callable[[str], None]


def measure(environment: Environment, repetitions: int, tick: Tick, messages: int = MESSAGES) -> list[Row]:
    """Measure floor and hub in turn: many recipients, one hot recipient, single messages to a listener."""
    _prepare(environment)
    found = []
    for name, clients, hot in [("outbox", n, 0) for n in CLIENTS] + [("outbox_hot_reader", 2, HOT)]:
        row = Row(name, clients)
        for _ in range(repetitions):
            row.add(*(_drain(environment, which, clients, messages, hot) for which in ("floor", "hub")))
            tick(f"{name}, {clients} clients: {row.ours[-1].tps:,.0f} messages/s")
        found.append(row)
    picked = Row("outbox_pick_up", 1)
    for _ in range(repetitions):
        picked.add(*(_pick_up(environment, which) for which in ("floor", "hub")))
        tick(f"outbox_pick_up: {picked.ours[-1].p95_ms:.1f} ms")
    return [*found, picked]


def _prepare(environment: Environment) -> None:
    """Create the tables and functions of both sides, and orders that messages refer to."""
    for file, url in (("outbox", environment.hub), ("outbox_floor", environment.floor)):
        with environment.admin(url) as conn:
            conn.execute((SQL / f"{file}.sql").read_bytes())
    pgbench.run("submit_order", environment.hub_login, clients=1, transactions=_ORDERS)


def _drain(environment: Environment, which: str, clients: int, messages: int, hot: int) -> Round:
    """Fill the queue and let the clients take nine tenths of it in batches."""
    _fill(environment, which, messages, hot)
    batches = messages * 9 // 10 // BATCH // clients
    script, login = (
        ("outbox", environment.hub_login) if which == "hub" else ("outbox_floor", environment.floor_login)
    )
    done = pgbench.run(script, login, clients=clients, transactions=batches)
    return Round(done.tps * BATCH, done.p50_ms, done.p95_ms)


def _fill(environment: Environment, which: str, messages: int, hot: int) -> None:
    table = "app.messages" if which == "hub" else "floor.queue"
    with environment.admin(environment.hub if which == "hub" else environment.floor) as conn:
        conn.execute(f"select {_schema(which)}.fill_outbox(%s, %s)", [messages, hot])
        conn.execute(f"vacuum analyze {table}")
        conn.execute("checkpoint")


def _schema(which: str) -> str:
    return "bench" if which == "hub" else "floor"


def _pick_up(environment: Environment, which: str) -> Round:
    """Enqueue single messages; measures from the commit until a listener has claimed each."""
    _fill(environment, which, 0, 0)
    schema, login = _schema(which), environment.hub_login if which == "hub" else environment.floor_login
    waited = []
    kind = "uuid" if which == "hub" else "bigint"
    began = time.monotonic()
    with (
        psycopg.connect(login, autocommit=True) as worker,
        psycopg.connect(login, autocommit=True) as sender,
    ):
        worker.execute("listen hub_messages")
        for _ in range(PICKED_UP):
            sender.execute(f"select {schema}.enqueue_one()")
            committed = time.monotonic()
            if not list(worker.notifies(timeout=5, stop_after=1)):
                raise BenchError("no listener was notified of a message")
            taken = worker.execute(f"select {schema}.claim_batch(10)").fetchall()[0][0]
            waited.append((time.monotonic() - committed) * 1000)
            worker.execute(f"select {schema}.mark_sent(%s::{kind}[])", [taken])
    return Round(PICKED_UP / (time.monotonic() - began), median(waited), percentile(waited, 0.95))
