"""The grammar inside the values of a query string: select lists, conditions, logic trees and orders."""

import re
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from hub.standin.errors import ApiError

_MAX_DEPTH = 40

_NAME = re.compile(r'"((?:[^"\\]|\\.)+)"|((?:[^\W]|[$ ])(?:[\w$ ]|-(?!>))*)')
_JSON_STEP = re.compile(
    r"(->>|->)(?:(-?\d+)(?![^\-:.,>()])|\"((?:[^\"\\]|\\.)+)\"|((?:[^(:.,>)\-\"]|-(?!>))+))"
)
_CAST = re.compile(r"::([A-Za-z_][\w ]*(?:\[\])?)")
_AGGREGATE = re.compile(r"\.(?:sum|avg|count|min|max)\(\)|count\(\)")
_COMPARISONS = (
    "eq", "neq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch", "in", "isdistinct", "is", "cs", "cd",
    "ov", "sl", "sr", "nxr", "nxl", "adj", "fts", "plfts", "phfts", "wfts",
)  # fmt: skip
_OPERATOR = re.compile(
    rf"(?P<not>not\.)?(?P<op>{'|'.join(sorted(_COMPARISONS, key=len, reverse=True))})(?:\((?P<inside>[^()]*)\))?\."
)
_QUANTIFIED = {"eq", "like", "ilike", "gt", "gte", "lt", "lte", "match", "imatch"}
_IS_VALUES = {"null", "not_null", "true", "false", "unknown"}
_ORDER_TAIL = re.compile(r"(?:\.(asc|desc))?(?:\.(nullsfirst|nullslast))?")
_FIELD_EXPECTED = "field name (* or [a..z0..9_$])"


@dataclass(frozen=True)
class Column:
    """A column and the steps into its JSON: ("->", "key") or ("->>", "0")."""

    name: str
    steps: tuple[tuple[str, str], ...] = ()


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
class Condition:
    """`column operator value`; a list for `in`, and for full text a configuration."""

    column: Column
    operator: str
    value: str | list[str]
    negated: bool = False
    quantifier: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Logic:
    """Conditions joined by and/or."""

    operator: Literal["and", "or"]
    members: "list[Condition | Logic]" = field(default_factory=list)
    negated: bool = False


@dataclass(frozen=True)
class OrderTerm:
    """A column to order by, perhaps of an embedded relation."""

    column: Column
    relation: str | None = None
    direction: str | None = None
    nulls: str | None = None


class _Scanner:
    """A place in a text, and errors that name it."""

    def __init__(self, text: str, what: str, shown: str | None = None) -> None:
        self.text = text
        self.position = 0
        self._what = what
        self._shown = text if shown is None else shown

    def take(self, literal: str) -> bool:
        if self.text.startswith(literal, self.position):
            self.position += len(literal)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def fail(self, expecting: str) -> NoReturn:
        rest = self.text[self.position :]
        unexpected = f'"{rest[0]}"' if rest else "end of input"
        raise ApiError(
            400,
            "PGRST100",
            f'"failed to parse {self._what} ({self._shown})" (line 1, column {self.position + 1})',
            f"unexpected {unexpected} expecting {expecting}",
        )

    def name(self, expecting: str = _FIELD_EXPECTED) -> str:
        found = self.match(_NAME)
        if not found:
            self.fail(expecting)
        return _unescape(found[1]) if found[1] is not None else found[2].strip()

    def steps(self) -> tuple[tuple[str, str], ...]:
        found = []
        while step := self.match(_JSON_STEP):
            key = step[2] or (_unescape(step[3]) if step[3] else step[4])
            found.append((step[1], key))
        return tuple(found)

    def column(self, expecting: str = _FIELD_EXPECTED) -> Column:
        return Column(self.name(expecting), self.steps())


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def path(text: str) -> tuple[str, ...]:
    """The names before the last dot of a parameter's name."""
    if not text:
        return ()
    scanner = _Scanner(text, "tree path")
    names = [scanner.name()]
    while scanner.take("."):
        names.append(scanner.name())
    if not scanner.at_end():
        scanner.fail("end of input")
    return tuple(names)


def target(text: str) -> tuple[tuple[str, ...], Column]:
    """The embedded resource and the column that a condition's name stands for."""
    scanner = _Scanner(text, "tree path")
    names = [scanner.name()]
    while scanner.take("."):
        names.append(scanner.name())
    steps = scanner.steps()
    if not scanner.at_end():
        scanner.fail("end of input")
    return tuple(names[:-1]), Column(names[-1], steps)


def names(text: str, what: str) -> list[str]:
    """A list of column names."""
    scanner = _Scanner(text, f"{what} parameter")
    found = [scanner.name()]
    while scanner.take(","):
        found.append(scanner.name())
    if not scanner.at_end():
        scanner.fail("end of input")
    return found


def select(text: str) -> list[SelectItem]:
    """A select list; an empty one is everything."""
    scanner = _Scanner(text, "select parameter")
    if not text:
        return []
    items = _select_items(scanner, 0)
    if not scanner.at_end():
        scanner.fail('"," or end of input')
    return items


