"""Errors in PostgREST's JSON form, and which HTTP status an SQLSTATE becomes."""

import json
import re
from collections.abc import Iterable
from typing import Any

import psycopg

Headers = list[tuple[bytes, bytes]]

JSON_TYPE = b"application/json; charset=utf-8"

# SQLSTATEs and classes of them; all others are 400. A single state takes precedence over its class.
_STATES_BY_STATUS = {
    400: ("P0001",),
    403: ("0L", "0P", "28"),
    404: ("42883", "42P01"),
    405: ("25006",),
    409: ("23503", "23505"),
    500: (
        *(
            "09",
            "21",
            "25",
            "2D",
            "38",
            "39",
            "3B",
            "40",
            "42P17",
            "53400",
            "54",
            "55",
            "57",
            "58",
            "F0",
            "HV",
        ),
        *("P0", "XX"),
    ),
    503: ("08", "53", "57P01"),
}
_STATUS_BY_STATE = {state: status for status, states in _STATES_BY_STATUS.items() for state in states}
_NO_SUCH_ROLE = re.compile(r'role ".*" does not exist', re.DOTALL)
_CUSTOM_STATUS = re.compile(r"PT([2-9]\d\d)")


class ApiError(Exception):
    """An error response: status, and PostgREST's code, message, details and hint."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Any = None,
        hint: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.headers: Headers = [(name.encode(), _header_value(value)) for name, value in headers]

    def body(self) -> bytes:
        """The JSON document."""
        parts = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        return json.dumps(parts, ensure_ascii=False).encode(errors="replace")

    def all_headers(self) -> Headers:
        """Content type, the error's own headers, and the one that names the error to proxies."""
        proxy = _header_value(f"PostgREST; error={self.code}")
        return [(b"Content-Type", JSON_TYPE), (b"Proxy-Status", proxy), *self.headers]


def bad_request(message: str, details: str | None = None) -> ApiError:
    """The body cannot be used."""
    return ApiError(400, "PGRST102", message, details)


def not_offered(what: str) -> ApiError:
    """PostgREST can do this; the stand-in cannot."""
    return ApiError(
        501, "STANDIN501", f"The stand-in gateway does not offer {what}", hint="Use PostgREST for that."
    )


def connection_lost(error: object) -> ApiError:
    """The database went away."""
    headers = [("Retry-After", "1")]
    return ApiError(
        503, "PGRST001", "Database client error. Retrying the connection.", _one_line(error), None, headers
    )


def no_connection(error: object) -> ApiError:
    """The database cannot be reached."""
    headers = [("Retry-After", "1")]
    return ApiError(
        503,
        "PGRST000",
        "Database connection error. Retrying the connection.",
        _one_line(error),
        None,
        headers,
    )


def from_database(error: psycopg.Error, *, anonymous: bool) -> ApiError:
    """The response to an error that PostgreSQL raised."""
    diag = error.diag
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        return connection_lost(error)
    state = error.sqlstate or "XX000"
    message = diag.message_primary or str(error)
    if state == "PGRST":
        return _from_raised_json(message, diag.message_detail)
    status = _status(state, message, anonymous=anonymous)
    headers = []
    if status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    if status == 503:
        headers.append(("Retry-After", "0"))
    return ApiError(status, state, message, diag.message_detail, diag.message_hint, headers)


def _status(state: str, message: str, *, anonymous: bool) -> int:
    if state.startswith("PT"):
        found = _CUSTOM_STATUS.fullmatch(state)
        return int(found[1]) if found else 500
    if state == "42501":
        return 401 if anonymous else 403
    if state == "22023" and _NO_SUCH_ROLE.fullmatch(message):
        return 401
    return _STATUS_BY_STATE.get(state) or _STATUS_BY_STATE.get(state[:2], 400)


def _from_raised_json(message: str, detail: str | None) -> ApiError:
    """RAISE SQLSTATE 'PGRST': MESSAGE holds the body, DETAIL holds status and headers."""
    body = _json_object(message)
    if body is None or not all(isinstance(body.get(key), str) for key in ("code", "message")):
        return _unreadable(
            f"Invalid JSON value for MESSAGE: '{message}'",
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message'"
            " and optional keys: 'details', 'hint'.",
        )
    if detail is None:
        return _unreadable("DETAIL is missing in the RAISE statement", _DETAIL_HINT)
    answer = _json_object(detail)
    headers = answer.get("headers") if answer else None
    if (
        answer is None
        or not _is_status(answer.get("status"))
        or not isinstance(headers, dict)
        or not all(isinstance(value, str) for value in headers.values())
    ):
        return _unreadable(f"Invalid JSON value for DETAIL: '{detail}'", _DETAIL_HINT)
    return ApiError(
        answer["status"],
        body["code"],
        body["message"],
        body.get("details"),
        body.get("hint"),
        headers.items(),
    )


_DETAIL_HINT = (
    "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
)


def _unreadable(details: str, hint: str) -> ApiError:
    return ApiError(
        500, "PGRST121", "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error", details, hint
    )


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_status(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 999


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _header_value(text: str) -> bytes:
    """A header must not hold control characters, whatever a function put into it."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", " ", text).strip().encode(errors="replace")
