"""The recorded answers of the real PostgREST, and when two answers are equal.

`recorded.jsonl` was recorded on `schema.sql` with the configuration that `CONFIG` repeats. What may differ:
key order and number form in JSON, header order and spelling, and the fields of an error's body that a
case calls `loose` (they come from PostgREST's own parser or its fuzzy search).
"""

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).parent
SECRETS = {
    "main": "corpus-secret-no-one-should-use-0123456789",
    "other": "another-secret-of-more-than-32-characters",
}
CONFIG: dict[str, str | int | bool] = {
    "db-schemas": "api",
    "db-anon-role": "standin_anon",
    "db-pre-request": "shop.request_guard",
    "jwt-secret": SECRETS["main"],
    "jwt-aud": "corner-shop",
}

_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}

# Headers whose absence is a fact too; any other counts only where it was recorded.
_CHECKED = frozenset(
    (
        "content-type",
        "content-range",
        "content-location",
        "location",
        "preference-applied",
        "www-authenticate",
        "allow",
        "content-profile",
        "proxy-status",
    )
)


def _load_json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


class Case:
    """One request and the recorded answer."""

    def __init__(self, line: str) -> None:
        self._raw: dict[str, Any] = _load_json(line)
        self.id: str = self._raw["id"]
        self.core: bool = self._raw["core"]
        self.writes: bool = self._raw["writes"]
        self.continues: str | None = self._raw.get("continues")
        self.request: dict[str, Any] = self._raw["request"]
        self.response: dict[str, Any] = self._raw["response"]
        self.loose: list[str] = self._raw.get("loose", [])
        self.unchecked = {name.lower() for name in self._raw.get("unchecked", [])}
        self.pick: dict[str, list[str]] | None = self._raw.get("pick")

    def __repr__(self) -> str:
        return f"{self.id}: {self.request['method']} {unquote(self.request['path'])}"


def load() -> dict[str, Case]:
    """Every case by its id, in the order of the recording."""
    lines = (HERE / "recorded.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [Case(line) for line in lines if line.strip()]
    return {case.id: case for case in cases}


@dataclass(frozen=True)
class Answer:
    """An answer of a server."""

    status: int
    headers: Mapping[str, str]
    text: str

    @cached_property
    def json(self) -> Any:
        """The body; a ValueError if it is no JSON."""
        return _load_json(self.text)


def authorization(placeholder: dict[str, Any]) -> str:
    """The header for a placeholder; "+3600" in a time claim is that many seconds from now."""
    claims = placeholder["jwt"]
    if isinstance(claims, dict):
        now = int(time.time())
        claims = {
            name: now + int(value)
            if name in ("exp", "nbf", "iat") and isinstance(value, str) and value[0] in "+-"
            else value
            for name, value in claims.items()
        }
    algorithm = placeholder.get("alg", "HS256")
    signed = b".".join(_encode_part(part) for part in ({"alg": algorithm, "typ": "JWT"}, claims))
    signature = b""
    if algorithm in _HASHES:
        secret = SECRETS[placeholder["secret"]].encode()
        signature = hmac.new(secret, signed, _HASHES[algorithm]).digest()
    token = signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
    return f"{placeholder.get('scheme', 'Bearer')} {token.decode()}"


def _encode_part(part: object) -> bytes:
    text = json.dumps(part, separators=(",", ":"), default=float)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")


class Client:
    """One kept-alive connection to a server."""

    def __init__(self, base_url: str) -> None:
        url = urlsplit(base_url)
        self._connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)

    def ask(self, request: Mapping[str, Any]) -> Answer:
        """Send a request as the corpus writes it."""
        headers = dict(request.get("headers", {}))
        if isinstance(headers.get("Authorization"), dict):
            headers["Authorization"] = authorization(headers["Authorization"])
        body = request.get("body")
        if body is not None and not isinstance(body, str):
            body = json.dumps(body, ensure_ascii=False, default=float)
            headers.setdefault("Content-Type", "application/json")
        return self.send(request["method"], request["path"], headers, None if body is None else body.encode())

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send anything. A connection that the server has dropped while idle is opened once more."""
        sent = dict(headers or {})
        if body is None and method in ("POST", "PATCH", "PUT", "DELETE"):
            sent["Content-Length"] = "0"
        try:
            return self._send_once(method, path, sent, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._connection.close()
            return self._send_once(method, path, sent, body)

    def _send_once(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            text = answer.read().decode(errors="replace")
        except Exception:
            self._connection.close()
            raise
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def differences(case: Case, got: Answer) -> list[str]:
    """The differences from the recording, one line each."""
    found = []
    if got.status != case.response["status"]:
        found.append(f"status: {case.response['status']} recorded, {got.status} answered")
    recorded = {name.lower(): value for name, value in case.response["headers"].items()}
    for name in sorted((_CHECKED | set(recorded)) - case.unchecked):
        want, have = recorded.get(name), got.headers.get(name)
        same = (
            want == have if want is None or have is None else _normalise(name, want) == _normalise(name, have)
        )
        if not same:
            found.append(f"header {name}: {want!r} recorded, {have!r} answered")
    return found + _body_differences(case, got)


def _normalise(name: str, value: str) -> str:
    if name == "content-type":
        return value.replace(" ", "").lower()
    if name in ("content-location", "location"):
        return unquote(value)
    if name in ("allow", "preference-applied") or name.startswith("access-control-"):
        return ",".join(sorted(part.strip() for part in value.split(",")))
    return value.strip()


def _body_differences(case: Case, got: Answer) -> list[str]:
    want: Any
    have: Any
    if "text" in case.response:  # the very bytes matter
        want, have = case.response["text"], got.text
    elif "body" not in case.response:
        want, have = "", got.text
    elif isinstance(case.response["body"], str) and not _is_json(got):
        want, have = case.response["body"], got.text
    else:
        want = case.response["body"]
        try:
            have = _picked(got.json, case.pick) if case.pick else got.json
        except ValueError:
            have = got.text
        if isinstance(want, dict) and isinstance(have, dict):
            want, have = ({k: v for k, v in b.items() if k not in case.loose} for b in (want, have))
    if _typed(want) == _typed(have):
        return []
    return [f"body:\n  recorded {_shown(want)}\n  answered {_shown(have)}"]


def _is_json(got: Answer) -> bool:
    return "json" in got.headers.get("content-type", "")


def _shown(body: object) -> str:
    return json.dumps(body, ensure_ascii=False, sort_keys=True, default=str)


def _typed(node: Any) -> Any:
    """The same value, but with true no longer equal to 1, as it is in Python."""
    if isinstance(node, dict):
        return {key: _typed(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_typed(value) for value in node]
    return ("bool", node) if isinstance(node, bool) else node


def _picked(body: Any, pick: Mapping[str, list[str]]) -> dict[str, Any]:
    """Of a big body only sorted keys at some places, and values at others."""
    keys = {pointer: _at(body, pointer) for pointer in pick.get("keys", [])}
    return {
        "keys": {pointer: sorted(node) if isinstance(node, dict) else [] for pointer, node in keys.items()},
        "values": {pointer: _at(body, pointer) for pointer in pick.get("values", [])},
    }


def _at(node: Any, pointer: str) -> Any:
    for step in filter(None, pointer.split("/")):
        key = step.replace("~1", "/")
        if isinstance(node, list):
            node = node[int(key)] if key.isdecimal() and int(key) < len(node) else None
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return node
