"""hub metrics: the figures of `GET /rpc/metrics`, and those that only the machine knows."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from hub import settings
from hub.backup import erasures
from hub.console import say
from hub.errors import UserError
from hub.stack.layout import Stack

MACHINE = {
    "hub_disk_free_ratio": "Free space of the data folder's disk, by its size",
    "hub_backup_age_seconds": "Seconds since the last backup ended",
    "hub_erasures_missing": "Erasures that a restore has undone and not repeated",
}
"""What `hub metrics` adds for the machine of a stack: the last two where there are backups."""


def metrics(database: str | None, output: Path | None) -> None:
    """Print the metrics, or replace `output` by them for node_exporter's textfile collector.

    Without `database` those of the stack's machine are added: disk and backups. Raises UserError if the
    database cannot be read or the file cannot be written.
    """
    try:
        with psycopg.connect(settings.database_url(database), connect_timeout=10) as conn:
            row = conn.execute("select app.metrics()").fetchall()[0]
            text = str(row[0]) + ("" if settings.external_database_url(database) else machine(conn))
    except psycopg.Error as error:
        raise UserError(f"the metrics cannot be read: {str(error).strip()}") from None
    if output is None:
        say(text.rstrip("\n"))
        return
    try:
        making = output.with_name(f"{output.name}.making")
        making.write_text(text)
        making.replace(output)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None


def machine(conn: psycopg.Connection[tuple[object, ...]]) -> str:
    """Metrics of the stack's machine."""
    stack = Stack.existing()
    usage = shutil.disk_usage(stack.folder)
    values = {"hub_disk_free_ratio": usage.free / usage.total}
    repository = stack.backups
    if repository.is_enabled:
        backups = repository.backups()
        age = (datetime.now(UTC) - backups[-1].ended_at).total_seconds() if backups else float("inf")
        values |= {
            "hub_backup_age_seconds": age,
            "hub_erasures_missing": len(erasures.missing(conn, repository.storage)),
        }
    registry = CollectorRegistry()
    for name, value in values.items():
        Gauge(name, MACHINE[name], registry=registry).set(value)
    return generate_latest(registry).decode()
