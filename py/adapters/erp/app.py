"""The Litestar application: runs the worker and serves /health."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Response, get

from adapters.erp.exchange import Exchange
from adapters.erp.factory import open_erp
from adapters.erp.hub import HubClient
from adapters.erp.leader import Leader
from adapters.erp.settings import Settings
from adapters.erp.worker import Worker


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[Worker]:
    """A worker with its connections, which are closed when the block ends; it is not running yet."""
    leader, hub = Leader(settings.listen_url.get_secret_value()), HubClient(settings)
    erp = open_erp(settings, leader.leading_since)
    try:
        exchange = Exchange(erp, hub, settings.erp_batch)
        yield Worker(exchange, leader, settings.erp_poll_seconds, settings.erp_interval_seconds)
    finally:
        await erp.aclose()
        await hub.aclose()
        await leader.aclose()


def create(settings: Settings) -> Litestar:
    """Create the application."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_worker(settings) as worker:
            app.state.worker = worker
            task = asyncio.create_task(worker.run())
            try:
                yield
            finally:
                worker.stop()
                await task

    @get("/health", sync_to_thread=False)
    def health() -> Response[dict[str, Any]]:
        """200 while no stream is failing, otherwise 503; an adapter that waits for its turn is healthy."""
        state = app.state.worker.health
        body = {
            "status": "trouble" if state.trouble else "ok" if state.leading else "waiting for its turn",
            "succeeded_at": {stream: at.isoformat() for stream, at in state.succeeded_at.items()},
            "trouble": state.trouble,
        }
        return Response(body, status_code=503 if state.trouble else 200)

    app = Litestar([health], lifespan=[lifespan], openapi_config=None, logging_config=None)
    return app
