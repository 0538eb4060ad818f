"""The Litestar application: files of the pages with their headers, config.json, and the gateway at /api/."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar, Request, Response, get
from litestar.config.compression import CompressionConfig
from litestar.response import Redirect
from litestar.router import Router
from litestar.static_files import create_static_files_router

from adapters.common.app import create_app
from adapters.common.certificates import needs_certificates
from adapters.common.health import Health
from adapters.pages.proxy import gateway_mount
from adapters.pages.settings import Settings

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # The hash is that of the empty text: MUI inserts empty style elements, which it fills by script.
        "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
HASHED = "public, max-age=31536000, immutable"
"""Cache-Control of files below assets/, whose names contain a hash of what is in them."""


def create(settings: Settings) -> Litestar:
    """Create the application for the folders that exist; without the console the shop is served alone."""
    client = httpx.AsyncClient(
        base_url=settings.gateway_url,
        timeout=httpx.Timeout(60, connect=5),
        verify=needs_certificates(settings.gateway_url),
        trust_env=False,
    )

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with client:
            yield

    shop, console = (settings.pages_root / name / "dist" for name in ("shop", "console"))
    routers = [_files("/", shop)]
    if console.is_dir():
        routers.append(_files("/console", console))
    return create_app(
        Settings.NAME,
        health=Health(),
        handlers=[config, gateway_mount(client), *routers],
        lifespan=[lifespan],
        access_log=False,
        request_metrics=False,
        compression_config=CompressionConfig(backend="gzip", minimum_size=1000),
    )


@get(["/config.json", "/console/config.json"])
async def config() -> Response[dict[str, str]]:
    """What the pages read when they start."""
    return Response({"api": "/api"}, headers={"Cache-Control": "no-store", **HEADERS})


def _files(path: str, folder: Path) -> Router:
    return create_static_files_router(
        path=path,
        directories=[folder],
        html_mode=True,
        name=folder.parent.name,
        before_request=_to_folder(path),
        after_request=_add_headers,
    )


def _to_folder(path: str) -> Callable[[Request[Any, Any, Any]], Redirect | None]:
    """Pages name their files relative to their folder, so its address ends with a slash."""

    def redirect(request: Request[Any, Any, Any]) -> Redirect | None:
        asked = request.scope["raw_path"].decode("latin-1")
        return Redirect(f"{path}/") if path != "/" and asked == path else None

    return redirect


def _add_headers(response: Response[Any]) -> Response[Any]:
    """Browsers keep hashed files for ever, and ask again for all others."""
    file = str(getattr(response, "file_path", ""))
    response.headers.update(HEADERS)
    response.headers["Cache-Control"] = HASHED if "/assets/" in file else "no-cache"
    return response
