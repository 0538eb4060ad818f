"""Profile submit_order: functions and triggers by their own time, statements by their total time.

Before the statistics are enabled, the processor time of one backend is compared with the floor's: it depends
less on other load of the machine than the throughput does.
"""

import os
import random
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from devtools.bench import pgbench
from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError
from hub.console import say

_WARM = 500
_METERED = 2000
_COUNTED = 3000
_WIDTH = 120

_FUNCTIONS = """
select f.schemaname || '.' || f.funcname, f.calls::float8 / %(n)s,
  1000 * f.self_time / %(n)s, 1000 * f.total_time / %(n)s
from pg_stat_user_functions as f where f.calls > 0 order by f.self_time desc limit 40
"""
_STATEMENTS = """
select regexp_replace(s.query, '\\s+', ' ', 'g'), s.calls::float8 / %(n)s, 1000 * s.total_exec_time / %(n)s,
  s.wal_bytes::float8 / %(n)s
from pg_stat_statements as s join pg_database as d on d.oid = s.dbid and d.datname = current_database()
where not s.toplevel order by s.total_exec_time desc limit 40
"""


def profile(environment: Environment) -> None:
    """Run submit_order with one client and all statistics, and print the most expensive parts."""
    with environment.admin(environment.hub) as conn:
        pgbench.run("floor", environment.floor_login, clients=1, transactions=_WARM)
        pgbench.run("submit_order", environment.hub_login, clients=1, transactions=_WARM)
        environment.settle(analyze=True)
        floor, ours = (
            _processor_us(environment.floor_login, "select floor.submit_order(%s, %s)"),
            _processor_us(environment.hub_login, "select bench.submit_order(%s, %s)"),
        )
        if floor and ours:
            say(
                f"processor time per order: floor {floor:.0f} µs, hub {ours:.0f} µs, ratio {floor / ours:.2f}"
            )
        _enable_statistics(conn)
        pgbench.run("submit_order", environment.hub_login, clients=1, transactions=_WARM)
        environment.settle(analyze=True)
        conn.execute("select pg_stat_reset()")
        conn.execute("select pg_stat_statements_reset()")
        done = pgbench.run("submit_order", environment.hub_login, clients=1, transactions=_COUNTED)
        say(f"{_COUNTED} orders by one client, statistics on: {done.tps:,.0f}/s, median {done.p50_ms:.2f} ms")
        _show(conn, "functions and triggers by their own time", _FUNCTIONS, "total µs")
        _show(conn, "statements inside functions", _STATEMENTS, "WAL bytes")


def _processor_us(login: str, query: str) -> float | None:
    """Processor time of one order in the server, in µs; None if the server runs on another machine."""
    with psycopg.connect(login, autocommit=True, prepare_threshold=0) as conn:
        stat = Path(f"/proc/{conn.info.backend_pid}/stat")

        def submit(count: int) -> None:
            for _ in range(count):
                products = [random.randint(1 + 200 * i, 200 + 200 * i) for i in range(5)]  # noqa: S311
                conn.execute(query.encode(), [random.randint(1, 1000), products])  # noqa: S311

        submit(_WARM)
        if not stat.exists() or b"postgres" not in stat.read_bytes():
            return None
        before = _ticks(stat)
        submit(_METERED)
        return (_ticks(stat) - before) * 1e6 / os.sysconf("SC_CLK_TCK") / _METERED


def _ticks(stat: Path) -> int:
    """User and system time of a process, in the kernel's ticks."""
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _enable_statistics(conn: psycopg.Connection[Any]) -> None:
    try:
        conn.execute("create extension if not exists pg_stat_statements")
        conn.execute("select count(*) from pg_stat_statements")
    except psycopg.Error as error:
        raise BenchError(
            "the profile needs pg_stat_statements in shared_preload_libraries", hint=str(error).strip()
        ) from None
    name = sql.Identifier(conn.info.dbname)
    for setting, value in (("track_functions", "all"), ("pg_stat_statements.track", "all")):
        conn.execute(sql.SQL("alter database {} set {} = {}").format(name, sql.SQL(setting), value))


def _show(conn: psycopg.Connection[Any], title: str, query: str, last: str) -> None:
    """Print plain lines, each statement cut at the right."""
    say(f"\n{title}; all figures per order")
    say(f"{'calls':>7} {'µs' if last == 'WAL bytes' else 'own µs':>9} {last:>9}")
    for what, calls, first, second in conn.execute(query.encode(), {"n": _COUNTED}).fetchall():
        say(f"{calls:7.1f} {first:9.1f} {second:9.1f}  {str(what)[:_WIDTH]}")
