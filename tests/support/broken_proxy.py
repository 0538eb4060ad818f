"""A proxy between two programs that stops forwarding: it is silent, cuts answers in half, or resets."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["", "silent", "half", "reset"]
FAULTS: tuple[Fault, ...] = ("silent", "half", "reset")
"""silent: it accepts requests and never answers. half: it forwards the request and half of the answer's body.
reset: it resets the connection when a request arrives."""

_HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"id": 1, '
"""What a proxy without a target answers as half of an answer."""


class BrokenProxy:
    """A proxy in front of the URL `target`, or of nothing. Its fault can be changed at any time."""

    def __init__(self, target: str = "", fault: Fault = "") -> None:
        self._target = urlsplit(target)
        self.fault: Fault = fault
        self.port = 0
        self.requests = 0
        """Requests that met a fault."""

    @property
    def url(self) -> str:
        """The proxy's own URL."""
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        answers: asyncio.Task[None] | None = None
        try:
            while request := await reader.read(1 << 20):
                self.requests += bool(self.fault)
                if self.fault == "silent":
                    await asyncio.Event().wait()
                if self.fault == "reset":
                    lingering = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
                    return
                if self.fault and not self._target.port:
                    writer.write(_HALF)
                    return
                if upstream is None:
                    upstream = await asyncio.open_connection(self._target.hostname, self._target.port)
                    answers = asyncio.create_task(self._answer(upstream[0], writer))
                upstream[1].write(request)
        except OSError:
            pass  # one of the two ended the connection
        finally:
            if answers:
                with suppress(OSError):
                    await answers
            for end in (writer, upstream and upstream[1]):
                if end:
                    end.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await reader.read(1 << 20):
            if self.fault == "half":
                while b"\r\n\r\n" not in answer or answer.endswith(b"\r\n\r\n"):
                    answer += await reader.read(1 << 20)
                head, body = answer.split(b"\r\n\r\n", 1)
                answer = head + b"\r\n\r\n" + body[: len(body) // 2]
            writer.write(answer)
            await writer.drain()
            if self.fault:
                writer.close()
                return


@contextmanager
def running(target: str = "", fault: Fault = "") -> Iterator[BrokenProxy]:
    """A proxy in a thread of its own, until the block ends."""
    proxy = BrokenProxy(target, fault)
    started, stopped = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        started.set()
        await stopped.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=[serve()], daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield proxy
    finally:
        loops[0].call_soon_threadsafe(stopped.set)
        thread.join(10)
