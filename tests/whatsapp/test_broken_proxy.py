"""A proxy in front of Meta that stops forwarding: nothing is lost, doubles are counted."""

from collections import Counter

import psycopg
import pytest

from adapters.whatsapp.settings import Settings
from adapters.whatsapp.worker import Worker
from tests.support import proxy as proxies
from tests.support.client import RunningGateway
from tests.support.proxy import Fault
from tests.whatsapp.conftest import Enqueue
from tests.whatsapp.fake_meta import FakeMeta
from tests.whatsapp.outage import pass_a_day
from tests.whatsapp.test_outage import MovedClock, be_away, drain, states, with_worker


@pytest.mark.parametrize("fault", proxies.STALLS)
def test_proxy_that_stops_forwarding_loses_no_message(
    meta: FakeMeta, settings: Settings, seeded: RunningGateway, enqueue: Enqueue, fault: Fault
) -> None:
    """What may have been sent waits for a callback and is then repeated; the rest was never tried."""
    ids = enqueue(30)
    meta.callbacks = False
    settings.whatsapp_timeout_seconds = 0.2
    with proxies.running(meta.url, fault) as proxy:
        settings.whatsapp_graph_url = proxy.url

        async def run(worker: Worker, clock: MovedClock) -> None:
            assert await be_away(worker, clock, 600) <= 10
            assert proxy.injected >= 5, "it is probed again and again"
            unknown = worker.health.unknown
            expected = [("CLAIMED", 1, 0)] * unknown + [("PENDING", 0, 0)] * (30 - unknown)
            assert (states(seeded), 0 < unknown <= 8) == (expected, True)
            assert len(meta.accepted) == (unknown if fault == "half" else 0)
            proxy.clear()
            pass_a_day(seeded.database_url)
            await drain(worker, seeded, clock)
            pass_a_day(seeded.database_url)  # the wait of unknown messages
            await drain(worker, seeded, clock)

        with_worker(settings, seeded, run)
    deliveries = meta.deliveries()
    assert set(deliveries) == set(ids)
    with psycopg.connect(seeded.database_url) as conn:
        rows = conn.execute("select id::text, repeats from app.messages").fetchall()
    repeats: Counter[str] = Counter(dict(rows))
    assert {status for status, _, _ in states(seeded)} == {"SENT"}
    doubles = deliveries - Counter(ids)
    assert doubles == (+repeats if fault == "half" else Counter())
    assert sum(repeats.values()) > 0
