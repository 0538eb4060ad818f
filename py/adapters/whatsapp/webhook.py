"""Meta's webhook: check the signature, store, answer; what came in is worked on after the answer."""

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

from adapters.whatsapp.outbox import may_pass
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.signature import is_genuine

logger = logging.getLogger(__name__)

LARGEST = 3 * 1024 * 1024 + 1024
"""Bytes; Meta's largest webhook has 3 MB."""

BATCH = 100


class Inbox(Protocol):
    """What the webhook needs of the gateway."""

    async def inbound(self, payload: dict[str, Any]) -> None: ...
    async def process_inbox(self, most: int) -> int: ...


class Processor:
    """Works on the inbox whenever something was stored, and now and then all the same."""

    def __init__(self, inbox: Inbox, idle_seconds: float = 5) -> None:
        self._inbox = inbox
        self._idle_seconds = idle_seconds
        self._wake = asyncio.Event()
        self._stop = False

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stop = True
        self._wake.set()

    async def run(self) -> None:
        """Until `stop` is called."""
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
    """JSON as jsonb takes it: no NUL, no half of a surrogate pair, no number beyond all bounds."""
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
    """A webhook's body; None where it is not a JSON object."""
    try:
        payload = storable(json.loads(body))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def router(settings: Settings, inbox: Callable[[], Inbox], processor: Callable[[], Processor]) -> Router:
    """`/webhook`, as Meta calls it."""

    @get("/")
    async def verify(request: Request[Any, Any, Any]) -> Response[str]:
        """The handshake when the webhook's URL is entered at Meta."""
        asked = request.query_params
        known = settings.whatsapp_verify_token
        token = asked.get("hub.verify_token", "")
        if (
            not known
            or asked.get("hub.mode") != "subscribe"
            or not hmac.compare_digest(token.encode(), known.encode())
        ):
            return Response("", status_code=403, media_type="text/plain")
        return Response(asked.get("hub.challenge", "")[:1000], media_type="text/plain")

    @post("/", status_code=200, request_max_body_size=LARGEST)
    async def receive(request: Request[Any, Any, Any]) -> Response[str]:
        """Store first; 200 says that it is stored, or can never be."""
        body = await request.body()
        if not is_genuine(settings.whatsapp_app_secret, body, request.headers.get("x-hub-signature-256")):
            return Response("", status_code=401, media_type="text/plain")
        payload = parse(body)
        if payload is None:
            return Response("", status_code=400, media_type="text/plain")
        return Response(
            "", status_code=await _store(inbox().inbound, payload, processor().wake), media_type="text/plain"
        )

    return Router("/webhook", route_handlers=[verify, receive])


async def _store(
    store: Callable[[dict[str, Any]], Awaitable[None]], payload: dict[str, Any], wake: Callable[[], None]
) -> int:
    try:
        await store(payload)
    except (httpx.HTTPError, APIError) as error:
        logger.warning("inbound_message: %s", error)
        return 503 if may_pass(error) else 400  # 503: Meta brings it again
    wake()
    return 200
