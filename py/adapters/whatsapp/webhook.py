"""Meta's webhook: checks the signature, stores the body and answers; processing follows the answer."""

import asyncio
import hmac
import json
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from litestar import MediaType, Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation
from litestar.types import Guard
from postgrest import APIError
from pydantic import SecretStr

from adapters.common.coalescing import Coalescer
from adapters.common.gateway import UnexpectedAnswerError, is_transient
from adapters.common.retry import pause
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.signature import is_genuine

Connection = ASGIConnection[Any, Any, Any, Any]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 3 * 1024 * 1024 + 1024
"""Meta's largest webhook has 3 MB."""

BATCH = 100
"""Webhooks that one call of the gateway stores or processes at most."""

REST_SECONDS = 0.05
"""Pause after each processing: what arrives meanwhile is processed in one call."""


class Inbox(Protocol):
    """The part of the gateway that the webhook calls."""

    async def store_inbound(self, payloads: list[dict[str, Any]]) -> None: ...
    async def process_inbox(self, limit: int) -> int: ...


@dataclass(frozen=True, eq=False)
class _Webhook:
    """A received webhook; another one may have the same body."""

    payload: dict[str, Any]


class InboxStore:
    """Stores webhooks: those that arrive while others are being stored share the next call."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._calls: Coalescer[_Webhook, Exception | None] = Coalescer(self._store, limit=BATCH)

    async def store(self, payload: dict[str, Any]) -> None:
        """Store a webhook's body. Raises as `GatewayClient.call`."""
        if error := await self._calls.answer(_Webhook(payload)):
            raise error

    async def _store(self, webhooks: list[_Webhook]) -> list[Exception | None]:
        """Store webhooks; returns why each was not stored."""
        try:
            await self._inbox.store_inbound([webhook.payload for webhook in webhooks])
        except Exception as error:
            if len(webhooks) == 1 or is_transient(error):
                return [error] * len(webhooks)
            # one of them is refused: not the others
            return [result for one in webhooks for result in await self._store([one])]
        return [None] * len(webhooks)


class InboxProcessor:
    """Processes the inbox when a webhook was stored, and every `idle_seconds` to catch up after failures."""

    def __init__(self, inbox: Inbox, idle_seconds: float = 5) -> None:
        self._inbox = inbox
        self._idle_seconds = idle_seconds
        self._wake = asyncio.Event()
        self._stop = False

    def wake(self) -> None:
        """Process the inbox now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the current batch."""
        self._stop = True
        self._wake.set()

    async def run(self) -> None:
        """Process the inbox until `stop` is called."""
        while not self._stop:
            self._wake.clear()
            try:
                while await self._inbox.process_inbox(BATCH) >= BATCH and not self._stop:
                    pass
            except (httpx.HTTPError, APIError, UnexpectedAnswerError) as error:
                logger.warning("process_inbox: %s", error)
            await pause(self._idle_seconds, self._wake)
            await asyncio.sleep(0 if self._stop else REST_SECONDS)


def storable(value: Any) -> Any:
    """Replace what jsonb cannot store: NUL, unpaired surrogates and infinite numbers."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [storable(element) for element in value]
    if isinstance(value, dict):
        return {storable(key): storable(element) for key, element in value.items()}
    return value


def parse(body: bytes) -> dict[str, Any] | None:
    """A webhook's body as jsonb can store it; None if it is not a JSON object."""
    try:
        payload = storable(json.loads(body))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def own_part(payload: dict[str, Any], phone_number_id: str) -> dict[str, Any] | None:
    """The payload without what concerns another number of the account; None if nothing is left.

    Events of templates and of the account name no number: they stay.
    """
    entries = payload.get("entry")
    if not isinstance(entries, list):
        return payload
    kept, dropped = [], False
    for entry in entries:
        changes = entry.get("changes") if isinstance(entry, dict) else None
        if not isinstance(changes, list):
            kept.append(entry)
            continue
        own = [change for change in changes if _number_of(change) in (None, phone_number_id)]
        dropped = dropped or len(own) < len(changes)
        if own or not changes:
            kept.append(entry | {"changes": own})
    if not dropped:
        return payload
    return payload | {"entry": kept} if kept else None


def _number_of(change: Any) -> str | None:
    """Meta's id of the number that a change concerns, if it names one."""
    value = change.get("value") if isinstance(change, dict) else None
    metadata = value.get("metadata") if isinstance(value, dict) else None
    found = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
    return None if found is None else str(found)


def require_signature(app_secret: SecretStr) -> Guard:
    """A guard that admits only bodies that Meta signed with the app's secret; others are answered 401."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        body = await Request[Any, Any, Any](connection.scope, connection.receive).body()
        header = connection.headers.get("x-hub-signature-256")
        if not is_genuine(app_secret.get_secret_value(), body, header):
            raise NotAuthorizedException("the signature is missing or wrong")

    return guard


def require_verify_token(verify_token: SecretStr) -> Guard:
    """A guard that admits only Meta's handshake with the configured token; others are answered 403."""

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        query, expected = connection.query_params, verify_token.get_secret_value()
        given = query.get("hub.verify_token", "")
        if (
            not expected
            or query.get("hub.mode") != "subscribe"
            or not hmac.compare_digest(given.encode(), expected.encode())
        ):
            raise PermissionDeniedException("the verify token is wrong")

    return guard


def router(
    settings: Settings, store: Callable[[], InboxStore], processor: Callable[[], InboxProcessor]
) -> Router:
    """The routes of `/webhook`, as Meta calls them; `store` and `processor` exist once the program runs."""

    @get("/", guards=[require_verify_token(settings.whatsapp_verify_token)], media_type=MediaType.TEXT)
    async def verify(request: Request[Any, Any, Any]) -> str:
        """Answer the handshake that Meta makes when the webhook's URL is entered."""
        return request.query_params.get("hub.challenge", "")[:1000]

    @post(
        "/",
        guards=[require_signature(settings.whatsapp_app_secret)],
        status_code=200,
        request_max_body_size=MAX_BODY_BYTES,
    )
    async def receive(
        request: Request[Any, Any, Any],
        store: NamedDependency[SkipValidation[InboxStore]],
        processor: NamedDependency[SkipValidation[InboxProcessor]],
    ) -> Response[str]:
        """Store a webhook before answering 200; 400 if it can never be stored, 503 if Meta should retry.

        What concerns another number of the account is passed by.
        """
        payload = parse(await request.body())
        if payload is None:
            return Response("", status_code=400, media_type=MediaType.TEXT)
        own = own_part(payload, settings.whatsapp_phone_number_id)
        status = 200 if own is None else await _store(store.store, own, processor.wake)
        return Response("", status_code=status, media_type=MediaType.TEXT)

    return Router(
        "/webhook",
        route_handlers=[verify, receive],
        dependencies={
            "store": Provide(store, sync_to_thread=False),
            "processor": Provide(processor, sync_to_thread=False),
        },
    )


async def _store(
    store: Callable[[dict[str, Any]], Awaitable[None]], payload: dict[str, Any], wake: Callable[[], None]
) -> int:
    """Store the payload; returns the HTTP status of the answer."""
    try:
        await store(payload)
    except (httpx.HTTPError, APIError, UnexpectedAnswerError) as error:
        logger.warning("inbound_messages: %s", error)
        return 503 if is_transient(error) else 400  # Meta repeats a webhook that is answered 503
    wake()
    return 200
