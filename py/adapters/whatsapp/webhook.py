"""Meta's webhook: checks the signature, stores the body and answers; processing follows the answer."""

import asyncio
import hmac
import json
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import httpx
from litestar import Request, Response, Router, get, post
from postgrest import APIError

from adapters.whatsapp.outbox import is_transient
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.signature import is_genuine

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 3 * 1024 * 1024 + 1024
"""Meta's largest webhook has 3 MB."""

BATCH = 100
"""Webhooks that one call of `process_inbox` processes."""


class Inbox(Protocol):
    """The part of the gateway that the webhook calls."""

    async def store_inbound(self, payload: dict[str, Any]) -> None: ...
    async def process_inbox(self, limit: int) -> int: ...


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
            except (httpx.HTTPError, APIError) as error:
                logger.warning("process_inbox: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._idle_seconds)


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


def router(settings: Settings, inbox: Callable[[], Inbox], processor: Callable[[], InboxProcessor]) -> Router:
    """The routes of `/webhook`, as Meta calls them."""

    @get("/")
    async def verify(request: Request[Any, Any, Any]) -> Response[str]:
        """Answer the handshake that Meta makes when the webhook's URL is entered."""
        query = request.query_params
        expected = settings.whatsapp_verify_token.get_secret_value()
        token = query.get("hub.verify_token", "")
        if (
            not expected
            or query.get("hub.mode") != "subscribe"
            or not hmac.compare_digest(token.encode(), expected.encode())
        ):
            return Response("", status_code=403, media_type="text/plain")
        return Response(query.get("hub.challenge", "")[:1000], media_type="text/plain")

    @post("/", status_code=200, request_max_body_size=MAX_BODY_BYTES)
    async def receive(request: Request[Any, Any, Any]) -> Response[str]:
        """Store a webhook before answering 200; 400 if it can never be stored, 503 if Meta should retry."""
        body = await request.body()
        secret = settings.whatsapp_app_secret.get_secret_value()
        if not is_genuine(secret, body, request.headers.get("x-hub-signature-256")):
            return Response("", status_code=401, media_type="text/plain")
        payload = parse(body)
        if payload is None:
            return Response("", status_code=400, media_type="text/plain")
        status = await _store(inbox().store_inbound, payload, processor().wake)
        return Response("", status_code=status, media_type="text/plain")

    return Router("/webhook", route_handlers=[verify, receive])


async def _store(
    store: Callable[[dict[str, Any]], Awaitable[None]], payload: dict[str, Any], wake: Callable[[], None]
) -> int:
    """Store the payload; returns the HTTP status of the answer."""
    try:
        await store(payload)
    except (httpx.HTTPError, APIError) as error:
        logger.warning("inbound_message: %s", error)
        return 503 if is_transient(error) else 400  # Meta repeats a webhook that is answered 503
    wake()
    return 200
