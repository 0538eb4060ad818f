"""What every request has: an id that joins the logs of all programs, and errors as JSON."""

import re
import uuid
from typing import Any

import structlog
from litestar import Request, Response
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)

logger = structlog.get_logger(__name__)


class RequestId(ASGIMiddleware):
    """Takes the id from X-Request-Id or creates one; logs, the answer and calls of the gateway carry it."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Handle a request with its id bound."""
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        # Any other text could be written into logs and headers.
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableScopeHeaders.from_message(message)["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await next_app(scope, receive, send_with_id)


def refuse(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, str]]:
    """Exception handler: an error of the request, as the gateway words its own."""
    code = type(error).__name__.removesuffix("Exception")
    body = {"code": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).upper(), "message": error.detail}
    return Response(body, status_code=error.status_code, headers=error.headers)


def fail(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    """Exception handler: an unexpected error. It is logged, and nothing of it is answered."""
    logger.error("unexpected error", path=request.url.path, exc_info=error)
    body = {
        "code": "INTERNAL_ERROR",
        "message": "The request failed for an internal reason. Try again later.",
    }
    return Response(body, status_code=500)
