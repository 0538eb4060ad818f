"""Delivery by Meta's Cloud API: templates, or buttons in free form.

The message's id is sent along as `biz_opaque_callback_data`, so that callbacks name it (ADR 11).
"""

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
from adapters.whatsapp.rate_limit import RateLimit
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.templates import components, free_form_buttons

logger = logging.getLogger(__name__)

STOPPED_SECONDS = 60.0
"""Pause after a refused token or account, before one message tests whether it was fixed."""

FIRST_BACK_OFF_SECONDS = 2.0
MAX_BACK_OFF_SECONDS = 120.0


class MetaDelivery:
    """Sends over the Cloud API; all messages share one HTTP connection pool."""

    def __init__(self, settings: Settings, rate_limit: RateLimit | None = None) -> None:
        self._language = TemplateLanguage(settings.whatsapp_language)
        self._session = httpx.AsyncClient(timeout=settings.whatsapp_timeout_seconds, trust_env=False)
        self._client = WhatsApp(
            phone_id=settings.whatsapp_phone_number_id,
            token=settings.whatsapp_token.get_secret_value(),
            session=self._session,
            api_version=settings.whatsapp_api_version,
        )
        # pywa knows only Meta's address; a proxy or a fake server has another.
        self._session.base_url = httpx.URL(
            f"{settings.whatsapp_graph_url.rstrip('/')}/v{settings.whatsapp_api_version}/"
        )
        self._rate_limit = rate_limit or RateLimit(settings.whatsapp_per_second)
        self._back_off = FIRST_BACK_OFF_SECONDS
        self._pause_code = ""

    async def __aenter__(self) -> "MetaDelivery":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.aclose()

    async def deliver(self, message: Message) -> str:
        """Send the message; returns Meta's id (wamid...). Raises as `Delivery.deliver`."""
        if not message.recipient:
            raise DeliveryError("no address", retry=False)
        number = message.recipient.removeprefix("+")
        if not number.isdecimal():
            raise DeliveryError("not a phone number", retry=False)
        if self._rate_limit.paused:
            raise DeliveryError(self._pause_code, retry=True)
        if not self._rate_limit.acquire_pair(number):
            raise DeliveryError("131056", retry=True)
        await self._rate_limit.acquire()
        try:
            provider_id = await self._send(number, message)
        except WhatsAppError as error:
            raise self._classify(error) from error
        except httpx.ConnectError as error:
            raise DeliveryError("Meta is unreachable", retry=True) from error
        except Exception as error:
            # A timeout, a cut connection or an invalid answer: the message may have been sent.
            raise UnknownOutcomeError(type(error).__name__) from error
        self._back_off = FIRST_BACK_OFF_SECONDS
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

    def _classify(self, error: WhatsAppError) -> Exception:
        code = error.code
        if error.raw_response is not None and code == error.raw_response.status_code and code >= 500:
            return UnknownOutcomeError(f"HTTP {code}")  # no error object of Meta: a proxy in between answered
        consequence = action(code)
        if consequence is Action.STOP:
            logger.error("Meta refuses the token or account (%s %s): paused", code, error.message)
            self._pause(str(code), STOPPED_SECONDS)
        elif consequence is Action.BACK_OFF:
            self._pause(str(code), self._back_off)
            self._back_off = min(MAX_BACK_OFF_SECONDS, self._back_off * 2)
        return DeliveryError(str(code), retry=consequence is not Action.GIVE_UP)

    def _pause(self, code: str, seconds: float) -> None:
        self._pause_code = code
        self._rate_limit.pause(seconds)
