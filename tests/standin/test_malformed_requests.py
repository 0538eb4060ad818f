"""Malformed requests to the stand-in: a 4xx in PostgREST's form, never a 5xx, never a traceback.

Stand-in only: PostgREST itself answers 500 to a query or header that is not UTF-8, has no limit for bodies,
and takes JSON of any depth.
"""

import socket
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from hub.cluster import Cluster
from tests.standin.conftest import Server, Start, authenticator_uri, standin_command
from tests.standin.corpus import Answer, Client

JSON = {"Content-Type": "application/json"}
DEEP = 200_000


@pytest.fixture(scope="module")
def server(cluster: Cluster, corpus_database: str, start_server: Start) -> Server:
    return start_server(authenticator_uri(cluster, corpus_database), command=standin_command())


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code), answer.text
    assert set(answer.json) == {"code", "message", "details", "hint"}
    assert "Traceback" not in answer.text


BODIES = {
    "empty": (b" ", "PGRST102"),
    "not JSON": (b"{'a': 1}", "PGRST102"),
    "cut off": (b'{"a": [1, 2', "PGRST102"),
    "two values": (b'{"a": 1} {"a": 2}', "PGRST102"),
    "NaN": (b'{"a": NaN}', "PGRST102"),
    "NUL byte": (b'{"a": "\x00"}', "PGRST102"),
    "invalid UTF-8": (b'{"a": "\xff\xfe"}', "PGRST102"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "PGRST102"),
    "deep array": (b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}", "PGRST102"),
    "deep object": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "PGRST102"),
    "escaped NUL": (b'{"a": "\\u0000"}', "22P05"),
    "half a surrogate pair": (b'{"a": "\\ud800"}', "PGRST102"),
    "huge number": (b'{"a": ' + b"9" * 5000 + b"}", "22003"),
    "number beyond float": (b'{"a": 1e999999}', "22P02"),
    "bad escape": (b'{"a": "\\x"}', "PGRST102"),
    "uneven rows": (b'[{"a": 1}, {"b": 1}]', "PGRST102"),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_invalid_body_is_400(client: Client, name: str) -> None:
    body, code = BODIES[name]
    refused(client.send("POST", "/rpc/add", JSON, body), 400, code)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/products?name=eq.%FF%FE", "PGRST100"),
        ("/products?%FF=eq.1", "PGRST100"),
        ("/products?a%00b=eq.1", "PGRST100"),
        ("/products?select=" + "a(" * 5000, "PGRST100"),
        ("/products?or=" + "(or" * 5000, "PGRST100"),
        ("/products?select=name!", "PGRST100"),
        ("/products?select=name,(", "PGRST100"),
        ("/products?select=name;drop", "200"),
        ("/products?select=name)", "200"),
        ("/products?select=((((", "200"),
        ('/products?select="', "PGRST100"),
        ("/products?order=", "PGRST100"),
        ("/products?order=sku.desc.asc", "PGRST100"),
        ("/products?sku=in.CUT-01", "PGRST100"),
        ("/products?sku=in.(a", "PGRST100"),
        ("/products?sku=eq(many).a", "PGRST100"),
        ("/products?=eq.1", "PGRST100"),
        ("/products?.=eq.1", "PGRST100"),
        ("/products?columns=,", "PGRST100"),
        ('/products?select=sku"; drop table x; --', "PGRST100"),
        ("/products?%22sku%5C%22%3B drop%22=eq.1", "42703"),
        ("/products?name=cs.{", "42883"),
        ("/products?labels=cs.{", "22P02"),
        ("/products?select=name->x", "400"),
        ("/products?limit=99999999999999999999", "200"),
        ("/products?offset=999999999999999999", "200"),
        ("/products?select=attributes->" + "a->" * 300 + "b", "200"),
    ],
)
def test_an_invalid_query_string_is_400(client: Client, path: str, code: str) -> None:
    answer = client.send("GET", path.replace(" ", "%20"))
    if code == "200":
        assert answer.status == 200
    elif code == "400":
        assert answer.status in (200, 400)
    else:
        refused(answer, 404 if code == "42883" else 400, code)


def test_a_body_beyond_the_limit_is_413(client: Client) -> None:
    body = b'{"a": "' + b"x" * (10 * 1024 * 1024) + b'"}'
    refused(client.send("POST", "/rpc/add", JSON, body), 413, "STANDIN413")


