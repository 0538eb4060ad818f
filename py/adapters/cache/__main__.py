"""`python -m adapters.cache`: serve the cache until it is stopped."""

import logging
import sys

import uvicorn
from pydantic import ValidationError

from adapters.cache.app import create
from adapters.cache.settings import Settings


def main() -> int:
    """Run until stopped; returns 2 if a setting is missing or invalid."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.load()
    except ValidationError as error:
        for problem in error.errors():
            where = f"HUB_{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            print(f"cache: {where}{problem['msg']}", file=sys.stderr)
        return 2
    uvicorn.run(
        create(settings),
        host=settings.cache_host,
        port=settings.cache_port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
