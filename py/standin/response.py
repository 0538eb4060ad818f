"""The response: status, headers and body, and how a function may change them."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from standin.errors import ApiError, Headers

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass
class Response:
    """An HTTP answer."""

    status: int
    headers: Headers
    body: bytes = b""

    def shaped_by(self, row: list[bytes | None]) -> "Response":
        """The answer as response.headers and response.status change it. Raises ApiError (500)."""
        if row[3] is not None:
            own = _parsed(row[3])
            names = {name.lower() for name, _ in own}
            self.headers = [pair for pair in self.headers if pair[0].lower() not in names] + own
        if row[4] is not None:
            self.status = status_override(row[4])
        return self


def _parsed(value: bytes) -> Headers:
    error = ApiError(
        500,
        "PGRST111",
        "response.headers guc must be a JSON array composed of objects with a single key and a string value",
    )
    try:
        items = json.loads(value)
    except (ValueError, RecursionError):
        raise error from None
    if not isinstance(items, list):
        raise error
    found: Headers = []
    for item in items:
        if not isinstance(item, dict) or len(item) != 1:
            raise error
        ((name, text),) = item.items()
        if (
            not isinstance(text, str)
            or not _TOKEN.fullmatch(name)
            or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text)
        ):
            raise error
        found.append((name.encode(), text.strip().encode(errors="replace")))
    return found


def status_override(value: bytes) -> int:
    """The status that a function asked for. Raises ApiError (500)."""
    if not re.fullmatch(rb"[2-9]\d\d", value):
        raise ApiError(500, "PGRST112", "response.status guc must be a valid status code")
    return int(value)


def content_range(offset: int, rows: int, total: int | None) -> bytes:
    """Which rows are shown, of how many."""
    shown = f"{offset}-{offset + rows - 1}" if rows and total != 0 else "*"
    return f"{shown}/{'*' if total is None else total}".encode()


def range_status(offset: int, rows: int, total: int | None) -> int:
    """206 if the count exceeds the page, 416 if the offset is beyond the count."""
    if total is None or rows >= total:
        return 200
    return 416 if offset > total else 206


def extra_headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    """Headers as bytes."""
    return [(name.encode(), value.encode()) for name, value in pairs]
