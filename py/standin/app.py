"""The HTTP side: one ASGI handler for every path, CORS, and errors that reveal no internals."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import unquote_to_bytes

from litestar import Litestar, asgi
from litestar.types import HTTPScope, Receive, Scope, Send

from standin import changing, openapi, reading, request, schema_cache
from standin.auth import Authenticator
from standin.config import Config
from standin.context import READ, Context
from standin.database import Database, Row, Work
from standin.errors import ApiError, Headers
from standin.listener import Listener
from standin.request import Request
from standin.response import Response
from standin.schema_cache import SchemaCache

logger = logging.getLogger(__name__)

_METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}
_EXPOSED = (
    b"Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server,"
    b" Transfer-Encoding, Range-Unit"
)
_SERVER = (b"Server", b"hub-standin")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Gateway:
    """Answers requests. The schema cache is empty until the database has been read."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.database = Database(config)
        self.cache: SchemaCache | None = None
        self._authenticator = Authenticator(config.jwt_keys, config.jwt_aud, config.db_anon_role)
        self._listener = Listener(config, self.database, self.reload)
        self.database.recovered = self._listener.reload_soon

    async def start(self) -> None:
        """Open the pool and start to read the schema."""
        await self.database.open()
        self._listener.start()

    async def stop(self) -> None:
        """Close everything."""
        await self._listener.stop()
        await self.database.close()

    def reload_soon(self) -> None:
        """Reload the schema, as SIGUSR1 does."""
        self._listener.reload_soon()

    async def reload(self) -> None:
        """Read the schema. Raises psycopg.Error."""
        connection = await self.database.connect()
        async with connection:
            cursor = await connection.execute(
                schema_cache.INTROSPECTION.encode(), [self.config.db_schema], prepare=False
            )
            text = (await cursor.fetchall())[0][0]
        self.cache = await asyncio.to_thread(schema_cache.build, text)
        logger.info(
            "schema cache: %d relations, %d functions", len(self.cache.relations), len(self.cache.functions)
        )

    @property
    def ready(self) -> bool:
        """Whether requests can be answered."""
        return self.cache is not None and self.database.away is None

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """ASGI."""
        headers = _headers(scope["headers"])
        admin = self.config.admin_server_port
        if admin is not None and (scope.get("server") or ("", None))[1] == admin:
            response = self._admin(_path(scope.get("raw_path") or b"/"))
        else:
            response = await self._answer(scope, headers, receive)
        trace = self.config.server_trace_header
        if trace and trace.lower() in headers:
            response.headers.append((trace.encode(), headers[trace.lower()].encode(errors="replace")))
        if "origin" in headers:
            own = [(b"Access-Control-Allow-Origin", b"*"), (b"Access-Control-Expose-Headers", _EXPOSED)]
            present = {name for name, _ in response.headers}
            response.headers += [header for header in own if header[0] not in present]
        await _send(response, send, head=scope["method"] == "HEAD")

    def _admin(self, path: str) -> Response:
        if path == "/metrics":
            return Response(200, [(b"Content-Type", b"text/plain; charset=utf-8")], self._metrics())
        if path == "/live" or (path == "/ready" and self.ready):
            return Response(200, [])
        return Response(503 if path == "/ready" else 404, [])

    def _metrics(self) -> bytes:
        """The metrics of PostgREST's pool, in the text format of Prometheus."""
        stats = self.database.pool.get_stats()
        values = {
            "available": ("gauge", stats.get("pool_available", 0)),
            "max": ("gauge", self.config.db_pool),
            "timeouts_total": ("counter", stats.get("requests_errors", 0)),
            "waiting": ("gauge", stats.get("requests_waiting", 0)),
        }
        return "".join(
            f"# TYPE pgrst_db_pool_{name} {kind}\npgrst_db_pool_{name} {value}\n"
            for name, (kind, value) in values.items()
        ).encode()

    async def _answer(self, scope: HTTPScope, headers: dict[str, str], receive: Receive) -> Response:
        """The response; every exception becomes an error response."""
        try:
            if (
                scope["method"] == "OPTIONS"
                and "origin" in headers
                and "access-control-request-method" in headers
            ):
                return _preflight(headers)
            return await self._handle(scope, headers, receive)
        except ApiError as error:
            return Response(error.status, error.all_headers(), error.body())
        except Exception:
            # The client gets no internals; the log has the traceback.
            logger.exception("request failed: %s", scope["method"])
            own = ApiError(
                500, "STANDIN500", "The stand-in gateway failed to answer", hint="Its log says why."
            )
            return Response(500, own.all_headers(), own.body())

    async def _handle(self, scope: HTTPScope, headers: dict[str, str], receive: Receive) -> Response:
        body = await _body(headers, receive)
        caller = self._authenticator.caller(headers.get("authorization"))
        method = str(scope["method"])
        path = _path(scope.get("raw_path") or scope["path"].encode())
        asked = Request(method, path, scope["query_string"], headers, body)
        if method not in _METHODS:
            raise _unsupported(method)
        if self.cache is None:
            raise ApiError(
                503,
                "PGRST002",
                "Could not query the database for the schema cache. Retrying.",
                headers=[("Retry-After", "1")],
            )
        preferences = request.preferences(headers.get("prefer"), self.cache.time_zones)
        profile = self._profile(method, headers)
        context = Context(self.config, self.cache, self.database, asked, caller, preferences, profile)
        return await _route(context, path)

    def _profile(self, method: str, headers: dict[str, str]) -> Headers:
        """The requested schema; only one exists. Raises ApiError (406) for any other."""
        name = headers.get("accept-profile" if method in READ else "content-profile")
        if name is None:
            return []
        schema = self.config.db_schema
        if name != schema:
            hint = f"Only the following schemas are exposed: {schema}"
            raise ApiError(406, "PGRST106", f"Invalid schema: {name}", hint=hint)
        return [(b"Content-Profile", schema.encode())]


