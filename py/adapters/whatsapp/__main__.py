"""`python -m adapters.whatsapp`: run until stopped."""

import logging
import sys

import uvicorn
from pydantic import ValidationError

from adapters.whatsapp.app import create
from adapters.whatsapp.settings import Settings


def main() -> int:
    """Run until stopped; 2 where a setting is missing or wrong."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel("WARNING")  # a line for each poll would drown the rest
    logging.getLogger("pywa").setLevel("ERROR")  # the worker says what became of each message
    try:
        settings = Settings.told()
    except ValidationError as error:
        for problem in error.errors():
            where = f"HUB_{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            print(f"whatsapp: {where}{problem['msg']}", file=sys.stderr)
        return 2
    if not settings.has_credentials:
        logging.info("no WhatsApp credentials: messages are printed here")
    uvicorn.run(
        create(settings),
        host=settings.whatsapp_host,
        port=settings.whatsapp_port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
