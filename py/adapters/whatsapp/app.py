"""The Litestar application: runs the worker, receives Meta's webhooks and serves /health."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from litestar import Litestar, Response, get

from adapters.whatsapp.console import ConsoleDelivery
from adapters.whatsapp.delivery import Channels, Delivery
from adapters.whatsapp.listener import listen
from adapters.whatsapp.mail import MailDelivery
from adapters.whatsapp.meta import MetaDelivery
from adapters.whatsapp.outbox import Outbox
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.webhook import InboxProcessor, router
from adapters.whatsapp.worker import Worker


async def _delivery(settings: Settings, stack: AsyncExitStack) -> Delivery:
    """The configured providers; a channel without one is printed."""
    console = ConsoleDelivery(settings.whatsapp_file)
    email: Delivery = MailDelivery(settings) if settings.smtp_host else console
    if not settings.has_credentials:
        return Channels(console, email)
    return Channels(await stack.enter_async_context(MetaDelivery(settings)), email)


def create(settings: Settings, delivery: Delivery | None = None) -> Litestar:
    """Create the application; `delivery` replaces the configured providers."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            outbox = await stack.enter_async_context(Outbox(settings))
            worker = Worker(
                outbox,
                delivery or await _delivery(settings, stack),
                lease_seconds=settings.whatsapp_lease_seconds,
                poll_seconds=settings.whatsapp_poll_seconds,
                concurrency=settings.whatsapp_at_once,
            )
            processor = InboxProcessor(outbox)
            app.state.worker, app.state.outbox, app.state.processor = worker, outbox, processor
            tasks = [asyncio.create_task(worker.run())]
            if settings.has_credentials:
                tasks.append(asyncio.create_task(processor.run()))
            listen_url = settings.listen_url.get_secret_value()
            listener = asyncio.create_task(listen(listen_url, worker.wake)) if listen_url else None
            try:
                yield
            finally:
                worker.stop()
                processor.stop()
                if listener:
                    listener.cancel()
                    with suppress(asyncio.CancelledError):
                        await listener
                await asyncio.gather(*tasks)

    @get("/health", sync_to_thread=False)
    def health() -> Response[dict[str, Any]]:
        """200 while the gateway answers, otherwise 503."""
        state = app.state.worker.health
        body = {
            "status": "ok" if state.gateway_answers else "gateway away",
            "last_claim_at": state.last_claim_at.isoformat() if state.last_claim_at else None,
            "sent": state.sent,
            "failed": state.failed,
            "unknown": state.unknown,
        }
        return Response(body, status_code=200 if state.gateway_answers else 503)

    handlers: list[Any] = [health]
    if settings.has_credentials:
        handlers.append(router(settings, lambda: app.state.outbox, lambda: app.state.processor))
    app = Litestar(handlers, lifespan=[lifespan], openapi_config=None, logging_config=None)
    return app
