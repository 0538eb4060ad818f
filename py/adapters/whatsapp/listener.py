"""LISTEN: being woken when a message is owed. Polling goes on beside it, so that nothing depends on it."""

import asyncio
import logging
from collections.abc import Callable

import psycopg

logger = logging.getLogger(__name__)

CHANNEL = "hub_messages"
_LONGEST_PAUSE = 30.0


async def listen(url: str, wake: Callable[[], None]) -> None:
    """Call `wake` at each notice, until cancelled; a lost connection is made anew."""
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
            logger.warning("not listening, polling only: %s", str(error).strip().splitlines()[:1])
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)
