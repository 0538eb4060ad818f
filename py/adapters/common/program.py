"""`python -m adapters.<name>`: what the programs of all adapters share."""

import sys
from collections.abc import Callable
from typing import TypeVar

import uvicorn
from litestar import Litestar
from pydantic import ValidationError

from adapters.common import logs
from adapters.common.credentials import published_secrets
from adapters.common.settings import ProgramSettings, SettingsError

S = TypeVar("S", bound=ProgramSettings)

CONNECTION_SECONDS = 3
"""Open requests may take so long to end when the program is stopped; then its tasks are stopped."""

WRONG_SETTINGS = 2
"""Exit code for a missing or invalid setting."""


def load_settings(settings_class: type[S]) -> S | None:
    """Configure the logs and read the settings; prints what is wrong with them and returns None."""
    logs.configure()
    try:
        settings = settings_class.load()
    except ValidationError as error:
        for problem in error.errors():
            where = f"HUB_{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            print(f"{settings_class.NAME}: {where}{problem['msg']}", file=sys.stderr)
        return None
    except ValueError as error:  # of a file with a secret
        print(f"{settings_class.NAME}: {error}", file=sys.stderr)
        return None
    published = published_secrets(settings)
    for variable in published:
        print(f"{settings_class.NAME}: {variable}: everyone knows this value", file=sys.stderr)
    return None if published else settings


def serve(app: Litestar, settings: ProgramSettings) -> int:
    """Serve the application until the program is stopped; returns the exit code."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=CONNECTION_SECONDS,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 3


def run(settings_class: type[S], create: Callable[[S], Litestar]) -> int:
    """Run an adapter until it is stopped; returns the exit code."""
    settings = load_settings(settings_class)
    if settings is None:
        return WRONG_SETTINGS
    try:
        app = create(settings)
    except SettingsError as error:
        print(f"{settings_class.NAME}: {error}", file=sys.stderr)
        return WRONG_SETTINGS
    return serve(app, settings)
