"""The schema cache: relations, functions and relationships."""

import itertools
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from standin import view_columns

INTROSPECTION = (Path(__file__).with_name("introspection.sql")).read_text(encoding="utf-8")

_HOISTED = ("statement_timeout", "plan_filter.statement_cost_limit", "default_transaction_isolation")
_MAX_COMBINATIONS = 64

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Column:
    """A column of an exposed relation. `shown_type` is its type with length or precision."""

    name: str
    number: int
    type: str
    shown_type: str
    category: str
    required: bool
    default: str | None = None
    comment: str | None = None
    max_length: int | None = None
    labels: list[str] | None = None


@dataclass(frozen=True)
class Relation:
    """A table or view of the exposed schema."""

    oid: int
    name: str
    view: bool
    comment: str | None
    insertable: bool
    updatable: bool
    deletable: bool
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Argument:
    """An input argument of a function; a name may be empty."""

    name: str
    type: str
    category: str
    optional: bool
    variadic: bool


@dataclass(frozen=True)
class Function:
    """A function of the exposed schema. `relation` is the one whose rows it returns.

    A `raw` one returns the body itself, as the domain `*/*`.
    """

    oid: int
    name: str
    volatile: bool
    set: bool
    void: bool
    raw: bool
    composite: bool
    relation: str | None
    comment: str | None
    settings: Mapping[str, str]
    arguments: tuple[Argument, ...]

    def accepts(self, names: Collection[str]) -> bool:
        """Whether it can be called with exactly these named arguments."""
        known = {argument.name for argument in self.arguments}
        needed = {a.name for a in self.arguments if not a.optional and not a.variadic}
        return needed <= set(names) <= known


@dataclass(frozen=True)
class Junction:
    """The relation between two others, with the columns that lead to either."""

    relation: str
    source_key: str
    source_columns: Pairs
    target_key: str
    target_columns: Pairs


@dataclass(frozen=True)
class Relationship:
    """A foreign key, read from one relation to another. `columns` are (source, target) pairs.

    `function` takes a row of the source and returns those of the target; it has no key and no columns.
    """

    source: str
    target: str
    kind: Literal["many-to-one", "one-to-one", "one-to-many", "many-to-many"]
    key: str
    columns: Pairs
    target_is_view: bool
    junction: Junction | None = None
    function: str | None = None

    @property
    def to_one(self) -> bool:
        """Whether there is at most one row on the other side."""
        return self.kind in ("many-to-one", "one-to-one")


@dataclass(frozen=True)
class SchemaCache:
    """The whole cache."""

    comment: str | None
    relations: Mapping[str, Relation]
    functions: Mapping[str, tuple[Function, ...]]
    relationships: Mapping[str, tuple[Relationship, ...]]
    role_settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    time_zones: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _ForeignKey:
    name: str
    table: int
    columns: tuple[int, ...]
    to_table: int
    to_columns: tuple[int, ...]


class _Names:
    """The exposed columns of one relation that show given columns of a base table."""

    def __init__(self, relation: Relation, origins: dict[int, view_columns.Origin]) -> None:
        self._by_origin: dict[view_columns.Origin, list[str]] = {}
        for column in relation.columns.values():
            if column.number in origins:
                self._by_origin.setdefault(origins[column.number], []).append(column.name)
        self.tables = {table for table, _ in self._by_origin}

    def of(self, table: int, numbers: Iterable[int]) -> list[tuple[str, ...]]:
        """Every choice of columns that shows all of them; empty if one is missing."""
        each = [self._by_origin.get((table, number), []) for number in numbers]
        return list(itertools.islice(itertools.product(*each), _MAX_COMBINATIONS))


def build(text: str) -> SchemaCache:
    """The cache from the JSON document that introspection.sql makes."""
    raw = json.loads(text)
    rules = {rule["oid"]: view_columns.origins(rule["tree"]) for rule in raw["view_rules"]}
    primary = {key["table"]: tuple(key["columns"]) for key in raw["keys"] if key["primary"]}
    unique = {(key["table"], tuple(key["columns"])) for key in raw["keys"]}
    keys = [
        _ForeignKey(k["name"], k["table"], tuple(k["columns"]), k["to_table"], tuple(k["to_columns"]))
        for k in raw["foreign_keys"]
    ]
    relations: dict[str, Relation] = {}
    names: dict[str, _Names] = {}
    for row in raw["relations"]:
        columns = {c["name"]: Column(**c) for c in row.pop("columns")}
        relation = Relation(**row, columns=columns)
        shown = _Names(
            relation, view_columns.base_columns(relation.oid, [c.number for c in columns.values()], rules)
        )
        names[relation.name] = shown
        relations[relation.name] = Relation(**row, columns=columns, primary_key=_primary_key(shown, primary))
    return SchemaCache(
        comment=raw["comment"],
        relations=relations,
        functions=_functions(raw["functions"], {r.oid: r.name for r in relations.values()}),
        relationships=_with_computed(
            _relationships(relations, names, keys, primary, unique), raw["computed"], relations
        ),
        role_settings=_by_role(raw["role_settings"]),
        time_zones=frozenset(raw["time_zones"] or ()),
    )


