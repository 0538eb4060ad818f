"""Delivery by Meta's Cloud API: templates, or buttons in free form; our id travels along (ADR 11)."""

import logging
from types import TracebackType

import httpx
from pywa.types.callback import Button
from pywa.types.templates import TemplateLanguage
from pywa_async.client import WhatsApp
from pywa_async.errors import WhatsAppError

from adapters.whatsapp.delivery import DeliveryError, UnknownOutcomeError
from adapters.whatsapp.errors import Action, action
from adapters.whatsapp.messages import Message
from adapters.whatsapp.rate_limit import Pace
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.templates import components, free_form_buttons

logger = logging.getLogger(__name__)

STOPPED_SECONDS = 60.0
"""How long a bad token or account is left alone before one message tries whether it was put right."""

FIRST_BACK_OFF = 2.0
LONGEST_BACK_OFF = 120.0


class MetaDelivery:
    """Sends over the Cloud API, one HTTP connection pool for all."""

    def __init__(self, settings: Settings, pace: Pace | None = None) -> None:
        self._language = TemplateLanguage(settings.whatsapp_language)
        self._session = httpx.AsyncClient(timeout=settings.whatsapp_timeout_seconds, trust_env=False)
        self._client = WhatsApp(
            phone_id=settings.whatsapp_phone_number_id,
            token=settings.whatsapp_token,
            session=self._session,
            api_version=settings.whatsapp_api_version,
        )
        # The library knows one address; a proxy of the house, or a double, has another.
        self._session.base_url = httpx.URL(
            f"{settings.whatsapp_graph_url.rstrip('/')}/v{settings.whatsapp_api_version}/"
        )
        self._pace = pace or Pace(settings.whatsapp_per_second)
        self._back_off = FIRST_BACK_OFF
        self._why_closed = ""

    async def __aenter__(self) -> "MetaDelivery":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.aclose()

    async def deliver(self, message: Message) -> str:
        """Send it; returns Meta's id (wamid...)."""
        if not message.recipient:
            raise DeliveryError("no address", retry=False)
        number = message.recipient.removeprefix("+")
        if not number.isdecimal():
            raise DeliveryError("not a phone number", retry=False)
        if self._pace.closed:
            raise DeliveryError(self._why_closed, retry=True)
        if not self._pace.pair_allows(number):
            raise DeliveryError("131056", retry=True)
        await self._pace.turn()
        try:
            provider_id = await self._send(number, message)
        except WhatsAppError as error:
            raise self._judge(error) from error
        except httpx.ConnectError as error:
            raise DeliveryError("Meta is out of reach", retry=True) from error
        except Exception as error:
            # A timeout, a cut connection, an answer that makes no sense: it may have gone out.
            raise UnknownOutcomeError(type(error).__name__) from error
        self._back_off = FIRST_BACK_OFF
        return provider_id

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

    def _judge(self, error: WhatsAppError) -> Exception:
        code = error.code
        if error.raw_response is not None and code == error.raw_response.status_code and code >= 500:
            return UnknownOutcomeError(f"HTTP {code}")  # not Meta's own words: a proxy on the way
        what = action(code)
        if what is Action.STOP:
            logger.error("Meta refuses everything (%s %s): stopped", code, error.message)
            self._close(str(code), STOPPED_SECONDS)
        elif what is Action.BACK_OFF:
            self._close(str(code), self._back_off)
            self._back_off = min(LONGEST_BACK_OFF, self._back_off * 2)
        return DeliveryError(str(code), retry=what is not Action.GIVE_UP)

    def _close(self, why: str, seconds: float) -> None:
        self._why_closed = why
        self._pace.close(seconds)