def test_a_chunked_body_beyond_the_limit_is_413(server: Server) -> None:
    url = urlsplit(server.url)
    chunk = b"x" * 65536
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        raw.sendall(b"POST /rpc/add HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(200):
                raw.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        except OSError:
            pass  # the server has closed the connection
        answer = raw.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_just_within_the_limit_passes(client: Client) -> None:
    body = b'{"term": "' + b"x" * (9 * 1024 * 1024) + b'"}'
    answer = client.send("POST", "/rpc/find_products", JSON, body)
    assert (answer.status, answer.text) == (200, "[]")


@pytest.mark.parametrize(
    "path", ["/%FF", "/rpc/%FF", "/products%00", "/..%2f..%2fetc", "//", "/rpc/a/b", "/" + "a" * 9000]
)
def test_a_malformed_path_is_404(client: Client, path: str) -> None:
    answer = client.send("GET", path)
    assert answer.status == 404
    assert answer.json["code"].startswith("PGRST")


@pytest.mark.parametrize(
    "headers",
    [
        {"Prefer": "count=" + "x" * 5000},
        {"Prefer": ",,=,;"},
        {"Range": "9" * 400 + "-"},
        {"Range": "bytes=0-1"},
        {"Accept": "*/*;q=many"},
        {"Accept": ";;,,"},
        {"Cookie": '=;;=a; b="; c'},
        {"X-Trace": "\xff\xfe"},
        {"Content-Type": ";"},
        {"Authorization": "Basic \xff"},
        {"Accept-Profile": "api"},
    ],
    ids=str,
)
def test_malformed_headers_are_ignored_or_406(client: Client, headers: dict[str, str]) -> None:
    assert client.send("GET", "/products?limit=1", headers).status in (200, 406)


@pytest.mark.parametrize(
    "token",
    [
        "a.b.c",
        "e30.e30.",
        "..",
        "\xff.\xff.\xff",
        "eyJhbGciOlsiSFMyNTYiXX0.e30.x",
        "bnVsbA.bnVsbA.x",
        "x" * 20_000,
    ],
)
def test_a_malformed_token_is_401(client: Client, token: str) -> None:
    refused(client.send("GET", "/rpc/ping", {"Authorization": f"Bearer {token}"}), 401, "PGRST301")


@pytest.mark.parametrize(
    "claims",
    [
        {"role": "a\x00b"},
        {"role": "standin_salon", "sub": "\x00"},
        {"role": ["standin_salon"]},
        {"role": "standin_salon", "exp": 1e300},
        {"role": "standin_salon", "exp": {"a": 1}},
        {"role": "x" * 5000},
        {"role": "standin_salon\ud800"},
    ],
    ids=str,
)
def test_malformed_claims_are_refused(client: Client, claims: dict[str, object]) -> None:
    answer = client.ask(
        {"method": "GET", "path": "/orders", "headers": {"Authorization": {"jwt": claims, "secret": "main"}}}
    )
    assert answer.status in (400, 401, 403), answer.text


def test_a_request_that_is_not_http_is_400(server: Server) -> None:
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "value", ["CUT-01' or '1'='1", "CUT-01'; drop table shop.products; --", "$1", "%s", "%(a)s", "{}"]
)
def test_a_value_is_never_interpreted_as_sql(client: Client, value: str) -> None:
    answer = client.send("GET", f"/products?select=sku&sku=eq.{quote(value)}")
    assert (answer.status, answer.text) == (200, "[]")
    answer = client.send("GET", f"/rpc/find_products?select=sku&term={quote(value)}")
    assert answer.status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n",
        b"GET /products?" + b"a" * 100_000 + b"=eq.1 HTTP/1.1\r\nHost: x\r\n",
        b"POST /rpc/add HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n",
        b"POST /rpc/add HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n",
        b"GET http://elsewhere/products HTTP/1.1\r\nHost: x\r\n",
        b"GET /products HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n",
    ],
    ids=range(7),
)
def test_a_malformed_request_line_or_header_is_4xx(server: Server, head: bytes) -> None:
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        raw.sendall(head + b"Connection: close\r\n\r\n0\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/products", {"Accept": "application/geo+json"}),
        ("POST", "/rpc/add", {"Content-Type": "text/xml"}),
    ],
)
def test_an_unsupported_part_of_the_protocol_is_501(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    refused(client.send(method, path, headers, b"<a/>" if method == "POST" else None), 501, "STANDIN501")


def test_the_log_holds_no_traceback(server: Server) -> None:
    """Last in this file: no request above raised an unexpected exception."""
    assert "Traceback" not in server.log.read_text()
