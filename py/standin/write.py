"""Writing through a view: the SQL of insert, upsert, update, put and delete."""

# ruff: noqa: S608 - identifiers are quoted by psycopg, and values are bound

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from standin.conditions import Condition
from standin.errors import ApiError
from standin.plan import Node
from standin.query import Query
from standin.schema_cache import Column, Relation
from standin.sql import Reader, Values, ident

# How many rows an upsert has really inserted is counted in a setting of the transaction, as PostgREST does.
_INSERTED = "coalesce(nullif(current_setting('pgrst.inserted', true), ''), '0')::int"
_COUNT = f"set_config('pgrst.inserted', ({_INSERTED} {{}} 1)::text, true)"


@dataclass(frozen=True)
class Payload:
    """The body: JSON text, and the columns that it names (None: there is no row at all)."""

    json: str
    columns: list[str] | None


def check_columns(relation: Relation, names: Iterable[str]) -> None:
    """Raises ApiError for a column that the relation lacks."""
    for name in names:
        if name not in relation.columns:
            message = f"Could not find the '{name}' column of '{relation.name}' in the schema cache"
            raise ApiError(400, "PGRST204", message)


@dataclass(frozen=True)
class Writer:
    """Writes the SQL of one change to one relation."""

    values: Values
    schema: str
    relation: Relation

    def insert(
        self, payload: Payload, returning: str, *, resolution: str | None, conflict: list[str], defaults: bool
    ) -> str:
        """An insert, or with a resolution an upsert."""
        into = f"insert into {self._table()}"
        if payload.columns is not None and not payload.columns:
            return f"{into} default values returning {returning}"
        names = payload.columns or []
        listed = ", ".join(ident(name) for name in names)
        columns = f"({listed})" if names else ""
        rows = self._rows(payload, names, defaults=defaults) if names else "select where false"
        upsert = ""
        target = conflict or list(self.relation.primary_key)
        if resolution and target and names:
            rows += f" where {_COUNT.format('+')} <> '0'" if resolution == "merge-duplicates" else ""
            upsert = self._conflict(names, target, resolution)
        return f"{into}{columns} {rows}{upsert} returning {returning}"

    def _conflict(self, names: list[str], target: list[str], resolution: str) -> str:
        check_columns(self.relation, target)
        on = f" on conflict ({', '.join(ident(name) for name in target)}) do "
        changed = [f"{ident(name)} = excluded.{ident(name)}" for name in names]
        if resolution == "ignore-duplicates" or not changed:
            return on + "nothing"
        return f"{on}update set {', '.join(changed)} where {_COUNT.format('-')} <> '-1'"

    def put(self, payload: Payload, conditions: Iterable[Condition], returning: str) -> str:
        """An upsert of the one row that the conditions name; no row comes back if the body names another."""
        names = payload.columns or []
        tests = " and ".join(
            f"pgrst_body.{ident(c.column.name)} = {self.values.add(str(c.value))}" for c in conditions
        )
        listed = ", ".join(ident(name) for name in names)
        rows = f"{self._rows(payload, names, defaults=False)} where {_COUNT.format('+')} <> '0' and {tests}"
        upsert = self._conflict(names, list(self.relation.primary_key), "merge-duplicates")
        return f"insert into {self._table()} ({listed}) {rows}{upsert} returning {returning}"

    def update(self, payload: Payload, reader: Reader, node: Node, returning: str) -> str:
        """An update of the rows that the node's conditions choose."""
        names = payload.columns or []
        if not names:
            return f"select {returning} from {self._table()} where false"
        changed = ", ".join(f"{ident(name)} = pgrst_body.{ident(name)}" for name in names)
        rows = self._rows(payload, names, defaults=False)
        return (
            f"update {self._table()} set {changed} from ({rows} limit 1) as pgrst_body{reader.where(node)}"
            f" returning {returning}"
        )

    def delete(self, reader: Reader, node: Node, returning: str) -> str:
        """A deletion of the rows that the node's conditions choose."""
        return f"delete from {self._table()}{reader.where(node)} returning {returning}"

    def returning(self, names: Iterable[str] | None) -> str:
        """The columns to give back: None is all, and none at all needs no right to read."""
        if names is None:
            return f"{ident(self.relation.name)}.*"
        return ", ".join(f"{ident(self.relation.name)}.{ident(name)}" for name in names) or "1"

    def _table(self) -> str:
        return ident(self.schema, self.relation.name)

    def _rows(self, payload: Payload, names: list[str], *, defaults: bool) -> str:
        listed = ", ".join(f"pgrst_body.{ident(name)}" for name in names)
        types = ", ".join(f"{ident(name)} {self.relation.columns[name].type}" for name in names)
        data = f"(select {self.values.add(payload.json)}::json as data) as _p"
        rows = "case json_typeof(_p.data) when 'array' then _p.data else json_build_array(_p.data) end"
        if defaults:
            rows = (
                f"(select coalesce(json_agg({_defaults(self.relation.columns, names)} || _e), '[]')"
                f" from jsonb_array_elements(({rows})::jsonb) as _e)"
            )
        return f"select {listed} from {data}, lateral json_to_recordset({rows}) as pgrst_body({types})"


def _defaults(columns: Mapping[str, Column], names: list[str]) -> str:
    """The relation's own defaults, as PostgreSQL's catalogue writes them, for what a row leaves out."""
    parts = ", ".join(
        f"'{name.replace(chr(39), chr(39) * 2)}', {columns[name].default}"
        for name in names
        if columns[name].default
    )
    return f"jsonb_build_object({parts})"


def put_conditions(relation: Relation, query: Query) -> list[Condition]:
    """The conditions of a PUT: equality on each column of the primary key and nothing else."""
    found = query.conditions.get((), [])
    conditions = [c for c in found if isinstance(c, Condition)]
    names = sorted(c.column.name for c in conditions)
    plain = all(
        c.operator == "eq" and not c.negated and not c.column.steps and not c.quantifier for c in conditions
    )
    if not plain or len(conditions) != len(found) or names != sorted(relation.primary_key) or not names:
        message = "Filters must include all and only primary key columns with 'eq' operators"
        raise ApiError(405, "PGRST105", message)
    return conditions
