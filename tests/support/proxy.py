"""A proxy between two programs that injects faults."""

import http.client
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["", "slow", "late", "cut", "500", "garbage", "silent", "half", "reset"]
"""slow: the request is forwarded after `delay` seconds, even if the client has given up by then.
late: the answer is delayed. cut: the answer is lost. 500, garbage: the answer is replaced.
silent: the request is neither forwarded nor answered. half: half of the answer's body is lost.
reset: the connection is reset instead of forwarding the request."""

STALLS: tuple[Fault, ...] = ("silent", "half", "reset")
"""Faults of a proxy that stops forwarding."""


@dataclass
class Proxy:
    """A proxy in front of `target`, or of nothing.

    Its fault applies to the first `times` calls of method `only`.
    """

    target: str
    port: int = 0
    fault: Fault = ""
    only: str = ""
    times: int = 10**9
    delay: float = 0.0
    injected: int = 0
    """Faults since the last call of `inject`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The proxy's own URL."""
        return f"http://127.0.0.1:{self.port}"

    def inject(self, fault: Fault, only: str = "", times: int = 10**9, delay: float = 0.0) -> None:
        """Inject a fault from now on; `delay` is in seconds."""
        with self._lock:
            self.only, self.times, self.delay, self.injected, self.fault = only, times, delay, 0, fault

    def clear(self) -> None:
        """Inject no more faults."""
        self.inject("")

    def end(self) -> None:
        """Close the connections that are silent."""
        self._ended.set()

    def _due(self, body: bytes) -> Fault:
        with self._lock:
            if not self.fault or self.injected >= self.times or self.only.encode() not in body:
                return ""
            self.injected += 1
            return self.fault

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Forward one request."""
        length = int(request.headers.get("Content-Length", 0))
        body = request.rfile.read(length)
        if len(body) < length:  # the client was killed; Tryton would wait for the rest
            request.close_connection = True
            return
        fault = self._due(body)
        if fault == "silent":
            self._ended.wait()
        if fault == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(request.connection.detach())
        if fault in ("silent", "reset"):
            request.close_connection = True
            return
        if fault == "slow":
            time.sleep(self.delay)
        forwarded = self._forward(request, body)
        if fault == "late":
            time.sleep(self.delay)
        if forwarded is None or fault == "cut":
            request.close_connection = True
            request.connection.shutdown(2)
            return
        status, headers, answer = forwarded
        if fault == "500":
            status, headers, answer = 500, [], b"Internal Server Error"
        elif fault == "garbage":
            status, headers, answer = 200, [], b"<html>maintenance"
        request.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        if fault == "half":
            request.close_connection = True
            answer = answer[: len(answer) // 2]
        request.wfile.write(answer)

    def _forward(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        if not self.target:
            return 200, [], b'{"id": 1}'
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)
        try:
            connection.request(request.command, request.path, body, dict(request.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@contextmanager
def running(target: str = "", fault: Fault = "") -> Iterator[Proxy]:
    """A proxy in front of the URL `target`, or of nothing, until the block ends."""
    proxy = Proxy(target, fault=fault)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                proxy.handle(self)
            except OSError:
                self.close_connection = True  # the client is gone

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None: ...

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None: ...  # killed clients

    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.end()
            server.shutdown()
            thread.join()
