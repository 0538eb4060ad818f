"""Redis: bodies shared between processes and machines. Whatever it does, answers stay right."""

import asyncio
import secrets
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import redis.exceptions
from prometheus_client import Counter, Gauge
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adapters.cache.bodies import Body, Seal

FAILURES = Counter("hub_cache_redis_failures", "Commands that Redis failed, and values refused", ["reason"])
AVAILABLE = Gauge("hub_cache_redis_available", "1 while Redis is used, 0 while it is left out")

_VALUE_SECONDS = 900
_LOCK_MILLISECONDS = 1000
_PROBE_MILLISECONDS = 10_000
_POLL_SECONDS = 0.01
_WATCH_SECONDS = 1.0
_FAILURES = (redis.exceptions.RedisError, OSError, ValueError)  # a TimeoutError is an OSError

Result = TypeVar("Result")


class SharedStore:
    """Bodies by name. A failing Redis is left out at once, and used again when a probe succeeds.

    Requests never probe: a slow Redis costs one of them its timeout, not each.
    """

    def __init__(self, url: str, seal: Seal, *, prefix: str, timeout: float, wait: float) -> None:
        """`timeout` limits a command, `wait` everything that a request does here; both in seconds."""
        self._seal = seal
        self._prefix = prefix
        self._timeout = timeout
        self._wait = wait
        self.problem = ""
        """Why Redis is not used: away, timeout, refused, garbage; empty while it is."""
        AVAILABLE.set(1)
        # The default retries, with back-off, take seconds.
        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            protocol=2,
        )
        self._writes: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Abandon writes and close the connections."""
        for task in self._writes:
            task.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._redis.aclose()

    async def find(self, name: str) -> Body | None:
        """The body of this name. None: the caller is to read it, as no other process does so.

        If another process reads it, wait for its result, at most `wait` seconds. A process that died with
        the lock delays others by no more than that.
        """
        if self.problem:
            return None
        # The timeout ends a slow command; the loop also looks at the clock, because a client that
        # swallows the cancellation would let it run for ever.
        deadline = time.monotonic() + self._wait
        try:
            async with asyncio.timeout(self._wait):
                body = await self._get(name)
                while body is None and not await self._claim(name) and time.monotonic() < deadline:
                    await asyncio.sleep(_POLL_SECONDS)
                    body = await self._get(name)
                return body
        except TimeoutError:
            return None

    def keep(self, name: str, body: Body) -> None:
        """Store a body, in the background."""
        if not self.problem:
            task = asyncio.create_task(self._put(name, body))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def watch(self) -> None:
        """Probe every second; never ends."""
        while True:
            await self.probe()
            await asyncio.sleep(_WATCH_SECONDS)

    async def probe(self) -> bool:
        """Write and read a value; Redis is used from now on if that succeeds, else left out."""
        name, value = self._key(f"probe:{secrets.token_hex(8)}"), secrets.token_bytes(16)
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.set(name, value, px=_PROBE_MILLISECONDS)
                found = await self._redis.get(name)
        except _FAILURES as error:
            self._leave_out(_reason(error))
            return False
        if found != value:
            self._leave_out("garbage")
            return False
        self.problem = ""
        AVAILABLE.set(1)
        return True

    async def _get(self, name: str) -> Body | None:
        value = await self._command(self._redis.get(self._key(name)), None)
        if value is None:
            return None
        body = await asyncio.to_thread(self._seal.unpack, name, value) if isinstance(value, bytes) else None
        if body is None:
            self._leave_out("garbage")
        return body

    async def _claim(self, name: str) -> bool:
        """Whether this process is to read the body: it holds the lock, or there is no Redis to ask."""
        if self.problem:
            return True
        lock = self._redis.set(self._key(f"{name}:lock"), b"1", nx=True, px=_LOCK_MILLISECONDS)
        taken = await self._command(lock, True)
        return taken is not None

    async def _put(self, name: str, body: Body) -> None:
        value = await asyncio.to_thread(self._seal.pack, name, body)
        await self._command(self._redis.set(self._key(name), value, ex=_VALUE_SECONDS), None)

    async def _command(self, command: Awaitable[Result], otherwise: Result) -> Result:
        """The result of a command, or `otherwise` if Redis fails."""
        try:
            async with asyncio.timeout(self._timeout):
                return await command
        except _FAILURES as error:
            self._leave_out(_reason(error))
        return otherwise

    def _leave_out(self, reason: str) -> None:
        FAILURES.labels(reason).inc()
        AVAILABLE.set(0)
        self.problem = reason

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"


def _reason(error: Exception) -> str:
    if isinstance(error, redis.exceptions.TimeoutError | TimeoutError):
        return "timeout"
    if isinstance(error, redis.exceptions.ConnectionError | OSError):
        return "away"
    return "refused"
