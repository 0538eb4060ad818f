"""The application: runs the exchange, with its health."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from litestar import Litestar

from adapters.common.app import create_app
from adapters.common.health import Health
from adapters.common.tasks import Supervisor
from adapters.erp.exchange import Exchange
from adapters.erp.factory import open_erp
from adapters.erp.hub import HubClient
from adapters.erp.leader import Leader
from adapters.erp.settings import Settings
from adapters.erp.worker import STREAMS, Worker


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[Worker]:
    """A worker with its connections, which are closed when the block ends; it is not running yet."""
    leader = Leader(settings.listen_url.get_secret_value())
    async with HubClient(settings) as hub:
        erp = open_erp(settings, leader.leading_since)
        try:
            exchange = Exchange(erp, hub, settings.erp_batch)
            yield Worker(
                exchange, leader, settings.erp_poll_seconds, settings.erp_interval_seconds, gateway=hub
            )
        finally:
            await erp.aclose()
            await leader.aclose()


def create(settings: Settings) -> Litestar:
    """Create the application."""
    workers: list[Worker] = []
    health = Health(lambda: workers[0].health.details() if workers else {})

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_worker(settings) as worker:
            workers[:] = [worker]
            tasks = Supervisor()
            for stream in STREAMS:
                tasks.add(stream, partial(worker.repeat, stream), worker.stop)
            tasks.add("gateway-probe", worker.probe, worker.stop)
            if worker.gateway:
                health.add("gateway", worker.gateway.problem)
            health.add("leader", worker.leader.problem)
            health.add("erp", worker.health.problem)
            health.add("tasks", tasks.problem)
            async with tasks:
                yield

    return create_app("erp", health=health, lifespan=[lifespan])
