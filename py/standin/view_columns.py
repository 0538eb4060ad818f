"""Which table column a view's column comes from, read from the view's stored query.

PostgreSQL notes the origin of each output column in the rewrite rule (`resorigtbl` and `resorigcol` of the
outermost target list), through joins and sub-selects; a view on a view needs one more step for each level.
"""

import re
from collections.abc import Iterator, Mapping

Origin = tuple[int, int]
"""A table's oid and a column's number."""

_TOKEN = re.compile(r"\\.|[{}]|:targetList ")
_ENTRY_END = re.compile(
    r":resno (?P<number>\d+) :resname .*? :ressortgroupref \d+"
    r" :resorigtbl (?P<table>\d+) :resorigcol (?P<column>\d+) :resjunk (?P<junk>true|false)\s*$",
    re.DOTALL,
)
_MAX_DEPTH = 32


def origins(tree: str) -> dict[int, Origin]:
    """Where the values of a stored query's output columns come from; computed columns are left out."""
    found: dict[int, Origin] = {}
    for entry in _target_entries(tree):
        end = _ENTRY_END.search(entry)
        if end and end["junk"] == "false" and end["table"] != "0":
            found[int(end["number"])] = (int(end["table"]), int(end["column"]))
    return found


def _target_entries(tree: str) -> Iterator[str]:
    """The text of each entry of the outermost query's target list: depth 1 is the query, 2 an entry."""
    depth, inside, start = 0, False, 0
    for token in _TOKEN.finditer(tree):
        text = token.group()
        if text == "{":
            depth += 1
            if inside and depth == 2:
                start = token.end()
        elif text == "}":
            depth -= 1
            if inside and depth == 1:
                yield tree[start : token.start()]
                if tree[token.end() : token.end() + 1] == ")":
                    return
        elif text == ":targetList " and depth == 1:
            if tree.startswith("<>", token.end()):
                return
            inside = True


def base_columns(
    relation: int, numbers: list[int], rules: Mapping[int, dict[int, Origin]]
) -> dict[int, Origin]:
    """The table column behind each of a relation's columns, through any number of views."""
    found: dict[int, Origin] = {}
    for number in numbers:
        origin: Origin | None = (relation, number)
        for _ in range(_MAX_DEPTH):
            if origin is None or origin[0] not in rules:
                break
            origin = rules[origin[0]].get(origin[1])
        if origin is not None:
            found[number] = origin
    return found