def _primary_key(names: _Names, primary: Mapping[int, tuple[int, ...]]) -> tuple[str, ...]:
    for table in sorted(names.tables & primary.keys()):
        if found := names.of(table, primary[table]):
            return found[0]
    return ()


def _functions(
    rows: list[dict[str, Any]], relation_names: Mapping[int, str]
) -> dict[str, tuple[Function, ...]]:
    found: dict[str, tuple[Function, ...]] = {}
    for row in rows:
        arguments = tuple(Argument(**a) for a in row.pop("arguments"))
        settings = {name: value for name, value in (row.pop("settings") or {}).items() if name in _HOISTED}
        relation = relation_names.get(row.pop("relation"))
        made = Function(**row, relation=relation, settings=settings, arguments=arguments)
        found[made.name] = (*found.get(made.name, ()), made)
    return found


def _by_role(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["role"], {})[row["name"]] = row["value"]
    return found


def _relationships(
    relations: Mapping[str, Relation],
    names: Mapping[str, _Names],
    keys: list[_ForeignKey],
    primary: Mapping[int, tuple[int, ...]],
    unique: set[tuple[int, tuple[int, ...]]],
) -> dict[str, tuple[Relationship, ...]]:
    found: dict[str, list[Relationship]] = {name: [] for name in relations}
    inside_key: set[Relationship] = set()
    for key in keys:
        single = (key.table, tuple(sorted(key.columns))) in unique
        part_of_key = set(key.columns) <= set(primary.get(key.table, ()))
        children = [(n, cols) for n, shown in names.items() for cols in shown.of(key.table, key.columns)]
        parents = [(n, cols) for n, shown in names.items() for cols in shown.of(key.to_table, key.to_columns)]
        for (child, columns), (parent, to_columns) in itertools.product(children, parents):
            pairs = tuple(zip(columns, to_columns, strict=True))
            back = tuple(zip(to_columns, columns, strict=True))
            up = Relationship(
                child,
                parent,
                "one-to-one" if single else "many-to-one",
                key.name,
                pairs,
                relations[parent].view,
            )
            down = Relationship(
                parent,
                child,
                "one-to-one" if single else "one-to-many",
                key.name,
                back,
                relations[child].view,
            )
            found[child].append(up)
            found[parent].append(down)
            if part_of_key and names[child].of(key.table, primary[key.table]):
                inside_key.add(up)
    for left, right in _junctions(inside_key):
        junction = Junction(
            left.source, left.key, tuple((b, a) for a, b in left.columns), right.key, right.columns
        )
        found[left.target].append(
            Relationship(
                left.target, right.target, "many-to-many", left.source, (), right.target_is_view, junction
            )
        )
    return {name: tuple(dict.fromkeys(several)) for name, several in found.items()}


def _with_computed(
    known: dict[str, tuple[Relationship, ...]],
    rows: list[dict[str, Any]],
    relations: Mapping[str, Relation],
) -> dict[str, tuple[Relationship, ...]]:
    """Adds the relationships that functions compute."""
    for row in rows:
        kind: Literal["many-to-one", "one-to-many"] = "many-to-one" if row["single"] else "one-to-many"
        source, target, name = row["source"], row["target"], row["name"]
        computed = Relationship(source, target, kind, name, (), relations[target].view, function=name)
        known[source] = (*known[source], computed)
    return known


def _junctions(inside_key: set[Relationship]) -> list[tuple[Relationship, Relationship]]:
    """Pairs of foreign keys of one relation that both lie in its primary key."""
    ordered = sorted(inside_key, key=lambda r: (r.source, r.key, r.target, r.columns))
    return [
        (left, right)
        for left, right in itertools.permutations(ordered, 2)
        if left.source == right.source and left.key != right.key and left.target != right.target
    ]
