"""/api/: passes requests to the gateway, as nginx does where others reach the pages."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import structlog
from litestar import asgi
from litestar.types import Receive, Scope, Send

MOUNT = "/api"
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade", "host", "content-length", "expect"),
    }
)
AWAY = msgspec.json.encode(
    {
        "code": "UNAVAILABLE",
        "message": "The gateway does not answer",
        "details": None,
        "hint": "Try again later",
    }
)
"""The answer while the gateway is away, as docker/web/nginx.conf has it, too."""

logger = structlog.get_logger(__name__)


def gateway_mount(client: httpx.AsyncClient) -> Any:
    """The handler of everything below /api/, which `client` (its base URL is the gateway's) passes on."""

    @asgi(MOUNT, is_mount=True, copy_scope=True)
    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        request = client.build_request(
            scope["method"],  # type: ignore[typeddict-item]
            httpx.URL(path=_below_mount(scope), query=scope["query_string"]),
            headers=_headers(scope),
            content=_body(receive) if scope["method"] not in {"GET", "HEAD"} else None,  # type: ignore[typeddict-item]
        )
        try:
            answer = await client.send(request, stream=True)
            parts = answer.aiter_raw()
            first = await anext(parts, b"")
        except httpx.TransportError as error:
            logger.warning("the gateway does not answer", error=str(error))
            await _start(send, 502, [(b"content-type", b"application/json"), (b"cache-control", b"no-store")])
            await send({"type": "http.response.body", "body": AWAY, "more_body": False})
            return
        try:
            await _start(send, answer.status_code, _passed_on(answer.headers))
            if first:  # an answer without a body has a single, empty part: it is not compressed
                await send({"type": "http.response.body", "body": first, "more_body": True})
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await answer.aclose()

    return gateway


def _passed_on(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    lower = [(name.lower(), value) for name, value in headers.raw]
    return [(name, value) for name, value in lower if name.decode("latin-1") not in _HOP_BY_HOP]


def _below_mount(scope: Scope) -> str:
    """The path at the gateway, as the caller escaped it."""
    raw = scope["raw_path"].decode("latin-1").partition("?")[0]
    return raw.removeprefix(MOUNT) or "/"


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The caller's headers; X-Forwarded-For is set to their address, whatever they claim.

    X-Request-Id is that of adapters.common.requests: the caller's, or a new one.
    """
    dropped = _HOP_BY_HOP | {"x-forwarded-for", "x-request-id"}
    kept = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in dropped]
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        kept.append((b"x-request-id", str(request_id).encode()))
    client = scope["client"]
    return [*kept, (b"x-forwarded-for", client[0].encode())] if client else kept


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            return
        yield event["body"]
        more = event["more_body"]


async def _start(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
