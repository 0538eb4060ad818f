"""The load generator of `hub dev bench --gateway`."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devtools.bench import BenchError, gateway
from devtools.bench.environment import Environment

needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")

Request = tuple[str, str, str, dict[str, Any]]


@contextmanager
def answering(status: int, known: str | None = None) -> Iterator[tuple[str, list[Request]]]:
    """The URL of a server that answers every request with this status, and the requests it received.

    It answers 400 to a request whose If-None-Match is not `known`.
    """
    received: list[Request] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            authorization = self.headers["Authorization"]
            received.append((self.command, self.path, authorization, json.loads(body or "{}")))
            self.send_response(status if self.headers["If-None-Match"] == known else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815 - named by http.server

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A folder with the tokens of two partners."""
    (tmp_path / "tokens.txt").write_text("one\ntwo\n")
    return tmp_path


@needs_wrk
def test_orders_have_five_products_and_keys_of_their_own(tokens: Path) -> None:
    with answering(200) as (url, received):
        done = gateway.load(url, tokens, "submit_order", clients=4, seconds=1)
    assert done.tps > 0
    assert done.p95_ms >= done.p50_ms > 0
    assert {(method, path) for method, path, _, _ in received} == {("POST", "/rpc/submit_order")}
    assert {token for _, _, token, _ in received} == {"Bearer one", "Bearer two"}
    assert all(len({item["sku"] for item in body["items"]}) == 5 for *_, body in received)
    keys = [body["idempotency_key"] for *_, body in received]
    assert len(keys) == len(set(keys))


@needs_wrk
def test_lists_ask_for_the_newest_twenty_orders(tokens: Path) -> None:
    with answering(200) as (url, received):
        gateway.load(url, tokens, "newest_orders", clients=1, seconds=1)
    assert {(method, path) for method, path, _, _ in received} == {
        ("GET", "/orders?order=created_at.desc&limit=20")
    }


@needs_wrk
@pytest.mark.parametrize(("name", "known"), [("catalogue", None), ("catalogue_known", '"a", "b"')])
def test_catalogue_is_asked_for_with_and_without_its_etags(
    tmp_path: Path, name: str, known: str | None
) -> None:
    (tmp_path / "tokens.txt").write_text("one\n")
    (tmp_path / "etags.txt").write_text('"a", "b"\n')
    with answering(200, known) as (url, received):
        gateway.load(url, tmp_path, name, clients=1, seconds=1)
    assert {(method, path) for method, path, _, _ in received} == {("GET", "/catalogue")}


@needs_wrk
@pytest.mark.parametrize("status", [409, 500])
def test_refused_request_fails_the_round(tokens: Path, status: int) -> None:
    with answering(status) as (url, _), pytest.raises(BenchError, match="requests failed"):
        gateway.load(url, tokens, "submit_order", clients=2, seconds=1)


@needs_wrk
def test_gateway_that_is_down_fails_the_round(tokens: Path) -> None:
    with pytest.raises(BenchError):
        gateway.load("http://127.0.0.1:9", tokens, "submit_order", clients=1, seconds=1)


def test_missing_wrk_is_named_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    nothing = Environment("", "", "", "", "", "", durable=True)
    with pytest.raises(BenchError, match="wrk is not installed") as raised:
        gateway.measure(nothing, 1, lambda _: None)
    assert raised.value.hint == "apt-get install wrk"
