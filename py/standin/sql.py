"""The SQL of a read: one statement whose JSON is made by PostgreSQL. Values are bound, identifiers quoted."""

# ruff: noqa: S608 - identifiers are quoted by psycopg, and values are bound

from collections.abc import Iterable
from functools import lru_cache

from psycopg import sql

from standin.conditions import Condition, Logic
from standin.errors import ApiError
from standin.grammar import OrderTerm, SelectColumn
from standin.plan import Node
from standin.scanner import Column

_BINARY = {
    "eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "like", "ilike": "ilike",
    "match": "~", "imatch": "~*", "isdistinct": "is distinct from", "cs": "@>", "cd": "<@", "ov": "&&",
    "sl": "<<", "sr": ">>", "nxr": "&<", "nxl": "&>", "adj": "-|-",
}  # fmt: skip
_TEXT_SEARCH = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
_IS = {"null": "null", "not_null": "not null", "true": "true", "false": "false", "unknown": "unknown"}
_STAR = SelectColumn(Column("*"))


@lru_cache(maxsize=1000)
def ident(*names: str) -> str:
    """A quoted, perhaps qualified, identifier."""
    return sql.Identifier(*names).as_string(None)


def clean(value: str) -> str:
    """Text that PostgreSQL accepts: up to the first NUL, without lone surrogates."""
    return value.partition("\0")[0].encode(errors="replace").decode()


class Values:
    """The bound values of a statement; `add` gives the placeholder."""

    def __init__(self) -> None:
        self.list: list[str | bytes | None] = []

    def add(self, value: str | bytes | None) -> str:
        """Bind one more value."""
        self.list.append(clean(value) if isinstance(value, str) else value)
        return f"${len(self.list)}"


