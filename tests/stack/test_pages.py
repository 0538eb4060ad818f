"""Building the pages with Node, and the program that serves them with the gateway on one origin."""

import http.server
import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.exceptions import LitestarException
from litestar.testing import TestClient

from adapters.pages.app import CONTENT_SECURITY_POLICY, HASHED, HEADERS, create
from adapters.pages.settings import Settings
from hub import pages, paths
from hub.errors import UserError
from hub.pages import node as nodes
from hub.pages import workspace
from hub.ports import HOST

DOCKER = paths.root() / "docker" / "web"


class Echo(http.server.BaseHTTPRequestHandler):
    """A gateway that answers with what it was sent."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.headers.get("Transfer-Encoding") == "chunked":
            sent = ""
            while size := int(self.rfile.readline(), 16):
                sent += self.rfile.read(size).decode()
                self.rfile.readline()
        body = {"method": self.command, "path": self.path, "body": sent, "headers": dict(self.headers)}
        self.send_response(409)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Range", "0-1/5")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_PATCH = do_DELETE = do_POST  # noqa: N815 - names of the library

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def gateway_url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer((HOST, 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as web/ is after a build."""
    for app in ("shop", "console"):
        (tmp_path / app / "dist" / "assets").mkdir(parents=True)
        (tmp_path / app / "dist" / "index.html").write_text(f"<title>{app}</title>")
        (tmp_path / app / "dist" / "assets" / "index-abc.js").write_text("1;" * 1000)
    (tmp_path / "secret.txt").write_text("only for the owner")
    return tmp_path


@pytest.fixture
def client(built: Path, gateway_url: str) -> Iterator[TestClient[Any]]:
    with TestClient(create(Settings(pages_root=built, gateway_url=gateway_url))) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "text", "cached"),
    [
        ("/", "<title>shop</title>", "no-cache"),
        ("/index.html", "<title>shop</title>", "no-cache"),
        ("/console/", "<title>console</title>", "no-cache"),
        ("/assets/index-abc.js", "1;", HASHED),
        ("/console/assets/index-abc.js", "1;", HASHED),
        ("/config.json", '{"api":"/api"}', "no-store"),
        ("/console/config.json", '{"api":"/api"}', "no-store"),
    ],
)
def test_stack_serves_the_pages_on_one_origin(
    client: TestClient[Any], path: str, text: str, cached: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.text.startswith(text)
    assert answer.headers["Cache-Control"] == cached
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_address_without_its_slash_is_redirected(client: TestClient[Any]) -> None:
    answer = client.get("/console", follow_redirects=False)
    assert answer.is_redirect
    assert answer.headers["Location"] == "/console/"


@pytest.mark.parametrize(
    "path", ["/missing.js", "/../secret.txt", "/..%2f..%2fsecret.txt", "/console/../../secret.txt"]
)
def test_nothing_beside_the_built_files_is_served(client: TestClient[Any], path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, "only for the owner" in answer.text) == (404, False)


def test_script_is_compressed(client: TestClient[Any]) -> None:
    assert client.get("/assets/index-abc.js").headers["Content-Encoding"] == "gzip"


def test_request_reaches_the_gateway_as_it_is_but_for_the_address(client: TestClient[Any]) -> None:
    answer = client.patch(
        "/api/orders?select=id,items(*)&id=in.(%22a,b%22)",
        json={"a": 1},
        headers={"Authorization": "Bearer t", "X-Forwarded-For": "1.2.3.4", "Prefer": "count=exact"},
    )
    assert (answer.status_code, answer.headers["Content-Range"]) == (409, "0-1/5")
    sent = answer.json()
    assert (sent["method"], json.loads(sent["body"])) == ("PATCH", {"a": 1})
    assert sent["path"] == "/orders?select=id,items(*)&id=in.(%22a,b%22)"
    received = {name.lower(): value for name, value in sent["headers"].items()}
    assert (received["authorization"], received["prefer"]) == ("Bearer t", "count=exact")
    assert received["x-forwarded-for"] == "testclient"


@pytest.mark.parametrize("given", ["web-7", "two words", ""])
def test_request_reaches_the_gateway_with_the_id_that_its_answer_has(
    client: TestClient[Any], given: str
) -> None:
    answer = client.get("/api/orders", headers={"X-Request-Id": given} if given else {})
    received = {name.lower(): value for name, value in answer.json()["headers"].items()}
    assert received["x-request-id"] == answer.headers["x-request-id"]
    assert (received["x-request-id"] == given) == (given == "web-7"), "an id of another form is replaced"


def test_nginx_gives_each_request_an_id() -> None:
    assert "proxy_set_header X-Request-Id $request_id;" in (paths.root() / "docker/web/api.conf").read_text()


def test_gateway_away_is_502_in_the_form_of_its_errors(built: Path) -> None:
    with TestClient(create(Settings(pages_root=built, gateway_url=f"http://{HOST}:1"))) as client:
        answer = client.get("/api/orders")
    assert (answer.status_code, answer.json()["code"]) == (502, "UNAVAILABLE")


@pytest.fixture
def scripted_gateway() -> Iterator[Callable[[bytes], str]]:
    """Start a gateway that sends these bytes to each caller, and closes the connection; returns its URL."""
    servers: list[socketserver.TCPServer] = []

    def start(answer: bytes) -> str:
        class Scripted(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(answer)

        servers.append(socketserver.ThreadingTCPServer((HOST, 0), Scripted))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://{HOST}:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


CUT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"


def test_answer_without_a_body_of_a_gateway_that_ends_is_502(
    built: Path, scripted_gateway: Callable[[bytes], str]
) -> None:
    with TestClient(create(Settings(pages_root=built, gateway_url=scripted_gateway(CUT)))) as client:
        answer = client.get("/api/orders")
    assert (answer.status_code, answer.json()["code"]) == (502, "UNAVAILABLE")


def test_answer_that_has_begun_ends_with_an_error_and_not_as_complete(
    built: Path, scripted_gateway: Callable[[bytes], str]
) -> None:
    url = scripted_gateway(CUT + b"[" + b"1," * 1000)
    with (
        TestClient(create(Settings(pages_root=built, gateway_url=url))) as client,
        pytest.raises(LitestarException, match="after response started"),
    ):
        client.get("/api/orders")


@pytest.mark.parametrize("head", ["204 No Content", "304 Not Modified", "201 Created\r\nContent-Length: 0"])
def test_answer_that_has_no_body_is_passed_on_without_one(
    built: Path, scripted_gateway: Callable[[bytes], str], head: str
) -> None:
    url = scripted_gateway(f'HTTP/1.1 {head}\r\nETag: "1"\r\n\r\n'.encode())
    with TestClient(create(Settings(pages_root=built, gateway_url=url))) as client:
        answer = client.get("/api/orders", headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (int(head[:3]), b"")
    assert (answer.headers["ETag"], "Content-Encoding" in answer.headers) == ('"1"', False)


def test_shop_is_served_without_the_console(built: Path, gateway_url: str) -> None:
    (built / "console" / "dist").rename(built / "elsewhere")
    with TestClient(create(Settings(pages_root=built, gateway_url=gateway_url))) as client:
        assert client.get("/").status_code == 200
        assert client.get("/console/").status_code == 404


def test_compose_has_the_same_policy_and_adds_the_address() -> None:
    headers = (DOCKER / "headers.conf").read_text()
    stated = dict(re.findall(r'^add_header (\S+) "?([^"\n]*?)"? always;$', headers, re.MULTILINE))
    assert stated == HEADERS | {"Strict-Transport-Security": "$hsts"}
    config = (DOCKER / "nginx.conf").read_text()
    assert HASHED in config
    blocks = re.findall(r"location [^{]*\{([^}]*)\}", config)
    assert all("headers.conf" in block for block in blocks if "add_header" in block)
    assert "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;" in (DOCKER / "api.conf").read_text()
    assert json.loads((DOCKER / "config.json").read_text()) == {"api": "/api"}
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def fake_node(folder: Path, version: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("node", "npm"):
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("version", "accepted"), [("v20.18.9", False), ("v18.19.0", False), ("v20.19.0", True)]
)
def test_node_is_taken_from_the_path_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, accepted: bool
) -> None:
    fake_node(tmp_path / "bin", version)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "none" / "python"))
    found = nodes.find()
    assert (found is not None) == accepted


