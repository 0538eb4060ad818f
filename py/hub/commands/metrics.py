"""hub metrics: jobs, ERP streams and standbys in Prometheus' text format."""

from pathlib import Path

import psycopg
from prometheus_client import CollectorRegistry, Gauge, generate_latest, write_to_textfile
from psycopg.rows import dict_row

from hub import settings
from hub.console import say
from hub.errors import UserError

GAUGES = {
    "is_late": ("hub_job_late", "1 while a success is overdue or a standby is away"),
    "seconds_since_success": ("hub_job_seconds_since_success", "Seconds since the last success"),
    "backlog": ("hub_job_backlog", "Entries that wait for the job"),
    "backlog_seconds": ("hub_job_backlog_seconds", "Age of the oldest entry that waits, in seconds"),
    "failing": ("hub_job_failing", "Entries that failed and are tried again"),
    "lag_bytes": ("hub_standby_lag_bytes", "WAL that the standby has not replayed, in bytes"),
    "lag_seconds": ("hub_standby_lag_seconds", "Seconds by which the standby is behind"),
}
"""Name and description of the metric of each column; a column that is null has no sample."""

_STANDBY = "standby:"


def metrics(database: str | None, output: Path | None) -> None:
    """Print the metrics, or replace `output` by them for node_exporter's textfile collector.

    Raises UserError if the database cannot be read or the file cannot be written.
    """
    try:
        with psycopg.connect(settings.database_url(database), connect_timeout=10) as conn:
            registry = collect(conn)
    except psycopg.Error as error:
        raise UserError(f"the metrics cannot be read: {str(error).strip()}") from None
    if output is None:
        say(generate_latest(registry).decode().rstrip("\n"))
        return
    try:
        write_to_textfile(str(output), registry)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None


def collect(conn: psycopg.Connection[tuple[object, ...]]) -> CollectorRegistry:
    """The metrics of every row of job_health."""
    registry = CollectorRegistry()
    gauges = {
        column: Gauge(name, text, ["standby" if column.startswith("lag_") else "job"], registry=registry)
        for column, (name, text) in GAUGES.items()
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute("select * from jobs.health()").fetchall():
            job = row["job"]
            values = {column: row.get(column) for column in GAUGES}
            if job.startswith(_STANDBY):
                values = {
                    "is_late": row["is_late"],
                    "lag_bytes": row["backlog"],
                    "lag_seconds": row["backlog_seconds"],
                }
            for column, value in values.items():
                if value is not None:
                    label = job.removeprefix(_STANDBY) if column.startswith("lag_") else job
                    gauges[column].labels(label).set(float(value))
    return registry
