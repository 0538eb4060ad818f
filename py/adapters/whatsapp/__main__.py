"""`python -m adapters.whatsapp`: run the WhatsApp adapter until it is stopped."""

import logging
import sys

import uvicorn
from pydantic import ValidationError

from adapters.whatsapp.app import create
from adapters.whatsapp.settings import Settings


def main() -> int:
    """Run until stopped; returns 2 if a setting is missing or invalid."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel("WARNING")  # it logs a line for each poll
    logging.getLogger("pywa").setLevel("ERROR")  # the worker logs the outcome of each message
    try:
        settings = Settings.load()
    except ValidationError as error:
        for problem in error.errors():
            where = f"HUB_{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            print(f"whatsapp: {where}{problem['msg']}", file=sys.stderr)
        return 2
    if not settings.has_credentials:
        logging.info("no WhatsApp credentials are set: messages are printed here")
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