def array_literal(values: Iterable[str]) -> str:
    """PostgreSQL's text form of an array of texts."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


class Reader:
    """Writes the SQL of one tree of relations."""

    def __init__(self, values: Values, schema: str) -> None:
        self._values = values
        self._schema = schema

    def page(self, node: Node) -> str:
        """The rows of the root, in order and within its window."""
        return f"select {self._select_list(node)} {self._body(node)}{self._order(node)}{self._window(node)}"

    def everything(self, node: Node) -> str:
        """All rows of the root without order or window, for counting."""
        return f"select 1 {self._body(node, only_needed=True)}"

    def where(self, node: Node) -> str:
        """The root's conditions alone, for an update or a delete."""
        conditions = [self._condition(node, condition) for condition in node.conditions]
        return " where " + " and ".join(conditions) if conditions else ""

    # -- the parts of a query

    def _body(self, node: Node, *, only_needed: bool = False) -> str:
        joins = "".join(
            self._join(node, child)
            for child in node.children
            if not only_needed or self._is_needed(node, child)
        )
        source = (
            node.source if node.depth == 0 else f"{ident(self._schema, node.source)} as {ident(node.alias)}"
        )
        if node.relationship and node.relationship.function:
            # The cast gives the rows of a call their type, which a common table expression loses.
            row = f"{_parent(node)}::{ident(self._schema, node.relationship.source)}"
            source = f"{ident(self._schema, node.relationship.function)}({row}) as {ident(node.alias)}"
        links = self._links(node)
        if node.relationship and node.relationship.junction:
            junction = node.relationship.junction
            source += (
                f", {ident(self._schema, junction.relation)} as {ident(f'{junction.relation}_j{node.depth}')}"
            )
        conditions = links + [self._condition(node, condition) for condition in node.conditions]
        where = " where " + " and ".join(conditions) if conditions else ""
        return f"from {source}{joins}{where}"

    def _is_needed(self, node: Node, child: Node) -> bool:
        if child.embed is None or child.embed.inner:
            return True
        names = (child.embed.name, child.embed.target)
        return any(name in names for name in _null_tests(node.conditions))

    def _links(self, node: Node) -> list[str]:
        """The join conditions of an embedded row."""
        relationship = node.relationship
        if relationship is None:
            return []
        mine = _qualifier(node)
        junction = relationship.junction
        if junction is None:
            return [
                f"{mine}.{ident(theirs)} = {_parent(node)}.{ident(ours)}"
                for ours, theirs in relationship.columns
            ]
        middle = ident(f"{junction.relation}_j{node.depth}")
        return [
            *(
                f"{middle}.{ident(link)} = {_parent(node)}.{ident(ours)}"
                for ours, link in junction.source_columns
            ),
            *(f"{middle}.{ident(link)} = {mine}.{ident(theirs)}" for link, theirs in junction.target_columns),
        ]

    def _select_list(self, node: Node) -> str:
        """The columns and, as JSON, the embedded relations."""
        items = [self._shown(node, item) for item in _columns(node)]
        for child in node.children:
            items += self._shown_child(child)
        return ", ".join(items) or ("1" if node.depth else "")

    def _shown(self, node: Node, item: SelectColumn) -> str:
        if item.column.name == "*":
            return f"{_qualifier(node)}.*"
        value = self._column(node, item.column)
        if item.cast:
            value = f"cast({value} as {item.cast})"
        name = _shown_name(item)
        return (
            f"{value} as {ident(name)}"
            if name != item.column.name or item.cast or item.column.steps
            else value
        )

    def _shown_child(self, child: Node) -> list[str]:
        embed = child.embed
        assert embed is not None  # noqa: S101 - only the root has none, and it is no child
        key = ident(child.key)
        if not embed.spread:
            if not embed.items:
                return []
            empty = "" if child.to_one else ", '[]'"
            return [f"coalesce({key}._doc{empty}) as {ident(embed.name)}"]
        names = [ident(name) for name in self._spread_names(child)]
        if child.to_one:
            return [f"{key}.{name}" for name in names]
        return [f"coalesce({key}.{name}, '[]') as {name}" for name in names]

    def _spread_names(self, node: Node) -> list[str]:
        names: list[str] = []
        for item in _columns(node):
            names += list(node.known) if item.column.name == "*" else [_shown_name(item)]
        for child in node.children:
            if child.embed and child.embed.spread:
                names += self._spread_names(child)
            elif child.embed and child.embed.items:
                names.append(child.embed.name)
        return names

    def _join(self, parent: Node, child: Node) -> str:
        """A lateral subquery with the embedded rows as JSON in `_doc`, or as columns for a spread."""
        embed = child.embed
        assert embed is not None  # noqa: S101 - as above
        rows = f"{self._body(child)}{self._order(child)}{self._window(child)}"
        # Columns of the embedded row that order the parent are added under names of their own.
        extra = "".join(
            f", {self._column(child, _shown_column(child, term.column))} as {ident(f'_order_{number}')}"
            for number, term in enumerate(parent.order)
            if term.relation and parent.child(term.relation) is child
        )
        key = ident(child.key)
        columns = self._select_list(child)
        found = f"{key}._doc is not null"
        if embed.spread and child.to_one:
            inside, found = f"select {columns}, 1 as _doc{extra} {rows}", "true"
        elif child.to_one:
            document = f"(select row_to_json(_) from (select {columns}) as _) as _doc"
            inside, found = f"select {document}{extra} {rows}", "true"
        elif embed.spread:
            arrays = ", ".join(f"json_agg(_.{ident(n)}) as {ident(n)}" for n in self._spread_names(child))
            inside = f"select {arrays}, nullif(count(*), 0) as _doc from (select {columns} {rows}) as _"
        else:
            inside = f"select json_agg(_) as _doc from (select {columns} {rows}) as _"
        kind, on = ("inner", found) if embed.inner else ("left", "true")
        return f" {kind} join lateral ({inside}) as {key} on {on}"

    def _order(self, node: Node) -> str:
        if not node.order:
            return ""
        return " order by " + ", ".join(self._order_term(node, n, term) for n, term in enumerate(node.order))

    def _order_term(self, node: Node, number: int, term: OrderTerm) -> str:
        child = node.child(term.relation) if term.relation else None
        value = (
            f"{ident(child.key)}.{ident(f'_order_{number}')}" if child else self._column(node, term.column)
        )
        direction = f" {term.direction}" if term.direction else ""
        nulls = {"nullsfirst": " nulls first", "nullslast": " nulls last"}.get(term.nulls or "", "")
        return value + direction + nulls

    def _window(self, node: Node) -> str:
        limit = (
            "" if node.window.limit is None else f" limit {self._values.add(str(node.window.limit))}::bigint"
        )
        offset = f" offset {self._values.add(str(node.window.offset))}::bigint" if node.window.offset else ""
        return limit + offset

    # -- conditions

    def _column(self, node: Node, column: Column) -> str:
        value = f"{_qualifier(node)}.{ident(column.name)}"
        if not column.steps:
            return value
        known = node.known.get(column.name)
        if known is not None and known.type not in ("json", "jsonb"):
            value = f"to_jsonb({value})"
        for arrow, key in column.steps:
            kind = "int" if key.lstrip("-").isdecimal() and key.isascii() else "text"
            value += f"{arrow}{self._values.add(key)}::{kind}"
        return f"({value})"

    def _condition(self, node: Node, condition: Condition | Logic) -> str:
        if isinstance(condition, Logic):
            inside = f" {condition.operator} ".join(
                self._condition(node, member) for member in condition.members
            )
            return f"not ({inside})" if condition.negated else f"({inside})"
        test = self._embed_test(node, condition) or self._test(
            self._column(node, condition.column), condition
        )
        return f"not ({test})" if condition.negated else test

    def _embed_test(self, node: Node, condition: Condition) -> str | None:
        """`rel=is.null`: whether the embedded relation has no rows."""
        if not _is_null_test(condition):
            return None
        child = node.child(condition.column.name)
        if child is None:
            return None
        if node.is_call:
            raise ApiError(400, "42703", f"column pgrst_call.{child.key} does not exist")
        return f"{ident(child.key)}._doc is {_IS[str(condition.value).lower()]}"

    def _test(self, column: str, condition: Condition) -> str:
        operator, value = condition.operator, condition.value
        if isinstance(value, list):
            return f"{column} = any ({self._values.add(array_literal(value))})"
        if operator == "is":
            return f"{column} is {_IS[value.lower()]}"
        if operator in _TEXT_SEARCH:
            language = f"{self._values.add(condition.language)}::regconfig, " if condition.language else ""
            return f"{column} @@ {_TEXT_SEARCH[operator]}({language}{self._values.add(value)})"
        if operator in ("like", "ilike"):
            value = value.replace("*", "%")
        placeholder = self._values.add(value)
        if condition.quantifier:
            placeholder = f"{condition.quantifier} ({placeholder})"
        return f"{column} {_BINARY[operator]} {placeholder}"


