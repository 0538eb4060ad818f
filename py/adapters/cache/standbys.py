"""The lag of the standbys, as metrics of this process."""

import asyncio
from contextlib import suppress

from prometheus_client import Gauge

from adapters.cache.database import Database, Standby
from adapters.cache.errors import RefusedError

LAG_BYTES = Gauge("hub_standby_lag_bytes", "WAL that the standby has not replayed, in bytes", ["standby"])
LAG_SECONDS = Gauge("hub_standby_lag_seconds", "Seconds by which the standby is behind", ["standby"])
LATE = Gauge("hub_standby_late", "1 while the standby is away or more than 60 seconds behind", ["standby"])

_SECONDS = 2.0


def show(standbys: list[Standby]) -> None:
    """Replace the samples by these; a standby that is away has no lag in seconds."""
    for gauge in (LAG_BYTES, LAG_SECONDS, LATE):
        gauge.clear()
    for standby in standbys:
        LAG_BYTES.labels(standby.name).set(standby.lag_bytes)
        LATE.labels(standby.name).set(standby.is_late)
        if standby.lag_seconds is not None:
            LAG_SECONDS.labels(standby.name).set(standby.lag_seconds)


async def watch(database: Database) -> None:
    """Read the lag every two seconds; never ends. While the database is away the last values stay."""
    while True:
        with suppress(RefusedError):
            show(await database.standbys())
        await asyncio.sleep(_SECONDS)
