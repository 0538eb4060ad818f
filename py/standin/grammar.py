"""The grammar of select lists, orders and names; conditions have a module of their own."""

import re
from dataclasses import dataclass

from standin.conditions import MAX_DEPTH
from standin.errors import ApiError
from standin.scanner import FIELD_EXPECTED, Column, Scanner

_CAST = re.compile(r"::([A-Za-z_][\w ]*(?:\[\])?)")
_AGGREGATE = re.compile(r"\.(?:sum|avg|count|min|max)\(\)|count\(\)")
_ITEM_START = re.compile(r'(?:\.\.\.)?[\w*$" ]')
_COLUMN_END = re.compile(r"[),]|$")
_ORDER_TAIL = re.compile(r"(?:\.(asc|desc))?(?:\.(nullsfirst|nullslast))?")


@dataclass(frozen=True)
class SelectColumn:
    """A column to show; "*" is all."""

    column: Column
    alias: str | None = None
    cast: str | None = None


@dataclass(frozen=True)
class SelectEmbed:
    """Another relation to show inside this one, or with `spread` beside its columns."""

    target: str
    items: "list[SelectItem]"
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False

    @property
    def name(self) -> str:
        """What the rest of the request calls it."""
        return self.alias or self.target


SelectItem = SelectColumn | SelectEmbed


@dataclass(frozen=True)
class OrderTerm:
    """A column to order by, perhaps of an embedded relation."""

    column: Column
    relation: str | None = None
    direction: str | None = None
    nulls: str | None = None


def path(text: str) -> tuple[str, ...]:
    """The names before the last dot of a parameter's name."""
    if not text:
        return ()
    scanner = Scanner(text, "tree path")
    names = [scanner.name()]
    while scanner.take("."):
        names.append(scanner.name())
    if not scanner.at_end():
        scanner.fail("end of input")
    return tuple(names)


def target(text: str) -> tuple[tuple[str, ...], Column]:
    """The embedded resource and the column that a condition names."""
    scanner = Scanner(text, "tree path")
    names = [scanner.name()]
    while scanner.take("."):
        names.append(scanner.name())
    steps = scanner.steps()
    if not scanner.at_end():
        scanner.fail("end of input")
    return tuple(names[:-1]), Column(names[-1], steps)


def names(text: str, what: str) -> list[str]:
    """A list of column names."""
    scanner = Scanner(text, f"{what} parameter")
    found = [scanner.name()]
    while scanner.take(","):
        found.append(scanner.name())
    if not scanner.at_end():
        scanner.fail("end of input")
    return found


def select(text: str) -> list[SelectItem]:
    """A select list; an empty one is everything.

    As in the real server, the list ends where no further item can begin: what follows is ignored.
    """
    scanner = Scanner(text, "select parameter")
    return _select_items(scanner, 0) if scanner.sees(_ITEM_START) else []


def _select_items(scanner: Scanner, depth: int) -> list[SelectItem]:
    if depth > MAX_DEPTH:
        scanner.fail("less depth")
    if depth and scanner.take(")"):
        return []
    items = []
    while True:
        items.append(_select_item(scanner, depth))
        if scanner.take(","):
            continue
        if depth and not scanner.take(")"):
            scanner.fail('"," or ")"')
        return items


def _select_item(scanner: Scanner, depth: int) -> SelectItem:
    spread = scanner.take("...")
    if not spread and scanner.take("*"):
        return SelectColumn(Column("*"))
    closing = ', "*", "count()" or ")"' if depth and scanner.at_end() else ', "*" or "count()"'
    expecting = f'"...", {FIELD_EXPECTED}{closing}'
    _refuse_aggregate(scanner)
    name = scanner.name(expecting)
    alias = None
    if scanner.text[scanner.position : scanner.position + 2] != "::" and scanner.take(":"):
        alias = name
        _refuse_aggregate(scanner)
        name = scanner.name()
    hint, inner = None, False
    embed = spread
    while scanner.take("!"):
        embed = True
        word = scanner.name()
        if word == "inner":
            inner = True
        elif word != "left":
            hint = word
    if scanner.take("("):
        return SelectEmbed(name, _select_items(scanner, depth + 1), alias, hint, inner, spread)
    if embed:
        scanner.fail('"("')
    steps = scanner.steps()
    _refuse_aggregate(scanner)
    cast = scanner.match(_CAST)
    _refuse_aggregate(scanner)
    if not scanner.sees(_COLUMN_END):
        scanner.fail('letter, digit, "-", "->>", "->", "::", ".", ")", "," or end of input')
    return SelectColumn(Column(name, steps), alias, cast[1].strip() if cast else None)


def _refuse_aggregate(scanner: Scanner) -> None:
    """Aggregates are switched off by default, in the real server too."""
    if scanner.match(_AGGREGATE):
        raise ApiError(400, "PGRST123", "Use of aggregate functions is not allowed")


def order(text: str) -> list[OrderTerm]:
    """A list of order terms."""
    scanner = Scanner(text, "order")
    terms = []
    while True:
        column, relation = scanner.column(), None
        if not column.steps and scanner.take("("):
            relation, column = column.name, scanner.column()
            if not scanner.take(")"):
                scanner.fail('")"')
        tail = scanner.match(_ORDER_TAIL)
        terms.append(OrderTerm(column, relation, tail and tail[1], tail and tail[2]))
        if scanner.take(","):
            continue
        if scanner.at_end():
            return terms
        scanner.take(".")
        scanner.fail('"asc", "desc", "nullsfirst" or "nullslast"')
