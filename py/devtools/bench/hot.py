"""Heap-only updates of the tables that are updated often, with and without room left in their pages."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from rich.table import Table

from devtools.bench import pgbench
from devtools.bench.environment import Environment
from devtools.bench.pgbench import SQL

LIVES = 400
"""Orders of a client: submitted, answered, approved, paid, shipped and completed, with their messages."""

CLIENTS = 4
FULL, AS_SET = "pages filled", "as set"
VARIANTS = (FULL, AS_SET)
"""In this order, so that the tables are left as the schema sets them."""

_JOBS = (
    "call jobs.flush_audit()",
    "call jobs.process_point_queue()",
    "select jobs.sweep_service_level()",
    "select jobs.reap_leases()",
    "select jobs.refresh_statistics()",
)
ROUNDS = 5
_FEW = 100
"""Tables with fewer updates are left out."""

Tick = Callable[[str], None]


@dataclass
class Row:
    """The updates of one table."""

    name: str
    fillfactor: int
    updates: dict[str, int] = field(default_factory=dict)
    hot: dict[str, int] = field(default_factory=dict)

    def ratio(self, variant: str) -> float:
        """Heap-only updates by all updates."""
        return self.hot[variant] / self.updates[variant]

    def figures(self) -> dict[str, Any]:
        """The entry of the JSON file."""
        return {
            "name": "hot",
            "table": self.name,
            "fillfactor": self.fillfactor,
            "updates": self.updates,
            "ratio": {variant: round(self.ratio(variant), 3) for variant in self.updates},
        }


def measure(environment: Environment, tick: Tick, lives: int = LIVES) -> list[Row]:
    """Let orders live, with the fillfactors as the schema sets them and with filled pages."""
    with environment.admin(environment.hub) as conn:
        conn.execute((SQL / "hot.sql").read_bytes())
        tables = _tables(conn)
        rows = {name: Row(name, fillfactor) for name, fillfactor in tables.items()}
        for variant in VARIANTS:
            for name, fillfactor in tables.items():
                _fill(conn, name, fillfactor if variant == AS_SET else 100)
            conn.execute("vacuum analyze")
            before = _counts(conn, tables)
            for number in range(ROUNDS):
                done = pgbench.run(
                    "hot", environment.hub_login, clients=CLIENTS, transactions=lives // ROUNDS
                )
                for job in _JOBS:
                    conn.execute(job.encode())
                tick(f"{variant}, {number + 1} of {ROUNDS} rounds: {done.tps:,.0f} lives a second")
            for name, after in _counts(conn, tables).items():
                updates, hot = (count - start for count, start in zip(after, before[name], strict=True))
                rows[name].updates[variant], rows[name].hot[variant] = updates, hot
    return [row for row in rows.values() if min(row.updates.values()) >= min(_FEW, lives)]


def _tables(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """Tables of the hub and their fillfactor."""
    return {
        name: int(fillfactor or 100)
        for name, fillfactor in conn.execute(
            "select c.oid::regclass::text,"
            " (select o.option_value from pg_options_to_table(c.reloptions) as o"
            "  where o.option_name = 'fillfactor')"
            " from pg_class as c where c.relnamespace::regnamespace::text in ('app', 'auth', 'jobs')"
            " and c.relkind = 'r' order by 1"
        )
    }


def _fill(conn: psycopg.Connection[Any], table: str, fillfactor: int) -> None:
    """Set the fillfactor and rewrite the table, as if it had always been so."""
    name = sql.Identifier(*table.split("."))
    conn.execute(sql.SQL("alter table {} set (fillfactor = {})").format(name, fillfactor))
    conn.execute(sql.SQL("vacuum full {}").format(name))


def _counts(conn: psycopg.Connection[Any], tables: Collection[str]) -> dict[str, tuple[int, int]]:
    """By table its updates, and those that were heap-only."""
    conn.execute("select pg_stat_force_next_flush()")
    return {
        name: (updates, hot)
        for name, updates, hot in conn.execute(
            "select s.relid::regclass::text, s.n_tup_upd, s.n_tup_hot_upd"
            " from pg_stat_user_tables as s where s.relid = any (%s::regclass[])",
            [[*tables]],
        )
    }


def table(rows: Sequence[Row]) -> Table:
    """The share of heap-only updates, by table and variant."""
    shown = Table(title="heap-only updates of all updates")
    for name in ("table", "fillfactor", "updates", *VARIANTS):
        shown.add_column(name, justify="left" if name == "table" else "right")
    for row in sorted(rows, key=lambda r: -r.updates[AS_SET]):
        ratios = [f"{row.ratio(variant):.1%}" for variant in VARIANTS]
        shown.add_row(row.name, str(row.fillfactor), f"{row.updates[AS_SET]:,}", *ratios)
    return shown