def _select_items(scanner: _Scanner, depth: int) -> list[SelectItem]:
    if depth > _MAX_DEPTH:
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


def _select_item(scanner: _Scanner, depth: int) -> SelectItem:
    spread = scanner.take("...")
    if not spread and scanner.take("*"):
        return SelectColumn(Column("*"))
    closing = ', "*", "count()" or ")"' if depth and scanner.at_end() else ', "*" or "count()"'
    expecting = f'"...", {_FIELD_EXPECTED}{closing}'
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
    return SelectColumn(Column(name, steps), alias, cast[1].strip() if cast else None)


def _refuse_aggregate(scanner: _Scanner) -> None:
    """Aggregates are switched off by default, in the real server too."""
    if scanner.match(_AGGREGATE):
        raise ApiError(400, "PGRST123", "Use of aggregate functions is not allowed")


def order(text: str) -> list[OrderTerm]:
    """A list of order terms."""
    scanner = _Scanner(text, "order")
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


def has_operator(text: str) -> bool:
    """Whether a value reads like a condition."""
    return _OPERATOR.match(text) is not None


def condition(column: Column, text: str) -> Condition:
    """A condition from the value of a parameter."""
    scanner = _Scanner(text, "filter")
    operator, quantifier, language, negated = _operator(scanner)
    if operator == "in":
        value: str | list[str] = _value_list(scanner)
        if not scanner.at_end():
            scanner.fail("end of input")
    else:
        value = text[scanner.position :]
        _check_is(scanner, operator, value)
    return Condition(column, operator, value, negated, quantifier, language)


def _operator(scanner: _Scanner) -> tuple[str, str | None, str | None, bool]:
    found = scanner.match(_OPERATOR)
    if not found:
        scanner.fail('"not" or operator (eq, gt, ...)')
    operator, inside = found["op"], found["inside"]
    quantifier = language = None
    if inside is not None:
        if operator.endswith("fts") and re.fullmatch(r"[\w.]+", inside):
            language = inside
        elif operator in _QUANTIFIED and inside in ("any", "all"):
            quantifier = inside
        else:
            scanner.position = found.start("inside")
            scanner.fail('"any" or "all"')
    return operator, quantifier, language, bool(found["not"])


def _check_is(scanner: _Scanner, operator: str, value: str) -> None:
    if operator == "is" and value.lower() not in _IS_VALUES:
        scanner.fail("isVal: (null, not_null, true, false, unknown)")


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,)]|$)', re.DOTALL)
_PLAIN_VALUE = re.compile(r"[^,)]*", re.DOTALL)
_ARRAY_VALUE = re.compile(r"\{[^{}]*\}|\[[^\[\])]*[\])]", re.DOTALL)


def _value_list(scanner: _Scanner) -> list[str]:
    if not scanner.take("("):
        scanner.fail('"("')
    values = []
    while True:
        quoted = scanner.match(_QUOTED)
        plain = None if quoted else scanner.match(_PLAIN_VALUE)
        values.append(_unescape(quoted[1]) if quoted else plain.group() if plain else "")
        if scanner.take(","):
            continue
        if not scanner.take(")"):
            scanner.fail('"," or ")"')
        return [] if values == [""] and not quoted else values


def logic(operator: str, text: str, *, negated: bool) -> Logic:
    """A logic tree from the value of an `and` or `or` parameter."""
    scanner = _Scanner(operator + text, "logic tree", text)
    tree = _logic_node(scanner, negated, 0)
    if tree is None or not scanner.at_end():
        scanner.fail("end of input")
    return tree


_LOGIC_HEAD = re.compile(r"(not\.)?(and|or)\(")


def _logic_node(scanner: _Scanner, negated: bool, depth: int) -> Logic | None:
    head = scanner.match(_LOGIC_HEAD)
    if not head:
        if depth == 0:
            scanner.position = len(scanner.text) - len(scanner.text.lstrip("andor"))
            scanner.fail('"("')
        return None
    if depth > _MAX_DEPTH:
        scanner.fail("less depth")
    members: list[Condition | Logic] = []
    while True:
        node = _logic_node(scanner, False, depth + 1)
        members.append(node or _logic_condition(scanner))
        if scanner.take(","):
            continue
        if not scanner.take(")"):
            scanner.fail('"," or ")"')
        return Logic("and" if head[2] == "and" else "or", members, negated or bool(head[1]))


def _logic_condition(scanner: _Scanner) -> Condition:
    column = scanner.column(f"{_FIELD_EXPECTED}, negation operator (not) or logic operator (and, or)")
    if not scanner.take("."):
        scanner.fail('"."')
    operator, quantifier, language, negated = _operator(scanner)
    if operator == "in":
        value: str | list[str] = _value_list(scanner)
    elif quoted := scanner.match(_QUOTED):
        value = _unescape(quoted[1])
    else:
        start = scanner.position
        found = scanner.match(_ARRAY_VALUE) or scanner.match(_PLAIN_VALUE)
        value = found.group() if found else ""
        if operator == "is" and value.lower() not in _IS_VALUES:
            scanner.position = start
            _check_is(scanner, operator, value)
    return Condition(column, operator, value, negated, quantifier, language)
