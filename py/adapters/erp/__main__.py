"""`python -m adapters.erp [--once]`: exchange until stopped, or once."""

import argparse
import asyncio
import logging
import sys

import uvicorn
from pydantic import ValidationError

from adapters.erp.app import create, working
from adapters.erp.settings import Settings


async def _once(settings: Settings) -> int:
    async with working(settings) as worker:
        return 0 if await worker.once() else 1


def main() -> int:
    """Run; 1 where `--once` met trouble, 2 where a setting is missing or wrong."""
    parser = argparse.ArgumentParser(prog="python -m adapters.erp", description="The ERP adapter.")
    parser.add_argument("--once", action="store_true", help="every stream once, then end")
    asked = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel("WARNING")  # a line for each call would drown the rest
    try:
        settings = Settings.told()
    except ValidationError as error:
        for problem in error.errors():
            where = f"HUB_{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            print(f"erp: {where}{problem['msg']}", file=sys.stderr)
        return 2
    if settings.erp_kind == "none":
        print("erp: HUB_ERP_KIND is none: there is no ERP to talk to", file=sys.stderr)
        return 2
    if asked.once:
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
