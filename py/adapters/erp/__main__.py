"""`python -m adapters.erp [--once]`: run the ERP adapter until it is stopped, or for one round."""

import argparse
import asyncio
import logging
import sys

import httpx
import uvicorn
from postgrest import APIError
from pydantic import ValidationError

from adapters.erp.app import create, open_worker
from adapters.erp.hub import HubClient
from adapters.erp.port import ErpKindError
from adapters.erp.settings import Settings


async def _check_kind(settings: Settings) -> None:
    """Raises ErpKindError. A gateway that is unreachable now is asked again before each exchange."""
    hub = HubClient(settings)
    try:
        await hub.stream_state("orders")
    except (APIError, httpx.HTTPError) as error:
        logging.getLogger(__name__).warning("the gateway: %s", error)
    finally:
        await hub.aclose()


async def _once(settings: Settings) -> int:
    async with open_worker(settings) as worker:
        return 0 if await worker.once() else 1


def main() -> int:
    """Run; returns 1 if a stream of `--once` failed, 2 for a wrong setting or another ERP than the hub's."""
    parser = argparse.ArgumentParser(
        prog="python -m adapters.erp",
        description="Exchange products, stock, payments and orders with an ERP.",
    )
    parser.add_argument("--once", action="store_true", help="run every stream once and exit")
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel("WARNING")  # it logs a line for each call
    try:
        settings = Settings.load()
    except ValidationError as error:
        for problem in error.errors():
            where = f"HUB_{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            print(f"erp: {where}{problem['msg']}", file=sys.stderr)
        return 2
    if settings.erp_kind == "none":
        print("erp: no ERP is configured; set HUB_ERP_KIND to tryton or csv", file=sys.stderr)
        return 2
    try:
        asyncio.run(_check_kind(settings))
    except ErpKindError as error:
        print(f"erp: {error}", file=sys.stderr)
        return 2
    if arguments.once:
        return asyncio.run(_once(settings))
    uvicorn.run(
        create(settings),
        host=settings.erp_host,
        port=settings.erp_port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
