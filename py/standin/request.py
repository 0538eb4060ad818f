"""A request as HTTP gives it: headers, preferences, media types, ranges and bodies."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

import msgspec

from standin.errors import ApiError, bad_request, not_offered
from standin.query import Window, decode, out_of_range
from standin.statement import MediaType

MAX_BODY_BYTES = 10 * 1024 * 1024

_CHARSET = "; charset=utf-8"
_JSON = MediaType("array", False, "application/json" + _CHARSET)
_CSV = MediaType("csv", False, "text/csv" + _CHARSET)
_OPENAPI = MediaType("openapi", False, "application/openapi+json" + _CHARSET)
_ROWS_TYPES = {
    "*/*": _JSON,
    "application/*": _JSON,
    "application/json": _JSON,
    "text/csv": _CSV,
    "application/vnd.pgrst.array": _JSON,
    "application/vnd.pgrst.array+json": _JSON,
    "application/vnd.pgrst.object": MediaType(
        "object", False, "application/vnd.pgrst.object+json" + _CHARSET
    ),
    "application/vnd.pgrst.object+json": MediaType(
        "object", False, "application/vnd.pgrst.object+json" + _CHARSET
    ),
}
_STRIPPED_TYPES = {
    f"application/vnd.pgrst.{shape}{suffix}": MediaType(
        shape, True, f"application/vnd.pgrst.{shape}+json;nulls=stripped{_CHARSET}"
    )
    for shape in ("array", "object")
    for suffix in ("", "+json")
}
_ROOT_TYPES = {
    "*/*": _OPENAPI,
    "application/openapi+json": _OPENAPI,
    "application/json": _OPENAPI,
    "application/*": _OPENAPI,
}
_RANGE = re.compile(r"(?:\w+=)?(\d{1,18})-(\d{0,18})")

_PREFERENCES = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
    "tx": ("commit", "rollback"),
}


@dataclass
class Request:
    """What was asked, before it is interpreted."""

    method: str
    path: str
    raw_query: bytes
    headers: dict[str, str]
    body: bytes = b""

    def pairs(self) -> list[tuple[str, str]]:
        """Names and values of the query string."""
        return decode(self.raw_query)

    def headers_json(self) -> str:
        """The headers as the database sees them."""
        return json.dumps({name: value for name, value in self.headers.items() if name != "cookie"})

    def cookies_json(self) -> str:
        """The cookies as the database sees them."""
        text = self.headers.get("cookie")
        if not text:
            return "{}"
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(text)
        except CookieError:
            return "{}"
        return json.dumps({name: morsel.value for name, morsel in jar.items()})


@dataclass
class Preferences:
    """The Prefer header: its known and its invalid preferences."""

    values: dict[str, str] = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)

    @property
    def strict(self) -> bool:
        """Whether the client wants unknown preferences refused."""
        return self.values.get("handling") == "strict"

    @property
    def max_affected(self) -> int | None:
        """The maximum of rows that may change; only with handling=strict."""
        return int(self.values["max-affected"]) if self.strict and "max-affected" in self.values else None

    def applied(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The header that lists which of these were applied."""
        heeded = [
            f"{n}={self.values[n]}"
            for n in names
            if n in self.values and (n != "max-affected" or self.strict)
        ]
        return [("Preference-Applied", ", ".join(heeded))] if heeded else []


def preferences(header: str | None, time_zones: frozenset[str]) -> Preferences:
    """Read a Prefer header. Raises ApiError (400) for an unknown preference with handling=strict."""
    found = Preferences()
    for item in (header or "").split(","):
        name, equals, value = item.strip().partition("=")
        if not name:
            continue
        known = (
            value in _PREFERENCES.get(name, ())
            or (name == "timezone" and value in time_zones)
            or (name == "max-affected" and re.fullmatch(r"\d{1,9}", value) is not None)
        )
        if known:
            found.values.setdefault(name, value)
        else:
            found.invalid.append(f"{name}{equals}{value}")
    if found.strict and found.invalid:
        details = f"Invalid preferences: {', '.join(found.invalid)}"
        raise ApiError(400, "PGRST122", "Invalid preferences given with handling=strict", details)
    return found


def negotiate(header: str | None, *, root: bool = False) -> MediaType:
    """The media type to answer with. Raises ApiError (406)."""
    offered = _ROOT_TYPES if root else _ROWS_TYPES
    if not header:
        return offered["*/*"]
    wanted = []
    for item in header.split(","):
        name, *parameters = [part.strip() for part in item.split(";")]
        if name:
            wanted.append((-_quality(parameters), name.lower(), parameters))
    wanted.sort(key=lambda entry: entry[0])
    for _, name, parameters in wanted:
        types = _STRIPPED_TYPES if "nulls=stripped" in parameters and not root else offered
        if name in types:
            return types[name]
    if any(name == "application/geo+json" for _, name, _ in wanted):
        raise not_offered("GeoJSON")
    shown = ", ".join(_shown(name, parameters) for _, name, parameters in wanted)
    raise ApiError(406, "PGRST107", f"None of these media types are available: {shown}")


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _shown(name: str, parameters: Sequence[str]) -> str:
    if name.startswith("application/vnd.pgrst.plan"):
        return f'{name}; for="application/json"'
    return "; ".join([name, *(p for p in parameters if not p.startswith("q="))])


