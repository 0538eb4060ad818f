"""The application: a worker for each channel, the webhook of Meta with its processor, health."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from litestar import Litestar

from adapters.common.app import create_app
from adapters.common.health import Health
from adapters.common.tasks import Supervisor
from adapters.whatsapp.console import ConsoleDelivery
from adapters.whatsapp.delivery import Delivery
from adapters.whatsapp.listener import listen
from adapters.whatsapp.mail import AT_ONCE, MailDelivery
from adapters.whatsapp.meta import MetaDelivery
from adapters.whatsapp.outbox import Outbox
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.webhook import InboxProcessor, InboxStore, router
from adapters.whatsapp.worker import Worker

logger = logging.getLogger(__name__)


async def _deliveries(settings: Settings, stack: AsyncExitStack) -> dict[str, Delivery]:
    """The provider of each channel that this adapter delivers."""
    console = ConsoleDelivery(settings.whatsapp_file)
    found: dict[str, Delivery] = {}
    for channel in settings.channels:
        if not settings.has_provider(channel):
            logger.info("%s has no provider: its messages are printed here", channel)
            found[channel] = console
        elif channel == "WHATSAPP":
            found[channel] = await stack.enter_async_context(MetaDelivery(settings))
        else:
            found[channel] = MailDelivery(settings)
    return found


def create(settings: Settings, deliveries: Mapping[str, Delivery] | None = None) -> Litestar:
    """Create the application; `deliveries` replace the configured providers, by channel.

    Raises SettingsError if a channel has no provider.
    """
    if deliveries is None:
        settings.check_providers()
    workers: dict[str, Worker] = {}

    def details() -> dict[str, Any]:
        states = [worker.health for worker in workers.values()]
        claims = [state.last_claim_at for state in states if state.last_claim_at]
        return {
            "last_claim_at": max(claims).isoformat() if claims else None,
            "sent": sum(state.sent for state in states),
            "failed": sum(state.failed for state in states),
            "unknown": sum(state.unknown for state in states),
            "channels": {channel: worker.breaker.reason or "ok" for channel, worker in workers.items()},
        }

    health = Health(details)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            outbox = await stack.enter_async_context(Outbox(settings))
            processor = InboxProcessor(outbox)
            app.state.store, app.state.processor = InboxStore(outbox), processor
            tasks = Supervisor()
            for channel, delivery in (deliveries or await _deliveries(settings, stack)).items():
                worker = workers[channel] = Worker(
                    outbox,
                    delivery,
                    channel=channel,
                    lease_seconds=settings.whatsapp_lease_seconds,
                    poll_seconds=settings.whatsapp_poll_seconds,
                    concurrency=settings.whatsapp_at_once if channel == "WHATSAPP" else AT_ONCE,
                )
                tasks.add(f"{channel.lower()}-worker", worker.run, worker.stop)
            if settings.has_credentials:
                tasks.add("inbox-processor", processor.run, processor.stop)
            if listen_url := settings.listen_url.get_secret_value():
                tasks.add("listener", partial(listen, listen_url, partial(_wake, workers)))
            health.add("gateway", outbox.problem)
            health.add("tasks", tasks.problem)
            async with tasks:
                yield

    handlers: list[Any] = []
    if settings.has_credentials:
        handlers.append(router(settings, lambda: app.state.store, lambda: app.state.processor))
    app = create_app("whatsapp", health=health, handlers=handlers, lifespan=[lifespan])
    return app


def _wake(workers: Mapping[str, Worker]) -> None:
    for worker in workers.values():
        worker.wake()
