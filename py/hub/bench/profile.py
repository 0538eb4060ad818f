"""Where submit_order spends its time: functions and triggers by their own time, statements by their total."""

from typing import Any

import psycopg
from psycopg import sql
from rich.table import Table

from hub.bench import pgbench
from hub.bench.errors import BenchError
from hub.bench.place import Place
from hub.console import out

_WARM = 500
_COUNTED = 3000
_WIDTH = 140  # statements are long, and a log has no width of its own

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


def profile(place: Place) -> None:
    """Run submit_order by one client with every statistic on, and print what costs most an order."""
    with place.admin(place.hub) as conn:
        _switch_on(conn)
        pgbench.run("submit_order", place.hub_login, clients=1, transactions=_WARM)
        place.settle(analyze=True)
        conn.execute("select pg_stat_reset()")
        conn.execute("select pg_stat_statements_reset()")
        done = pgbench.run("submit_order", place.hub_login, clients=1, transactions=_COUNTED)
        out.print(
            f"{_COUNTED} orders by one client, statistics on: {done.tps:,.0f}/s, median {done.p50_ms:.2f} ms"
        )
        _show(conn, "functions and triggers by their own time", _FUNCTIONS, "total µs")
        _show(conn, "statements inside functions", _STATEMENTS, "WAL bytes")


def _switch_on(conn: psycopg.Connection[Any]) -> None:
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
    shown = Table(title=f"{title}; all figures an order")
    shown.add_column("what", overflow="ellipsis", no_wrap=True, max_width=100)
    for name in ("calls", "µs" if last == "WAL bytes" else "own µs", last):
        shown.add_column(name, justify="right")
    for what, calls, first, second in conn.execute(query.encode(), {"n": _COUNTED}).fetchall():
        shown.add_row(str(what)[:100].replace("[", "\\["), f"{calls:.1f}", f"{first:.1f}", f"{second:.1f}")
    out.print(shown, width=max(out.width, _WIDTH))
