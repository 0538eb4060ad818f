"""Pooling: many clients on few connections to PostgreSQL, and what they see when none is free."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from rich.table import Table

from devtools.pooling.environment import Environment, temporary
from devtools.pooling.load import Load, in_sql, over_http
from hub import paths, settings
from hub.console import out, say
from hub.errors import UserError
from hub.stack import gateway as gateways
from hub.stack import pgbouncer

FULL = "504 PGRST003"
"""What a request gets that found no free connection in time."""

LOCKED = "500 55P03"
"""What a request gets that had a connection, but waited for a lock for longer than its role may."""

_LOCK_SECONDS = 5  # lock_timeout of the roles (sql/roles.sql)
_SLACK_SECONDS = 5


WAYS = ("gateway", "PgBouncer", "gateway behind PgBouncer")
"""What the clients connect to."""


def measure(environment: Environment, way: str, *, clients: int, seconds: float) -> Load:
    """Load one of WAYS with so many clients."""
    observer, direct = environment.superuser_url, environment.settings.authenticator_url
    if way == "PgBouncer":
        partner = environment.a_partner()
        with environment.pooler() as pooled:
            return in_sql(way, pooled, partner, observer, clients=clients, seconds=seconds)
    tokens, behind = environment.callers(clients), way != "gateway"
    with ExitStack() as stack:
        database = stack.enter_context(environment.pooler()) if behind else direct
        url = stack.enter_context(environment.serving(database, pooled=behind))
        return over_http(way, url, tokens, observer, seconds=seconds)


def exhaust(
    environment: Environment, *, clients: int, hold_seconds: float, wait_seconds: int = gateways.WAIT_SECONDS
) -> tuple[Load, Load]:
    """Lock a table for so long while as many clients read it; returns what they see, and what they see later.

    `wait_seconds`: how long a request waits for a connection.
    """
    tokens, observer = environment.callers(clients), environment.superuser_url
    with environment.serving(environment.settings.authenticator_url, wait_seconds=wait_seconds) as url:
        with _locked(observer, hold_seconds):
            refused = over_http("exhausted", url, tokens, observer)
        return refused, over_http("afterwards", url, tokens[: gateways.POOL_SIZE], observer)


@contextmanager
def _locked(url: str, seconds: float) -> Iterator[None]:
    """Lock what every path of the load reads, until the block or the time ends."""
    done = threading.Event()
    with psycopg.connect(url) as conn:
        conn.execute("lock table app.products, app.orders in access exclusive mode")

        def release() -> None:
            done.wait(seconds)
            conn.rollback()

        timer = threading.Thread(target=release)
        timer.start()
        try:
            yield
        finally:
            done.set()
            timer.join()


def violations(loads: list[Load]) -> list[str]:
    """What is wrong with loads that should have succeeded."""
    found = [f"{load.way}: {number} x {error}" for load in loads for error, number in load.errors.items()]
    for load in loads:
        if not load.requests:
            found.append(f"{load.way}: no request succeeded")
        if load.connections > gateways.POOL_SIZE:
            found.append(f"{load.way}: {load.connections} connections to PostgreSQL")
    return found


def violations_of_exhaustion(refused: Load, afterwards: Load, wait_seconds: float) -> list[str]:
    """What is wrong with the answers of an exhausted pool, and with those after it."""
    found = [
        f"{refused.way}: {number} x {error}"
        for error, number in refused.errors.items()
        if error not in (FULL, LOCKED)
    ]
    if refused.errors[FULL] < refused.clients - 3 * gateways.POOL_SIZE:
        found.append(f"{refused.way}: only {refused.errors[FULL]} of {refused.clients} were answered {FULL}")
    longest = wait_seconds + _LOCK_SECONDS + _SLACK_SECONDS
    if refused.slowest_ms > longest * 1000:
        found.append(f"{refused.way}: an answer took {refused.slowest_ms:,.0f} ms")
    return [*found, *violations([afterwards])]


def run(*, clients: int, seconds: float, json_file: Path | None) -> None:
    """Measure, exhaust the pool and print a table; raises UserError if a client saw an error."""
    started = time.monotonic()
    choice = gateways.choose(settings.read().gateway, paths.root() / ".cache" / "postgrest")
    say(choice.banner)
    say(f"PgBouncer {pgbouncer.version()}; {clients} clients, {seconds:.0f} s each way")
    with temporary(choice) as environment:
        loads = [measure(environment, way, clients=clients, seconds=seconds) for way in WAYS]
        hold = gateways.WAIT_SECONDS + _LOCK_SECONDS
        refused, afterwards = exhaust(environment, clients=clients, hold_seconds=hold)
    every = [*loads, refused, afterwards]
    _show(every)
    say(f"measured in {time.monotonic() - started:.0f} s")
    if json_file:
        json_file.write_text(json.dumps([_plain(load) for load in every], indent=2) + "\n")
    found = violations(loads) + violations_of_exhaustion(refused, afterwards, gateways.WAIT_SECONDS)
    if found:
        raise UserError("clients saw what they should not", hint="\n  ".join(found))


def _plain(load: Load) -> dict[str, Any]:
    return vars(load) | {"errors": dict(load.errors), "per_second": round(load.per_second, 1)}


def _show(loads: list[Load]) -> None:
    table = Table("Way", "Conns", "Requests", "/s", "p50 ms", "p95 ms", "max ms", "Errors")
    for load in loads:
        figures = (load.requests, load.per_second, load.p50_ms, load.p95_ms, load.slowest_ms)
        shown = (f"{figure:,.0f}" for figure in figures)
        table.add_row(load.way, str(load.connections), *shown, f"{load.errors.total():,}")
    out.print(table)
    for load in loads:
        for error, number in load.errors.items():
            say(f"{load.way}: {number} x {error}")
