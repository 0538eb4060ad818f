"""Fixtures: `gateway_server`, a server that gives the answers that a test prepares."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from adapters.common.settings import AdapterSettings
from tests.support.test_cluster import JWT_SECRET


class GatewayServer(ThreadingHTTPServer):
    """Answers each call with the next of `answers` (status, body), the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, str]] = [(200, "[]")]
        self.headers: list[dict[str, str]] = []
        """The headers of each call, in lower case."""
        self.bodies: list[bytes] = []

    @property
    def settings(self) -> AdapterSettings:
        """Settings of an adapter that calls this server."""
        return AdapterSettings.model_validate(
            {"gateway_url": f"http://127.0.0.1:{self.server_address[1]}", "jwt_secret": JWT_SECRET}
        )


class _Handler(BaseHTTPRequestHandler):
    server: GatewayServer

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        answers = self.server.answers
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def refusal(code: str) -> str:
    """The body of an error as the gateway words it."""
    return json.dumps({"code": code, "message": code, "details": None, "hint": None})


@pytest.fixture
def gateway_server() -> Iterator[GatewayServer]:
    """A running server."""
    with GatewayServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