async def _route(context: Context, path: str) -> Response:
    method = context.request.method
    parts = path[1:].split("/")
    if path == "/":
        if method == "OPTIONS":
            return reading.options(context, None, None)
        if method not in READ:
            raise _unsupported(method)
        return await _root(context)
    if len(parts) == 2 and parts[0] == "rpc":
        if method == "OPTIONS":
            return reading.options(context, None, parts[1])
        return await reading.invoke(context, parts[1])
    if len(parts) != 1 or not path.startswith("/"):
        raise ApiError(404, "PGRST125", "Invalid path specified in request URL")
    if method == "OPTIONS":
        return reading.options(context, parts[0], None)
    return await (reading.read if method in READ else changing.change)(context, parts[0])


def _unsupported(method: str) -> ApiError:
    return ApiError(405, "PGRST117", f"Unsupported HTTP method: {method}")


async def _root(context: Context) -> Response:
    """The OpenAPI page."""
    media = request.negotiate(context.request.headers.get("accept"), root=True)
    mode = context.config.openapi_mode
    if mode == "disabled":
        raise ApiError(404, "PGRST126", "Root endpoint metadata is disabled")
    allowed = None
    if mode == "follow-privileges":
        row: Row = await context.run(Work(openapi.allowed_statement(context.cache), True, lambda _: None))
        allowed = json.loads(row[2] or b"{}")
    headers: Headers = [*context.profile, (b"Content-Type", media.header.encode())]
    return Response(200, headers, openapi.page(context.config, context.cache, allowed))


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; a repeated header is joined by commas, cookies by semicolons."""
    found: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode(errors="replace")
        if name in found:
            value = f"{found[name]}{'; ' if name == 'cookie' else ', '}{value}"
        found[name] = value
    return found


def _path(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise ApiError(404, "PGRST125", "Invalid path specified in request URL") from None


async def _body(headers: dict[str, str], receive: Receive) -> bytes:
    too_large = ApiError(413, "STANDIN413", f"The body is larger than {request.MAX_BODY_BYTES} bytes")
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > request.MAX_BODY_BYTES:
        raise too_large
    if length == "0" and "transfer-encoding" not in headers:
        return b""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ApiError(400, "PGRST102", "The client went away")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > request.MAX_BODY_BYTES:
            raise too_large
        if not message.get("more_body"):
            return b"".join(chunks)


def _preflight(headers: dict[str, str]) -> Response:
    asked = headers.get("access-control-request-headers", "")
    names = [n.strip() for n in asked.split(",") if _HEADER_NAME.fullmatch(n.strip())]
    allowed = ["Authorization", *names, "Accept", "Accept-Language", "Content-Language"]
    return Response(
        200,
        [
            (b"Access-Control-Allow-Methods", b"GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"),
            (b"Access-Control-Allow-Headers", ", ".join(allowed).encode()),
            (b"Access-Control-Max-Age", b"86400"),
        ],
    )


async def _send(response: Response, send: Send, *, head: bool) -> None:
    body = b"" if head or response.status in (204, 304) else response.body
    headers = [*response.headers, _SERVER]
    if not head and response.status not in (204, 304):
        headers.append((b"Content-Length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def create(gateway: Gateway) -> Litestar:
    """The Litestar application: one mounted handler, and the gateway's lifespan."""

    @asgi("/", is_mount=True, copy_scope=False)
    async def everything(scope: Scope, receive: Receive, send: Send) -> None:
        await gateway(cast("HTTPScope", scope), receive, send)  # websockets are switched off

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await gateway.start()
        yield
        await gateway.stop()

    return Litestar([everything], lifespan=[lifespan], openapi_config=None, logging_config=None)
