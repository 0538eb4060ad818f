"""LISTEN for enqueued messages, so that the worker need not wait for its next poll.

Polling continues beside it: a lost notification delays a message and loses none.
"""

import asyncio
import logging
from collections.abc import Callable

import psycopg

logger = logging.getLogger(__name__)

CHANNEL = "hub_messages"
_MAX_PAUSE_SECONDS = 30.0


async def listen(url: str, wake: Callable[[], None]) -> None:
    """Call `wake` for each notification until cancelled; reconnects to `url` when the connection is lost."""
    pause = 1.0
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
                await conn.execute(f"listen {CHANNEL}")
                pause = 1.0
                wake()
                async for _ in conn.notifies():
                    wake()
        except psycopg.Error as error:
            logger.warning("cannot listen, polling only: %s", str(error).strip().splitlines()[:1])
        await asyncio.sleep(pause)
        pause = min(_MAX_PAUSE_SECONDS, pause * 2)
