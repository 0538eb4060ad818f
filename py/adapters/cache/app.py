"""The Litestar application: /catalogue, /configs and /stock for frontends, /health and /metrics."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import lru_cache, partial
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from prometheus_client import Counter

from adapters.cache import standbys
from adapters.cache.bearer import Verifier
from adapters.cache.bodies import Seal
from adapters.cache.database import Database
from adapters.cache.errors import RefusedError
from adapters.cache.service import CacheService, Source
from adapters.cache.settings import Settings
from adapters.cache.shared_store import SharedStore
from adapters.common.app import create_app
from adapters.common.health import Health
from adapters.common.requests import fail
from adapters.common.tasks import Supervisor

ANSWERS = Counter("hub_cache_answers", "Answers with a body, or 304", ["resource", "source", "status"])

VERSION_HEADER = "Hub-Version"
_JSON = "application/json; charset=utf-8"
_CODES = {404: "PGRST125", 405: "PGRST117"}
"""The gateway's codes of unknown paths and methods."""


def create(settings: Settings) -> Litestar:
    """Create the application."""
    health, tasks = Health(), Supervisor()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        given = (settings.jwt_secret, settings.jwt_previous_secret)
        secrets = [secret.get_secret_value() for secret in given if secret]
        url = settings.cache_database_url.get_secret_value()
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(Database(url, seconds=settings.cache_database_seconds))
            with suppress(RefusedError):
                await database.state([])
            health.add("database", lambda: database.problem)
            tasks.add("database watch", database.watch)
            tasks.add("standby watch", partial(standbys.watch, database))
            store = None
            if settings.redis_url.get_secret_value():
                store = _shared_store(settings)
                stack.push_async_callback(store.close)
                await store.probe()
                health.add("redis", lambda: store.problem, required=False)
                tasks.add("redis watch", store.watch)
            app.state.service = CacheService(database, Verifier(*secrets), store)
            await stack.enter_async_context(tasks)
            yield

    health.add("tasks", tasks.problem)
    return create_app(
        Settings.NAME,
        health=health,
        handlers=[catalogue, configs, stock],
        lifespan=[lifespan],
        dependencies={"service": Provide(_service, sync_to_thread=False)},
        exception_handlers={RefusedError: _refused, HTTPException: _http_error, Exception: _unexpected},
        # Thousands of requests a second: ANSWERS counts them.
        access_log=False,
        request_metrics=False,
        cors_config=CORSConfig(
            allow_methods=["GET"],
            allow_headers=["Authorization", "If-None-Match", VERSION_HEADER],
            expose_headers=["ETag", "Age", "Retry-After", "X-Request-Id", VERSION_HEADER],
            max_age=86400,
        ),
    )


def _shared_store(settings: Settings) -> SharedStore:
    return SharedStore(
        settings.redis_url.get_secret_value(),
        Seal(settings.jwt_secret.get_secret_value()),
        prefix=settings.redis_prefix,
        timeout=settings.redis_timeout_ms / 1000,
        wait=settings.redis_wait_ms / 1000,
    )


def _service(state: State) -> CacheService:
    return state.service  # type: ignore[no-any-return]


@get("/catalogue")
async def catalogue(
    request: Request[Any, Any, Any], service: NamedDependency[CacheService]
) -> Response[bytes]:
    """The whole catalogue at the prices of the caller's price list."""
    headers = request.headers
    source = await service.catalogue(headers.get("authorization"), headers.get("hub-version"))
    return _answer("catalogue", request, source)


@get("/configs")
async def configs(request: Request[Any, Any, Any], service: NamedDependency[CacheService]) -> Response[bytes]:
    """The configuration that frontends need."""
    headers = request.headers
    source = await service.configs(headers.get("authorization"), headers.get("hub-version"))
    return _answer("configs", request, source)


@get("/stock")
async def stock(request: Request[Any, Any, Any], service: NamedDependency[CacheService]) -> Response[bytes]:
    """Display stock of all active products, with the age of the figures."""
    body, age = await service.stock(request.headers.get("authorization"))
    ANSWERS.labels("stock", "memory", 200).inc()
    headers = {"Cache-Control": "private, no-store", "Vary": "Authorization", **age}
    return Response(body, media_type=_JSON, headers=headers)


def _answer(resource: str, request: Request[Any, Any, Any], source: Source) -> Response[bytes]:
    body = source.body
    headers = {
        "ETag": body.etag,
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization, Accept-Encoding",
        VERSION_HEADER: str(body.version),
    }
    if _matches(request.headers.get("if-none-match"), body.etag):
        ANSWERS.labels(resource, source.source, 304).inc()
        return Response(b"", status_code=304, headers=headers, media_type=_JSON)
    ANSWERS.labels(resource, source.source, 200).inc()
    content = body.plain
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        content = body.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=_JSON)


@lru_cache(maxsize=256)
def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for item in accepted.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weights[coding] = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", "0")))
    return weight.strip("0.") != ""


def _matches(wanted: str | None, etag: str) -> bool:
    """Whether If-None-Match names the tag, by the weak comparison of RFC 9110."""
    if wanted is None:
        return False
    known = etag.removeprefix("W/")
    return any(tag.strip() in (etag, known) for tag in wanted.split(","))


def _refused(_request: Request[Any, Any, Any], error: RefusedError) -> Response[dict[str, Any]]:
    headers = {"Cache-Control": "no-store", **error.headers}
    return Response(error.body, status_code=error.status, headers=headers, media_type=_JSON)


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    code = _CODES.get(error.status_code, "PGRST100")
    refused = RefusedError(error.status_code, code, error.detail, headers=error.headers)
    return _refused(request, refused)


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    fail(request, error)
    return _refused(request, RefusedError(500, "XX000", "Internal error", hint="Try again later"))
