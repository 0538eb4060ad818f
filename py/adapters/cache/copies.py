"""Copies of bodies in this process, filled once however many requests miss at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from prometheus_client import Counter

from adapters.cache.bodies import Answer, Body, build
from adapters.cache.shared_store import SharedStore
from adapters.common.coalescing import fail, succeed

FILLS = Counter("hub_cache_fills", "Bodies read into this process", ["source"])

_INLINE_BYTES = 4096


@dataclass
class _Fill:
    """A read of a body that will be right for `state` or a later one."""

    state: str
    waiting: list["asyncio.Future[Body]"] = field(default_factory=list)


@dataclass
class _Shelf:
    """The newest copy of a body, the read that runs, and the one that follows it."""

    body: Body | None = None
    running: _Fill | None = None
    following: _Fill | None = None


class Copies:
    """The newest body of each name. A copy is served while its state is the database's, and no longer."""

    def __init__(self, read: Callable[[str], Awaitable[Answer]], store: SharedStore | None) -> None:
        """`read` reads a body from the database; `store` shares bodies between processes."""
        self._read = read
        self._store = store
        self._shelves: dict[str, _Shelf] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def present(self, name: str, state: str) -> Body | None:
        """The copy, if it shows this state."""
        shelf = self._shelves.get(name)
        return shelf.body if shelf and shelf.body and shelf.body.state == state else None

    async def body(self, name: str, state: str) -> Body:
        """The body in this state, or in a later one. `state` is what the database has just returned.

        Raises what `read` raises.
        """
        shelf = self._shelves.setdefault(name, _Shelf())
        if shelf.body and shelf.body.state == state:
            return shelf.body
        future: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        if shelf.running is None:
            shelf.running = _Fill(state)
            task = asyncio.create_task(self._run(name, shelf))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            fill = shelf.running
        elif shelf.running.state == state:
            fill = shelf.running
        else:
            # The running read may have begun before this request arrived; one that follows has not.
            fill = shelf.following = shelf.following or _Fill(state)
            fill.state = state
        fill.waiting.append(future)
        return await future

    async def _run(self, name: str, shelf: _Shelf) -> None:
        while fill := shelf.running:
            try:
                body = shelf.body = await self._fill(name, fill.state)
            except BaseException as error:
                fail(fill.waiting, error)
                if not isinstance(error, Exception):
                    raise
            else:
                succeed(fill.waiting, body)
            shelf.running, shelf.following = shelf.following, None

    async def _fill(self, name: str, state: str) -> Body:
        if self._store:
            shared = await self._store.find(f"{name}:{state}")
            if shared:
                FILLS.labels("redis").inc()
                return shared
        answer = await self._read(name)
        large = len(bytes(answer.body)) > _INLINE_BYTES
        body = await asyncio.to_thread(build, answer) if large else build(answer)
        FILLS.labels("database").inc()
        if self._store:
            self._store.keep(f"{name}:{body.state}", body)
        return body
