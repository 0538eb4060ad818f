"""The Litestar application of an adapter."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController
from litestar.types import ExceptionHandlersMap

from adapters.common import logs
from adapters.common.health import Health, HealthController
from adapters.common.requests import RequestId, fail, refuse

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(
    name: str,
    *,
    health: Health,
    handlers: Sequence[Any] = (),
    lifespan: Sequence[Lifespan] = (),
    dependencies: Mapping[str, Provide] | None = None,
    access_log: bool = True,
    request_metrics: bool = True,
    exception_handlers: "ExceptionHandlersMap | None" = None,
    **options: Any,
) -> Litestar:
    """The application of the adapter `name`: its handlers, /health, /metrics, request ids and errors as JSON.

    `lifespan` opens what the adapter needs and runs its tasks. `options` are Litestar's own.
    `request_metrics` counts and times requests by path; an adapter with very many may count for itself.
    """
    metrics = PrometheusConfig(
        app_name=name, prefix="hub_adapter", group_path=True, exclude=["^/health", "^/metrics"]
    )
    return Litestar(
        [HealthController, PrometheusController, *handlers],
        lifespan=list(lifespan),
        dependencies={"health": Provide(lambda: health, sync_to_thread=False), **(dependencies or {})},
        middleware=[
            RequestId(),
            *([metrics.middleware] if request_metrics else []),
            *([logs.access_log().middleware] if access_log else []),
        ],
        exception_handlers={HTTPException: refuse, Exception: fail, **(exception_handlers or {})},
        logging_config=logs.litestar_config(),
        openapi_config=None,
        **options,
    )
