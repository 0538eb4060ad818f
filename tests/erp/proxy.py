"""A line between the adapter and Tryton that can be made slow, cut, or talk nonsense."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["", "slow", "late", "cut", "500", "garbage"]
"""slow: the request is kept for `delay` seconds and then passed on, whoever waits for it; late: passed on,
and the answer kept back; cut: passed on, and the answer lost; 500 and garbage: passed on, and answered so."""


@dataclass
class Proxy:
    """Its behaviour. `only` names a method whose calls alone are disturbed; `times` is how often."""

    target: str
    port: int = 0
    fault: Fault = ""
    only: str = ""
    times: int = 10**9
    delay: float = 0.0
    disturbed: int = 0
    methods: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def disturb(self, fault: Fault, only: str = "", times: int = 10**9, delay: float = 0.0) -> None:
        """From now on."""
        with self._lock:
            self.only, self.times, self.delay, self.disturbed, self.fault = only, times, delay, 0, fault

    def calm(self) -> None:
        """No more."""
        self.disturb("")

    def _due(self, body: bytes) -> Fault:
        with self._lock:
            if not self.fault or self.disturbed >= self.times or self.only.encode() not in body:
                return ""
            self.disturbed += 1
            return self.fault

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        length = int(request.headers.get("Content-Length", 0))
        body = request.rfile.read(length)
        if len(body) < length:  # who asked was killed in the midst of it; Tryton would wait for the rest
            request.close_connection = True
            return
        fault = self._due(body)
        if fault == "slow":
            time.sleep(self.delay)
        passed = self._pass_on(request, body)
        if fault == "late":
            time.sleep(self.delay)
        if passed is None or fault == "cut":
            request.close_connection = True
            request.connection.shutdown(2)
            return
        status, headers, answer = passed
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
        request.wfile.write(answer)

    def _pass_on(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        line = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)
        try:
            line.request("POST", request.path, body, dict(request.headers.items()))
            answer = line.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            line.close()


@contextmanager
def running(target: str) -> Iterator[Proxy]:
    """A proxy in front of `target`."""
    proxy = Proxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                proxy.handle(self)
            except OSError:
                self.close_connection = True  # who asked is gone

        def log_message(self, format: str, *args: object) -> None: ...

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None: ...  # killed adapters

    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
