"""Malformed input never causes a 5xx, a leak of internals, or an unwanted write."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiClient
from tests.fuzz import malformed
from tests.rls import matrix
from tests.rls.visibility import callers
from tests.support.context import Caller, broken_invariants

AS_JSON = {"Content-Type": "application/json"}

PRIVATE = re.compile(
    r"\b(?:app|auth|jobs|pg_catalog|migration|extensions)\.[a-z_]"  # private names
    r"|\bQUERY:|\bCONTEXT:|PL/pgSQL|SQL statement|SQL function"
    r"|\bselect .+ from |\binsert into |\bWITH pgrst|pgrst_source",  # SQL text
    re.IGNORECASE,
)
STACK = re.compile(
    r"Traceback|File \"|\.py\b|psycopg|litestar|uvicorn|site-packages"
    r"|\$2[aby]\$\d\d\$",  # and a password's hash
    re.IGNORECASE,
)


def _clean(sent: str, text: str) -> str:
    """An answer without the parts that repeat the request."""
    bare = sent.removeprefix("/").removeprefix("rpc/")
    for form in (bare, json.dumps(bare)[1:-1], json.dumps(bare, ensure_ascii=False)[1:-1]):
        if len(form) > 3:
            text = text.replace(form, "").replace(form[:64], "")
    return text


# PostgREST answers 500 to statements that PostgreSQL finds too complex (class 54: 3,000 columns).
LENIENT = re.compile(r'"code": ?"54')


def leaks_in(text: str, *, refused: bool) -> str:
    """The internals that an answer leaks. Lists name configs and types: only refusals are searched whole."""
    found = STACK.search(text) or (PRIVATE.search(text) if refused else None)
    return found.group() if found else ""


def is_utf8(sent: str) -> bool:
    """Whether what was sent, one character a byte and percent-decoded, is UTF-8."""
    try:
        unquote_to_bytes(sent.encode("latin-1", "ignore")).decode()
    except UnicodeDecodeError:
        return False
    return True


def problem(answer: httpx.Response, sent: str, kind: str) -> str:
    """What is wrong with an answer, "" if nothing is."""
    if kind == "postgrest" and answer.status_code == 500 and not is_utf8(sent):
        return ""  # PostgREST itself fails on a query, header or body that is not UTF-8
    # 501 is the stand-in's way to say that it does not speak that part of the protocol.
    unspoken = kind == "standin" and answer.status_code == 501
    if answer.status_code >= 500 and not unspoken and not LENIENT.search(answer.text[:20]):
        return f"{answer.status_code}: {answer.text[:300]}"
    if leak := leaks_in(_clean(sent, answer.text), refused=answer.status_code >= 400):
        return f"{answer.status_code} leaks {leak!r}: {answer.text[:300]}"
    return ""


def ask(api: ApiClient, method: str, path: str, who: Caller | None, sent: str, **more: Any) -> str:
    """Send a request; returns what is wrong with the answer, "" if nothing is."""
    headers = api.headers(who) | more.pop("headers", {})
    try:
        answer = api.http.request(method, path, headers=headers, **more)
    except (httpx.InvalidURL, UnicodeEncodeError, httpx.LocalProtocolError):
        return ""  # the client itself refuses to send it; test_malformed_raw_requests does
    except httpx.RemoteProtocolError as closed:
        return f"hung up: {closed}"
    wrong = problem(answer, sent, api.gateway.kind)
    return f"{who.role if who else 'anonymous'} {method} {path[:120]} {sent[:80]!r}: {wrong}" if wrong else ""


def assert_no_problems(wrong: list[str]) -> None:
    """Fail with one line per wrong answer."""
    found = [line for line in wrong if line]
    assert not found, "\n" + "\n".join(found)


def rpcs(api: ApiClient, who: Caller) -> dict[str, dict[str, Any]]:
    """The calls that OpenAPI lists for a role, with their arguments."""
    document = api.get(who, "/").json()
    found = {}
    for path, methods in document["paths"].items():
        if not path.startswith("/rpc/") or "post" not in methods:
            continue
        body: dict[str, Any] = next(
            (p for p in methods["post"].get("parameters", []) if p.get("in") == "body"), {}
        )
        schema = body.get("schema", {})
        if "$ref" in schema:
            schema = document["definitions"][schema["$ref"].rsplit("/", 1)[1]]
        found[path] = schema.get("properties", {})
    return found


def one_caller_per_role(api: ApiClient) -> list[Caller]:
    return [callers(api.dataset, role)[0][0] for role in matrix.TOKEN_ROLES]


@pytest.fixture(scope="module")
def before(api: ApiClient) -> tuple[Any, ...]:
    return _fingerprint(api)


@pytest.fixture(autouse=True)
def nothing_changes(api: ApiClient, before: tuple[Any, ...]) -> Iterator[None]:
    """After each test the gateway answers, the invariants hold, and accounts and catalogue are unchanged."""
    yield
    assert api.get(None, "/").status_code == 200
    assert _fingerprint(api) == before
    with psycopg.connect(api.gateway.database_url) as conn:
        assert broken_invariants(conn) == {}


def _fingerprint(api: ApiClient) -> tuple[Any, ...]:
    with psycopg.connect(api.gateway.database_url) as conn:
        return conn.execute(
            """
            select
              (select count(*) from pg_class where relname !~ '^pg_'), (select count(*) from pg_proc),
              (select count(*) from pg_roles where rolname !~ '^hub_bench_'),
              (select count(*) from pg_policy),
              (select count(*) from app.partners), (select count(*) from app.agents),
              (select count(*) from app.regions), (select count(*) from app.sub_distributors),
              (select count(*) from app.tier_prices), (select count(*) from app.redemption_catalog),
              (select count(*) from app.system_configs),
              (select md5(string_agg(p.password_hash, '' order by p.id)) from app.partners p),
              (select md5(string_agg(p.credit_limit::text || p.tier || p.email, '' order by p.id))
               from app.partners p),
              (select md5(string_agg(a.password_hash || a.role, '' order by a.id)) from app.agents a),
              (select md5(secret) from auth.jwt_secret)
            """
        ).fetchall()[0]


def test_malformed_texts_in_every_argument(api: ApiClient) -> None:
    wrong = []
    turn = 0
    for who in one_caller_per_role(api):
        for path, arguments in rpcs(api, who).items():
            for name in arguments:
                # Each argument meets a sixth of the corpus; over all arguments each text is met many times.
                for text in malformed.TEXTS[turn % 6 :: 6]:
                    body = {name: text} | (
                        {"idempotency_key": text[:50]} if "idempotency_key" in arguments else {}
                    )
                    wrong.append(ask(api, "POST", path, who, text, json=body))
                turn += 1
    assert turn > 50
    assert_no_problems(wrong)


def test_malformed_values_in_every_argument(api: ApiClient) -> None:
    wrong = []
    turn = 0
    for who in one_caller_per_role(api):
        for path, arguments in rpcs(api, who).items():
            for name in arguments:
                for raw in malformed.RAW_VALUES[turn % 8 :: 8]:
                    body = f'{{"{name}": {raw}}}'.encode("utf-8", "surrogatepass")
                    wrong.append(ask(api, "POST", path, who, raw, content=body, headers=AS_JSON))
                turn += 1
    assert_no_problems(wrong)


def test_malformed_orders(api: ApiClient) -> None:
    """The call with the most writes: every value in every place, with a valid idempotency key."""
    wrong = []
    who = api.dataset.west.partner
    whole = {"items": '[{"sku": "SKU-001", "quantity": 1}]', "points": "0", "notes": "null"}
    for number, raw in enumerate(malformed.RAW_VALUES):
        for place in whole:
            parts = whole | {place: raw, "idempotency_key": f'"malformed-{number}-{place}"'}
            body = "{" + ", ".join(f'"{k}": {v}' for k, v in parts.items()) + "}"
            for call in ("submit_order", "quote_order"):
                if call == "quote_order":
                    body = body.split(', "notes"')[0] + "}"
                whole_body = body.encode("utf-8", "surrogatepass")
                wrong.append(ask(api, "POST", f"/rpc/{call}", who, raw, content=whole_body, headers=AS_JSON))
    assert_no_problems(wrong)


def test_dates_beyond_range(api: ApiClient) -> None:
    wrong = []
    invoice = api.dataset.east.invoices["billed"]["id"]
    for date in malformed.DATES:
        body = {"invoice_id": invoice, "amount": 1, "reference_number": f"D {date}", "paid_at": date}
        wrong.append(ask(api, "POST", "/rpc/record_payment", api.dataset.admin, date, json=body))
        status = {"provider_id": "wamid.x", "status": "sent", "at": date}
        wrong.append(ask(api, "POST", "/rpc/message_status", api.dataset.messenger, date, json=status))
        for operator in ("eq", "gte", "lt"):
            query = {"created_at": f"{operator}.{date}"}
            wrong.append(ask(api, "GET", "/orders", api.dataset.admin, date, params=query))
    assert_no_problems(wrong)
    with psycopg.connect(api.gateway.database_url) as conn:
        odd = conn.execute(
            "select reference_number, paid_at::text from app.invoice_payments"
            " where not isfinite(paid_at) or paid_at not between '2000-01-01' and now() + interval '2 days'"
        ).fetchall()
    assert odd == []


def test_malformed_queries_on_every_list(api: ApiClient) -> None:
    wrong = []
    turn = 0
    for who in one_caller_per_role(api):
        for name, words in matrix.table(matrix.VIEWS).items():
            if words[who.role] == "-":
                continue
            for query in malformed.QUERIES[turn % 8 :: 8]:
                wrong.append(ask(api, "GET", f"/{name}?{query}", who, query))
            turn += 1
    for query in malformed.QUERIES:
        wrong.append(ask(api, "GET", f"/orders?{query}", api.dataset.west.partner, query))
        wrong.append(ask(api, "GET", f"/me?{query}", None, query))
    assert_no_problems(wrong)


def test_malformed_paths_and_methods(api: ApiClient) -> None:
    wrong = []
    for who in (None, api.dataset.west.partner, api.dataset.superadmin):
        for path in malformed.PATHS:
            for method in ("GET", "POST"):
                wrong.append(ask(api, method, path, who, path, json={} if method == "POST" else None))
        for method in malformed.METHODS:
            for path in (
                "/",
                "/orders",
                "/orders?id=not.is.null",
                "/rpc/submit_order",
                "/rpc/me",
                "/nothing",
            ):
                wrong.append(ask(api, method, path, who, path, content=b"{}"))
    assert_no_problems(wrong)


def test_malformed_headers(api: ApiClient) -> None:
    wrong = []
    for header in malformed.HEADERS:
        sent = " ".join(header.values())
        raw = {name: value.encode("latin-1") for name, value in header.items()}
        for who in (None, api.dataset.west.partner):
            wrong.append(ask(api, "GET", "/products?limit=1", who, sent, headers=raw))
            wrong.append(
                ask(api, "POST", "/rpc/login", who, sent, headers=raw, json={"email": "a", "password": "b"})
            )
    assert_no_problems(wrong)


def test_a_header_never_raises_a_role(api: ApiClient) -> None:
    for header in malformed.HEADERS:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in header.items()]
        answer = api.http.get("/partners?select=id", headers=raw)
        assert answer.status_code >= 400 or answer.json() == [], header


def test_malformed_bodies_of_every_type(api: ApiClient) -> None:
    wrong = []
    for body in malformed.BODIES:
        for kind in malformed.TYPES:
            for path, who in (("/rpc/login", None), ("/rpc/submit_order", api.dataset.west.partner)):
                sent = body[:100].decode("latin-1")
                wrong.append(
                    ask(api, "POST", path, who, sent, content=body, headers={"Content-Type": kind.encode()})
                )
    assert_no_problems(wrong)


def test_a_megabyte_in_every_text(api: ApiClient) -> None:
    wrong = []
    text = "Ä" * 500_000
    for who in one_caller_per_role(api):
        for path, arguments in rpcs(api, who).items():
            body = {name: text for name, kind in arguments.items() if kind.get("format") in ("text", None)}
            if body:
                wrong.append(ask(api, "POST", path, who, text, json=body))
    assert_no_problems(wrong)


@pytest.mark.parametrize("number", range(len(malformed.WIRE)))
def test_malformed_raw_requests(api: ApiClient, number: int) -> None:
    """Raw requests that no library sends get a 4xx or no answer."""
    host, port = api.gateway.url.removeprefix("http://").split(":")
    sent = malformed.WIRE[number].replace(b"@", f"{host}:{port}".encode())
    with socket.create_connection((host, int(port)), timeout=3) as wire:
        wire.settimeout(3)
        got = b""
        try:
            wire.sendall(sent)
            wire.shutdown(socket.SHUT_WR)
            while chunk := wire.recv(65536):
                got += chunk
        except OSError:
            pass  # the server closed the connection or waits for more
    for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", got, re.MULTILINE):
        assert int(status) < 500, got[:300]
    answer = got.decode("latin-1")
    assert not STACK.search(answer), answer[:300]
    assert not PRIVATE.search(answer.partition("\r\n\r\n")[0]), answer[:300]
    assert b"Set-Cookie" not in got
