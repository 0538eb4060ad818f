"""Delivery by Meta's Cloud API: templates, or buttons in free form.

The message's id is sent along as `biz_opaque_callback_data`, so that callbacks name it (ADR 11).
"""

from types import TracebackType

import httpx
from pywa.types.callback import Button
from pywa.types.templates import TemplateLanguage
from pywa_async.client import WhatsApp

from adapters.whatsapp.delivery import DeliveryError
from adapters.whatsapp.errors import failure, probe_failure, require_metas_answer
from adapters.whatsapp.messages import Message
from adapters.whatsapp.rate_limit import RateLimit
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.templates import components, free_form_buttons


def open_client(
    settings: Settings, transport: httpx.AsyncBaseTransport | None = None
) -> tuple[WhatsApp, httpx.AsyncClient]:
    """A client of the Graph API, and its session, which the caller closes."""
    session = httpx.AsyncClient(
        timeout=settings.whatsapp_timeout_seconds,
        trust_env=False,
        event_hooks={"response": [require_metas_answer]},
        transport=transport,
    )
    client = WhatsApp(
        phone_id=settings.whatsapp_phone_number_id,
        token=settings.whatsapp_token.get_secret_value(),
        session=session,
        api_version=settings.whatsapp_api_version,
    )
    # pywa knows only Meta's address; a proxy or a fake server has another.
    session.base_url = httpx.URL(
        f"{settings.whatsapp_graph_url.rstrip('/')}/v{settings.whatsapp_api_version}/"
    )
    return client, session


class MetaDelivery:
    """Sends over the Cloud API; all messages share one HTTP connection pool."""

    def __init__(
        self,
        settings: Settings,
        rate_limit: RateLimit | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._language = TemplateLanguage(settings.whatsapp_language)
        self._phone_number_id = settings.whatsapp_phone_number_id
        self._client, self._session = open_client(settings, transport)
        self._rate_limit = rate_limit or RateLimit(settings.whatsapp_per_second)

    async def __aenter__(self) -> "MetaDelivery":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.aclose()

    async def turn(self) -> None:
        """Wait for the next slot of `whatsapp_per_second`."""
        await self._rate_limit.acquire()

    async def deliver(self, message: Message) -> str:
        """Send the message; returns Meta's id (wamid...). Raises as `Delivery.deliver`."""
        if not message.recipient:
            raise DeliveryError("no address", retry=False)
        number = message.recipient.removeprefix("+")
        if not number.isdecimal():
            raise DeliveryError("not a phone number", retry=False)
        if not self._rate_limit.acquire_pair(number):
            raise DeliveryError("131056", retry=True)
        self._rate_limit.begin()
        try:
            return await self._send(number, message)
        except Exception as error:
            raise failure(error) from error
        finally:
            self._rate_limit.end()

    async def probe(self) -> None:
        """Read the sending number. Raises as `Delivery.probe`, and for a refused token."""
        try:
            await self._client.api.get_business_phone_number(self._phone_number_id, fields=("id",))
        except Exception as error:
            if away := probe_failure(error):
                raise away from error

    async def _send(self, number: str, message: Message) -> str:
        buttons = free_form_buttons(message)
        if buttons:
            sent = await self._client.send_message(
                to=number,
                text=message.body,
                buttons=[Button(title=button.title, callback_data=button.payload) for button in buttons],
                tracker=str(message.id),
            )
        else:
            sent = await self._client.send_template(
                to=number,
                name=message.template,
                language=self._language,
                params=components(message, message.template_body),
                tracker=str(message.id),
            )
        return str(sent.id)