def test_node_of_the_python_environment_is_the_second_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_node(tmp_path / "old", "v18.19.0")
    fake_node(tmp_path / "venv", "v22.20.0")
    monkeypatch.setenv("PATH", str(tmp_path / "old"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv" / "python"))
    assert nodes.find() == nodes.Node(tmp_path / "venv", "22.20.0")


def test_stack_goes_on_without_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    for name in ("shop/index.html", "package-lock.json", "tsconfig.base.json"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(workspace, "folder", lambda: tmp_path)
    monkeypatch.setattr(nodes, "find", lambda: None)
    assert "the stack runs without its pages: Node 20.19 or newer is missing" in pages.build()


def test_failed_build_says_why_and_keeps_the_last_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_arguments: object) -> None:
        raise UserError("npm ci failed", hint="no network")

    (tmp_path / "shop" / "dist").mkdir(parents=True)
    for name in ("shop/index.html", "shop/dist/index.html", "package-lock.json", "tsconfig.base.json"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(workspace, "folder", lambda: tmp_path)
    monkeypatch.setattr(workspace, "install", fail)
    assert pages.build().startswith("the pages of the last build are served: npm ci failed")


def test_app_is_built_again_only_after_a_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: list[str] = []

    class Recorder(nodes.Node):
        def run(self, command: Any, cwd: Path) -> None:
            built.append(" ".join(command))
            (cwd / "shop" / "dist").mkdir(exist_ok=True)
            (cwd / "shop" / "dist" / "index.html").write_text("built")

    for name in ("shop", "common", "node_modules"):
        (tmp_path / name).mkdir()
    for name in ("shop/index.html", "common/a.ts", "package.json", "package-lock.json", "tsconfig.base.json"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(workspace, "folder", lambda: tmp_path)
    node = Recorder(tmp_path, "22.20.0")
    for _ in range(2):
        workspace.build_app("shop", node)
    assert built == ["npm ci --no-audit --no-fund", "npm run build --workspace=shop"]
    (tmp_path / "common" / "a.ts").write_text("changed")
    workspace.build_app("shop", node)
    assert built[2:] == ["npm run build --workspace=shop"]
