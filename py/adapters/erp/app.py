"""The Litestar app: the worker runs as long as the app; /health tells how it fares."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Response, get

from adapters.erp.exchange import Exchange
from adapters.erp.factory import open_erp
from adapters.erp.hub import Hub
from adapters.erp.leader import Leader
from adapters.erp.settings import Settings
from adapters.erp.worker import Worker


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Worker]:
    """A worker with all that it needs, not yet running."""
    leader, hub = Leader(settings.listen_url), Hub(settings)
    erp = open_erp(settings, leader.since)
    try:
        exchange = Exchange(erp, hub, settings.erp_batch)
        yield Worker(exchange, leader, settings.erp_poll_seconds, settings.erp_interval_seconds)
    finally:
        await erp.aclose()
        await hub.aclose()
        await leader.aclose()


def create(settings: Settings) -> Litestar:
    """The app."""

    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        async with working(settings) as worker:
            app.state.worker = worker
            task = asyncio.create_task(worker.run())
            try:
                yield
            finally:
                worker.stop()
                await task

    @get("/health", sync_to_thread=False)
    def health() -> Response[dict[str, Any]]:
        """200 while no stream is in trouble, else 503; one that waits for its turn is well."""
        state = app.state.worker.health
        body = {
            "status": "trouble" if state.trouble else "ok" if state.leading else "waiting for its turn",
            "succeeded_at": {stream: at.isoformat() for stream, at in state.succeeded_at.items()},
            "trouble": state.trouble,
        }
        return Response(body, status_code=503 if state.trouble else 200)

    app = Litestar([health], lifespan=[running], openapi_config=None, logging_config=None)
    return app