def header_window(request: Request) -> tuple[int, int | None]:
    """First and last row that the Range header asks for; one that cannot be read is ignored."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if not found or request.method != "GET":
        return 0, None
    first, last = int(found[1]), int(found[2]) if found[2] else None
    if last is not None and last < first:
        raise out_of_range(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header."
        )
    return first, last


def window(request: Request, asked: Window, max_rows: int | None) -> Window:
    """The rows to give: of the parameters and the Range header what they have in common."""
    first, last = header_window(request)
    found = asked.intersect(first, last)
    if max_rows is not None and (found.limit is None or found.limit > max_rows):
        return Window(found.offset, max_rows)
    return found


# -- bodies

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ANYTHING = msgspec.json.Decoder(msgspec.Raw)
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_KEYS_DEPTH = 2  # an array of objects

MAX_DEPTH = 6_000
"""Levels of nesting in a JSON body."""


def content_type(request: Request) -> str:
    """The body's type; JSON if none is given."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


def json_rows(request: Request, columns: list[str] | None) -> tuple[str, list[str] | None]:
    """The body as JSON text and its columns, or its keys (None: no rows). Raises ApiError (400)."""
    kind = content_type(request)
    if kind == "application/json":
        text = utf8(request.body)
        return text, json_keys(request.body, columns)
    if kind == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(utf8(request.body), keep_blank_values=True))
        return json.dumps(form), columns or list(form)
    if kind == "text/csv":
        text, found = _from_csv(utf8(request.body))
        return text, columns if found and columns else found
    raise bad_request(f"Content-Type not acceptable: {kind}")


def utf8(body: bytes) -> str:
    """The body as text."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise bad_request("Empty or invalid json", "The body is not UTF-8") from None


def json_keys(body: bytes, columns: list[str] | None) -> list[str] | None:
    """The keys of an object or of all objects of an array; of any other JSON none. Values are not looked at.

    `columns` are taken instead where they are given; None says that an array is empty.
    """
    start = body.lstrip()[:1]
    try:
        keys = _json_keys(body, start, columns)
    except RecursionError:
        return _json_keys(_shallow(body), start, columns)
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _shallow(body)  # since Python 3.14 the size of the stack alone limits how deep msgspec reads
    return keys


def _json_keys(body: bytes, start: bytes, columns: list[str] | None) -> list[str] | None:
    try:
        if start == b"{":
            keys = list(_OBJECT.decode(body))
            return columns or keys
        if start == b"[":
            rows = _ARRAY.decode(body)
            return columns if rows and columns else _common_keys(rows)
        _ANYTHING.decode(body)
    except msgspec.ValidationError:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise bad_request("Empty or invalid json") from None
    return []


def _shallow(body: bytes) -> bytes:
    """The body with null for whatever is nested deeper than the keys; PostgreSQL judges what was left out.

    Raises ApiError (400) for nesting beyond MAX_DEPTH, which PostgreSQL's own stack may not hold.
    """
    kept, depth, copied = [], 0, 0
    for token in _JSON_TOKEN.finditer(body):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
            if depth == _KEYS_DEPTH + 1:
                kept.append(body[copied : token.start()] + b"null")
            if depth > MAX_DEPTH:
                raise bad_request("Empty or invalid json", f"Nested deeper than {MAX_DEPTH}")
        elif mark in (b"}", b"]"):
            if depth == _KEYS_DEPTH + 1:
                copied = token.end()
            depth -= 1
    return b"".join([*kept, body[copied:]]) if depth <= _KEYS_DEPTH else body[:0]


def _common_keys(rows: list[dict[str, msgspec.Raw]]) -> list[str] | None:
    if not rows:
        return None
    if any(row.keys() != rows[0].keys() for row in rows[1:]):
        raise bad_request("All object keys must match")
    return list(rows[0])


def _from_csv(text: str) -> tuple[str, list[str] | None]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error as error:
        raise bad_request(f"Cannot read the CSV: {error}") from None
    if not rows:
        return "[]", None
    head = rows[0]
    if any(len(row) != len(head) for row in rows):
        raise bad_request("All lines must have same number of fields")
    values = [{n: None if v == "NULL" else v for n, v in zip(head, row, strict=True)} for row in rows[1:]]
    return json.dumps(values), head if values else None
