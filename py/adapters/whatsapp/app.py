"""The Litestar app: the worker runs for as long as the app does, and /health tells how it fares."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Response, get

from adapters.whatsapp.console import ConsoleDelivery
from adapters.whatsapp.delivery import Delivery
from adapters.whatsapp.outbox import Outbox
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.worker import Worker


def create(settings: Settings, delivery: Delivery | None = None) -> Litestar:
    """The app; without another `delivery` messages are printed."""

    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        async with Outbox(settings) as outbox:
            worker = Worker(
                outbox,
                delivery or ConsoleDelivery(settings.whatsapp_file),
                lease_seconds=settings.whatsapp_lease_seconds,
                poll_seconds=settings.whatsapp_poll_seconds,
            )
            app.state.worker = worker
            task = asyncio.create_task(worker.run())
            try:
                yield
            finally:
                worker.stop()
                await task

    @get("/health", sync_to_thread=False)
    def health() -> Response[dict[str, Any]]:
        """200 while the gateway answers, else 503."""
        state = app.state.worker.health
        body = {
            "status": "ok" if state.gateway_answers else "gateway away",
            "last_claim_at": state.last_claim_at.isoformat() if state.last_claim_at else None,
            "sent": state.sent,
            "failed": state.failed,
        }
        return Response(body, status_code=200 if state.gateway_answers else 503)

    app = Litestar([health], lifespan=[running], openapi_config=None, logging_config=None)
    return app
