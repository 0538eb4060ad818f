"""From a parsed query to a tree of relations to read: which relationship each embedded name means."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from standin.conditions import Condition, Logic
from standin.errors import ApiError
from standin.grammar import OrderTerm, SelectColumn, SelectEmbed
from standin.query import Path, Query, Window
from standin.schema_cache import Column, Relationship, SchemaCache

_EVERYTHING = Window()


@dataclass
class Node:
    """One relation to read. `embed` and `relationship` link it to its parent, if it has one.

    The result of a function (`is_call`) has only the columns that the request selects or filters by.
    """

    name: str
    alias: str
    source: str
    known: Mapping[str, Column]
    depth: int = 0
    columns: list[SelectColumn] = field(default_factory=list)
    children: "list[Node]" = field(default_factory=list)
    conditions: list[Condition | Logic] = field(default_factory=list)
    order: list[OrderTerm] = field(default_factory=list)
    window: Window = _EVERYTHING
    embed: SelectEmbed | None = None
    relationship: Relationship | None = None
    parent_alias: str = ""
    is_call: bool = False

    @property
    def key(self) -> str:
        """The name of its lateral subquery."""
        return f"{self.parent_alias}_{self.embed.name if self.embed else ''}_{self.depth}"

    @property
    def to_one(self) -> bool:
        """Whether there is at most one row for each row of the parent."""
        return self.relationship is not None and self.relationship.to_one

    def child(self, name: str) -> "Node | None":
        """The embedded relation with this name or alias in the request."""
        return next((c for c in self.children if c.embed and name in (c.embed.name, c.embed.target)), None)

    def join_columns(self) -> Iterator[str]:
        """Its own columns that the embedded relations are found by."""
        for child in self.children:
            if child.relationship:
                junction = child.relationship.junction
                for mine, _ in junction.source_columns if junction else child.relationship.columns:
                    yield mine

    def used_columns(self) -> set[str]:
        """Every column of this relation that the request names, "*" for all of them."""
        used = {item.column.name for item in self.columns} | set(self.join_columns())
        if any(child.relationship and child.relationship.function for child in self.children):
            used.add("*")  # the function takes the whole row
        if not self.is_call:
            used |= {term.column.name for term in self.order if not term.relation}
        return used | {name for name in _condition_columns(self.conditions) if not self.child(name)}


def _condition_columns(conditions: Iterable[Condition | Logic]) -> Iterator[str]:
    for condition in conditions:
        if isinstance(condition, Logic):
            yield from _condition_columns(condition.members)
        else:
            yield condition.column.name


def root(cache: SchemaCache, query: Query, target: Node) -> Node:
    """Attach the embeds of the query to `target`, and give each node its conditions, order and window."""
    relation = target.name
    _select(cache, target, relation, query.select)
    for path, conditions in query.conditions.items():
        _find(target, path).conditions.extend(conditions)
    for path, order in query.orders.items():
        node = _find(target, path)
        for term in order:
            if term.relation:
                _check_related_order(node, relation if node is target else node.name, term.relation)
        node.order = order
    for path, window in query.windows.items():
        _find(target, path).window = window
    return target


def _select(
    cache: SchemaCache, node: Node, relation: str, items: Iterable[SelectColumn | SelectEmbed]
) -> None:
    for item in items:
        if isinstance(item, SelectColumn):
            node.columns.append(item)
            continue
        relationship = find_relationship(cache, relation, item.target, item.hint)
        target = cache.relations[relationship.target]
        depth = node.depth + 1
        child = Node(
            name=target.name,
            alias=f"{target.name}_{depth}",
            source=target.name,
            known=target.columns,
            depth=depth,
            embed=item,
            relationship=relationship,
            parent_alias=node.alias,
        )
        _select(cache, child, target.name, item.items)
        node.children.append(child)


def _find(node: Node, path: Path) -> Node:
    for name in path:
        child = node.child(name)
        if child is None:
            raise _not_embedded(name)
        node = child
    return node


def _not_embedded(name: str) -> ApiError:
    hint = f"Verify that '{name}' is included in the 'select' query parameter."
    return ApiError(400, "PGRST108", f"'{name}' is not an embedded resource in this request", None, hint)


def _check_related_order(node: Node, relation: str, name: str) -> None:
    child = node.child(name)
    if child is None:
        raise _not_embedded(name)
    if not child.to_one:
        details = f"'{relation}' and '{name}' do not form a many-to-one or one-to-one relationship"
        raise ApiError(400, "PGRST118", f"A related order on '{name}' is not possible", details)


def find_relationship(cache: SchemaCache, source: str, target: str, hint: str | None) -> Relationship:
    """The one relationship that a target and a hint mean. Raises ApiError (400 for none, 300 for several)."""
    known = cache.relationships.get(source, ())
    for relationship in known:
        if relationship.function == target:
            return relationship  # takes precedence over foreign keys
    found = [r for r in known if _means(r, target, hint)]
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(source, target, found)
    using = f" using the hint '{hint}'" if hint else ""
    close = [] if hint else get_close_matches(target, sorted({r.target for r in known}), 1, 0.55)
    raise ApiError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{source}' and '{target}' in the schema cache",
        f"Searched for a foreign key relationship between '{source}' and '{target}'{using}"
        " in the schema 'api', but no matches were found.",
        f"Perhaps you meant '{close[0]}' instead of '{target}'." if close else None,
    )


def _means(relationship: Relationship, target: str, hint: str | None) -> bool:
    if relationship.function:
        return False
    mine = relationship.columns[0][0] if len(relationship.columns) == 1 else None
    theirs = relationship.columns[0][1] if len(relationship.columns) == 1 else None
    by_table = target == relationship.target
    if relationship.source == relationship.target:
        # One key makes two relationships here: the table's name is the way down, the column's the way up.
        if hint is not None:
            return by_table and hint == theirs and relationship.kind == "one-to-many"
        downwards = by_table and relationship.kind == "one-to-many"
        return downwards or (target == mine and relationship.kind == "many-to-one")
    if hint is None:
        return by_table or (target in (relationship.key, mine) and not relationship.target_is_view)
    return by_table and hint in (relationship.key, mine, theirs)


def _ambiguous(source: str, target: str, found: list[Relationship]) -> ApiError:
    choices = ", ".join(f"'{target}!{r.key}'" for r in found)
    return ApiError(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{source}' and '{target}'",
        [
            {
                "cardinality": r.kind,
                "embedding": f"{source} with {r.target}",
                "relationship": _described(r),
            }
            for r in found
        ],
        f"Try changing '{target}' to one of the following: {choices}."
        " Find the desired relationship in the 'details' key.",
    )


def _described(relationship: Relationship) -> str:
    junction = relationship.junction
    if junction:
        here = ", ".join(theirs for _, theirs in junction.source_columns)
        there = ", ".join(mine for mine, _ in junction.target_columns)
        return f"{junction.relation} using {junction.source_key}({here}) and {junction.target_key}({there})"
    mine = ", ".join(m for m, _ in relationship.columns)
    theirs = ", ".join(t for _, t in relationship.columns)
    return f"{relationship.key} using {relationship.source}({mine}) and {relationship.target}({theirs})"
