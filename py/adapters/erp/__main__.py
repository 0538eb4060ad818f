"""`python -m adapters.erp [--once]`: run the ERP adapter until it is stopped, or for one round."""

import argparse
import asyncio
import logging
import sys

import httpx
from postgrest import APIError

from adapters.common.gateway import UnexpectedAnswerError
from adapters.common.program import WRONG_SETTINGS, load_settings, serve
from adapters.erp.app import create, open_worker
from adapters.erp.hub import HubClient
from adapters.erp.port import ErpKindError
from adapters.erp.settings import Settings

_KIND_SECONDS = 2
"""A gateway that does not answer delays the start by no more than this."""


async def _check_kind(settings: Settings) -> None:
    """Raises ErpKindError. A gateway that is unreachable now is asked again before each exchange."""
    async with HubClient(settings) as hub:
        try:
            async with asyncio.timeout(_KIND_SECONDS):
                await hub.stream_state("orders")
        except (APIError, httpx.HTTPError, UnexpectedAnswerError, TimeoutError) as error:
            logging.getLogger(__name__).warning("the gateway: %s", str(error) or type(error).__name__)


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
    settings = load_settings(Settings)
    if settings is None:
        return WRONG_SETTINGS
    if settings.erp_kind == "none":
        print("erp: no ERP is configured; set HUB_ERP_KIND to tryton or csv", file=sys.stderr)
        return WRONG_SETTINGS
    try:
        asyncio.run(_check_kind(settings))
    except ErpKindError as error:
        print(f"erp: {error}", file=sys.stderr)
        return WRONG_SETTINGS
    return asyncio.run(_once(settings)) if arguments.once else serve(create(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