def _is_null_test(condition: Condition) -> bool:
    return (
        condition.operator == "is"
        and not condition.column.steps
        and str(condition.value).lower() in ("null", "not_null")
    )


def _null_tests(conditions: Iterable[Condition | Logic]) -> Iterable[str]:
    for condition in conditions:
        if isinstance(condition, Logic):
            yield from _null_tests(condition.members)
        elif _is_null_test(condition):
            yield condition.column.name


def _columns(node: Node) -> list[SelectColumn]:
    """What is selected: nothing at all means everything, but only at the root."""
    return node.columns if node.columns or node.children or node.depth else [_STAR]


def _shown_column(node: Node, column: Column) -> Column:
    """The selected column of an embedded row that an order names, by its name or alias.

    Raises ApiError (400) for one that is not, as PostgreSQL does to the real server.
    """
    if not node.columns:
        return column
    for item in node.columns:
        if _shown_name(item) == column.name:
            return Column(item.column.name, item.column.steps + column.steps)
    if any(item.column.name == "*" for item in node.columns):
        return column
    raise ApiError(400, "42703", f"column {node.key}.{column.name} does not exist")


def _qualifier(node: Node) -> str:
    return ident(node.alias)


def _parent(node: Node) -> str:
    return ident(node.parent_alias)


def _shown_name(item: SelectColumn) -> str:
    """A column's name in the answer: of a JSON path the last key that is no index."""
    if item.alias:
        return item.alias
    keys = [key for _, key in item.column.steps if not key.lstrip("-").isdecimal()]
    return keys[-1] if keys else item.column.name
