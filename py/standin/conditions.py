"""The grammar of conditions: `column=operator.value`, and trees of them joined by and/or."""

import re
from dataclasses import dataclass, field
from typing import Literal

from standin.scanner import FIELD_EXPECTED, Column, Scanner, unescape

MAX_DEPTH = 40

_COMPARISONS = (
    "eq", "neq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch", "in", "isdistinct", "is",
    "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "fts", "plfts", "phfts", "wfts",
)  # fmt: skip
_NAMES = "|".join(sorted(_COMPARISONS, key=len, reverse=True))
_OPERATOR = re.compile(rf"(?P<not>not\.)?(?P<op>{_NAMES})(?:\((?P<inside>[^()]*)\))?\.")
_QUANTIFIED = {"eq", "like", "ilike", "gt", "gte", "lt", "lte", "match", "imatch"}
_IS_VALUES = {"null", "not_null", "true", "false", "unknown"}


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


def has_operator(text: str) -> bool:
    """Whether a value reads like a condition."""
    return _OPERATOR.match(text) is not None


def condition(column: Column, text: str) -> Condition:
    """A condition from the value of a parameter."""
    scanner = Scanner(text, "filter")
    operator, quantifier, language, negated = _operator(scanner)
    if operator == "in":
        value: str | list[str] = _value_list(scanner)
        if not scanner.at_end():
            scanner.fail("end of input")
    else:
        value = text[scanner.position :]
        _check_is(scanner, operator, value)
    return Condition(column, operator, value, negated, quantifier, language)


def _operator(scanner: Scanner) -> tuple[str, str | None, str | None, bool]:
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


def _check_is(scanner: Scanner, operator: str, value: str) -> None:
    if operator == "is" and value.lower() not in _IS_VALUES:
        scanner.fail("isVal: (null, not_null, true, false, unknown)")


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,)]|$)', re.DOTALL)
_PLAIN_VALUE = re.compile(r"[^,)]*", re.DOTALL)
_ARRAY_VALUE = re.compile(r"\{[^{}]*\}|\[[^\[\])]*[\])]", re.DOTALL)


def _value_list(scanner: Scanner) -> list[str]:
    if not scanner.take("("):
        scanner.fail('"("')
    values = []
    while True:
        quoted = scanner.match(_QUOTED)
        plain = None if quoted else scanner.match(_PLAIN_VALUE)
        values.append(unescape(quoted[1]) if quoted else plain.group() if plain else "")
        if scanner.take(","):
            continue
        if not scanner.take(")"):
            scanner.fail('"," or ")"')
        return [] if values == [""] and not quoted else values


def logic(operator: str, text: str, *, negated: bool) -> Logic:
    """A logic tree from the value of an `and` or `or` parameter."""
    scanner = Scanner(operator + text, "logic tree", text)
    tree = _logic_node(scanner, negated, 0)
    if tree is None or not scanner.at_end():
        scanner.fail("end of input")
    return tree


_LOGIC_HEAD = re.compile(r"(not\.)?(and|or)\(")


def _logic_node(scanner: Scanner, negated: bool, depth: int) -> Logic | None:
    head = scanner.match(_LOGIC_HEAD)
    if not head:
        if depth == 0:
            scanner.position = len(scanner.text) - len(scanner.text.lstrip("andor"))
            scanner.fail('"("')
        return None
    if depth > MAX_DEPTH:
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


def _logic_condition(scanner: Scanner) -> Condition:
    column = scanner.column(f"{FIELD_EXPECTED}, negation operator (not) or logic operator (and, or)")
    if not scanner.take("."):
        scanner.fail('"."')
    operator, quantifier, language, negated = _operator(scanner)
    if operator == "in":
        value: str | list[str] = _value_list(scanner)
    elif quoted := scanner.match(_QUOTED):
        value = unescape(quoted[1])
    else:
        start = scanner.position
        found = scanner.match(_ARRAY_VALUE) or scanner.match(_PLAIN_VALUE)
        value = found.group() if found else ""
        if operator == "is" and value.lower() not in _IS_VALUES:
            scanner.position = start
            _check_is(scanner, operator, value)
    return Condition(column, operator, value, negated, quantifier, language)
