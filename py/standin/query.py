"""What a query string asks for, as dataclasses. The grammar itself is in grammar.py and conditions.py."""

from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from standin import conditions, grammar
from standin.conditions import Condition, Logic
from standin.errors import ApiError
from standin.grammar import OrderTerm, SelectItem

Path = tuple[str, ...]
"""Names of embedded resources, from the outside in; () is the request's own target."""

_MAX_SAFE = 2**63 - 1
_UNRESERVED = "-_.~"


@dataclass(frozen=True)
class Window:
    """Which rows: a limit of None is no limit."""

    offset: int = 0
    limit: int | None = None

    def intersect(self, first: int, last: int | None) -> "Window":
        """Only the rows that are also from `first` to `last`."""
        lows = max(self.offset, first)
        ends = [end for end in (self._end(), None if last is None else last + 1) if end is not None]
        return Window(lows, max(0, min(ends) - lows) if ends else None)

    def _end(self) -> int | None:
        return None if self.limit is None else self.offset + self.limit


@dataclass
class Query:
    """A parsed query string."""

    select: list[SelectItem] = field(default_factory=list)
    conditions: dict[Path, list[Condition | Logic]] = field(default_factory=dict)
    orders: dict[Path, list[OrderTerm]] = field(default_factory=dict)
    windows: dict[Path, Window] = field(default_factory=dict)
    columns: list[str] | None = None
    on_conflict: list[str] = field(default_factory=list)
    arguments: list[tuple[str, str]] = field(default_factory=list)
    canonical: str = ""


def decode(raw: bytes) -> list[tuple[str, str]]:
    """Names and values. As in the real server's library, a semicolon separates too, a name without = is
    ignored, and a NUL cuts a value off."""
    pairs = []
    for part in raw.replace(b";", b"&").split(b"&"):
        if b"=" not in part:
            continue
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        try:
            pairs.append((unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()))
        except UnicodeDecodeError:
            raise ApiError(400, "PGRST100", "The query string is not UTF-8") from None
    return pairs


def canonical(pairs: list[tuple[str, str]]) -> str:
    """The query string that Content-Location shows: sorted by name, repeated names joined."""
    values: dict[str, list[str]] = {}
    for name, value in sorted(pairs, key=lambda pair: pair[0]):
        values.setdefault(_encode(name), []).append(_encode(value))
    return "&".join(f"{name}={','.join(several)}" for name, several in values.items())


def _encode(text: str) -> str:
    # The real server takes each byte of the UTF-8 form for a character of its own.
    return quote(text.encode().decode("latin-1"), safe=_UNRESERVED)


def parse(pairs: list[tuple[str, str]], *, takes_arguments: bool) -> Query:
    """Read the pairs. With `takes_arguments` (a function called by GET) a value without an operator is one.

    Raises ApiError (400) for what does not follow the grammar.
    """
    query = Query()
    limits: dict[Path, int] = {}
    offsets: dict[Path, int] = {}
    for name, whole in pairs:
        value = whole.partition("\0")[0]
        prefix, _, last = name.rpartition(".")
        if name == "select":
            query.select = grammar.select(value)
        elif name == "columns":
            query.columns = grammar.names(value, "columns")
        elif name == "on_conflict":
            query.on_conflict = grammar.names(value, "on_conflict")
        elif last == "order":
            query.orders[grammar.path(prefix)] = grammar.order(value)
        elif last == "limit":
            _take_number(limits, prefix, value)
        elif last == "offset":
            _take_number(offsets, prefix, value)
        elif last in ("and", "or"):
            path, negated = _negation(prefix)
            query.conditions.setdefault(path, []).append(conditions.logic(last, value, negated=negated))
        elif takes_arguments and "." not in name and not conditions.has_operator(value):
            query.arguments.append((name, value))
        else:
            path, column = grammar.target(name)
            query.conditions.setdefault(path, []).append(conditions.condition(column, value))
    for path in limits.keys() | offsets.keys():
        query.windows[path] = _window(limits.get(path), offsets.get(path))
    return query


def _negation(prefix: str) -> tuple[Path, bool]:
    if prefix == "not" or prefix.endswith(".not"):
        return grammar.path(prefix[:-4]), True
    return grammar.path(prefix), False


def _take_number(found: dict[Path, int], prefix: str, value: str) -> None:
    """Anything but a whole number is ignored, as in the real server."""
    digits = value.strip().removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 18:
        found[grammar.path(prefix)] = int(value)


def _window(limit: int | None, offset: int | None) -> Window:
    if limit is not None and limit < 0:
        raise out_of_range("Limit should be greater than or equal to zero.")
    return Window(max(0, offset or 0), limit)


def out_of_range(details: str) -> ApiError:
    """The error for an impossible range."""
    return ApiError(416, "PGRST103", "Requested range not satisfiable", details)
